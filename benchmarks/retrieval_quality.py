"""Are the passages found that answer? By words, by meaning, by both; and what each stage adds.

    python benchmarks/retrieval_quality.py [--sets python-faq,...] [--seconds 90] [--out FILE]

Each set of `retrieval/sets.py` is read, split, embedded and searched by Mainspring's own parts, and judged by the
places that are known (`evaluation/retrieval.py`), with paired tests on the same questions, those about one section
counting as one, corrected by Holm over the sets. No set has a say in what it is judged by: the weight of a fusion for
one set is the best over all sets of other documents, or it is tuned on four fifths of the set's sections and judged on
the fifth ("tuned").

Embedding and reading again are what takes time. Both are kept, and can be done in parts: `--seconds` ends the script
with code 3 when they are over, and the next call goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "retrieval"))

import fusions
import sets
from comparing import LEVEL, METRICS, compared, on_average
from late import Late, reread, sample
from report import tables
from searched import Collection, Cut, all_texts, dense_scores, differing, open_collection, word_scores
from vectors import Vectors

from mainspring.evaluation.retrieval import Judged, judge

WORK = sets.WORK
WEIGHTS = np.round(np.linspace(0, 1, 21), 2).tolist()
INNER = WEIGHTS[1:-1]
GRID = WEIGHTS[::2]  # of which a fit chooses
FOREIGN = ("construction-sv",)  # the embedder was taught English: has no say in weights, and is in no mean
FOLDS = 5
SCORES = ("ndcg", "recall", "mrr", "first")
SHARES = (0.1, 0.25, 0.5)  # of late interaction in the score
TIMED = 10  # questions of a set
CHECKED = 1000  # passages: of smaller collections an index is made, too, and asked the same
MOST_CUT = 2000  # passages of a set that is cut in other ways
SIZED = ("python-faq", "python-index", "perl-faq", "debian-faq", "manpages", "handbook")
HEADED = ("python-index", "manpages", "handbook")  # of the others, headings became questions
CUTS = {
    "128 tokens": (Cut(128), SIZED),
    "256 tokens": (Cut(256), SIZED),
    "no headings in front": (Cut(path=False), HEADED),
}


@dataclass(eq=False)
class Searched:
    """A set and what was found in it, way by way."""

    collection: Collection
    vectors: Vectors
    ways: dict[str, Judged] = field(default_factory=dict)

    @cached_property
    def dense(self) -> np.ndarray:
        return dense_scores(self.collection, self.vectors)

    @cached_property
    def words(self) -> np.ndarray:
        return word_scores(self.collection)

    @cached_property
    def convex(self) -> dict[float, Judged]:
        return {weight: self.judged(self.fused(weight), 0.0 if weight == 0 else -np.inf) for weight in WEIGHTS}

    @cached_property
    def min_max(self) -> dict[float, Judged]:
        return {weight: self.judged(fusions.min_max(self.dense, self.words, weight), 0.0) for weight in INNER}

    def fused(self, weight: float) -> np.ndarray:
        return fusions.convex(self.dense, self.words, weight)

    def judged(self, scores: np.ndarray, least: float = -np.inf) -> Judged:
        return self.of_orders(list(fusions.orders(scores, self.collection.same, least)))

    def of_orders(self, orders: list[list[int]], chosen: np.ndarray | None = None) -> Judged:
        passages, questions = self.collection.passages, self.collection.questions
        found = [[passages[row] for row in order] for order in orders]
        return judge(found, [questions[at].places for at in (range(len(questions)) if chosen is None else chosen)])

    def diverse(self, weight: float, diversity: float) -> Judged:
        scores = self.fused(weight)
        vectors = self.vectors.of(self.collection.texts)
        return self.of_orders([
            fusions.diverse(order, row, vectors, diversity)
            for order, row in zip(fusions.orders(scores, self.collection.same), scores, strict=True)
        ])  # fmt: skip

    def unstemmed(self, weight: float) -> Judged:
        return self.judged(fusions.convex(self.dense, word_scores(self.collection, "none"), weight))

    @property
    def name(self) -> str:
        return self.collection.name

    @property
    def family(self) -> str:
        """Sets of the same documents have the same one."""
        return self.name.partition("-")[0]

    @property
    def clusters(self) -> np.ndarray:
        return self.collection.clusters

    @property
    def foreign(self) -> bool:
        return self.name in FOREIGN

    def tuned(self, usual: float) -> Judged:
        """Each question by the weight that the folds in which its section is not would choose: as a fit does, the best
        one if it is shown to be better than the `usual`.
        """
        codes = self.clusters
        fold = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % FOLDS
        parts = {name: np.empty(len(codes)) for name in SCORES}
        for number in range(FOLDS):
            here = fold == number
            tuning = {weight: _some(self.convex[weight], ~here) for weight in {*GRID, usual}}
            weight = max(tuning, key=lambda one: tuning[one].ndcg.mean())
            if weight != usual:
                [shown] = compared("ndcg", [codes[~here]], [tuning[usual]], [tuning[weight]])
                weight = weight if shown["better"] <= 2 * LEVEL / len(GRID) else usual
            for name, values in parts.items():
                values[here] = getattr(self.convex[weight], name)[here]
        return Judged(**parts)


def _some(judged: Judged, some: np.ndarray) -> Judged:
    return Judged(**{name: getattr(judged, name)[some] for name in SCORES})


def best_weight(searched: Sequence[Searched], way: str, without: Searched | None = None) -> float:
    """The weight with the largest mean nDCG over all sets of other documents, each set counting alike."""
    others = [one for one in searched if not one.foreign and (without is None or one.family != without.family)]
    others = others or list(searched)  # there is only one
    return float(max(INNER, key=lambda weight: np.mean([getattr(one, way)[weight].ndcg.mean() for one in others])))


def stage(
    searched: Sequence[Searched], base: list[Judged], other: list[Judged], clusters: list[np.ndarray] | None = None
) -> dict[str, Any]:
    """What it does to have `other` in place of `base`, set by set and on the mean."""
    codes = clusters or [one.clusters for one in searched]
    counted = [not one.foreign for one in searched]
    return {"sets": [one.name for one in searched], "questions": [len(one.first) for one in base]} | {
        metric: {
            "base": [float(one.of(metric).mean()) for one in base],
            "values": [float(one.of(metric).mean()) for one in other],
            "tests": compared(metric, codes, base, other),
            "mean": on_average(metric, codes, base, other, counted),
        }
        for metric in METRICS
    }


def search(searched: list[Searched]) -> dict[str, Any]:
    """All ways of all sets, and what the tests say."""
    chosen = {one.name: best_weight(searched, "convex", one) for one in searched}
    chosen_min_max = {one.name: best_weight(searched, "min_max", one) for one in searched}
    for one in searched:
        weight = chosen[one.name]
        one.ways |= {
            "words": one.convex[0.0],
            "meaning": one.convex[1.0],
            "hybrid": one.convex[weight],
            "tuned": one.tuned(weight),
            "reciprocal ranks": one.judged(fusions.reciprocal_ranks(one.dense, one.words), 0.0),
            "min-max": one.min_max[chosen_min_max[one.name]],
            "diversity 0.1": one.diverse(weight, 0.1),
            "diversity 0.3": one.diverse(weight, 0.3),
            "no stemming": one.unstemmed(weight),
        }
        if len(one.collection.passages) <= CHECKED:
            computed = list(fusions.orders(one.fused(weight), one.collection.same))
            other = differing(one.collection, one.vectors, weight, computed)
            print(f"{one.name}: an index finds others for {other} questions", file=sys.stderr)
    hybrid = [one.ways["hybrid"] for one in searched]
    result: dict[str, Any] = {
        "default_weight": best_weight(searched, "convex"),
        "weights_of_others": chosen,
        "min_max_weights_of_others": chosen_min_max,
        "curve": {
            str(weight): float(np.mean([one.convex[weight].ndcg.mean() for one in searched if not one.foreign]))
            for weight in WEIGHTS
        },
        "sets": {one.name: described(one) for one in searched},
        "foreign": [one.name for one in searched if one.foreign],
        "stages": {
            way: stage(searched, hybrid, [one.ways[way] for one in searched])
            for way in searched[0].ways
            if way != "hybrid"
        },
        "against_better_alone": {},
    }
    for metric in METRICS:
        alone = [
            max((one.ways["words"], one.ways["meaning"]), key=lambda way: way.of(metric).mean()) for one in searched
        ]
        result["against_better_alone"][metric] = {
            way: stage(searched, alone, [one.ways[way] for one in searched])[metric]
            for way in ("hybrid", "tuned", "reciprocal ranks", "min-max")
        }
    return result


def described(one: Searched) -> dict[str, Any]:
    """A set's sizes and the estimates of each way."""
    clustered = one.clusters if len(np.unique(one.clusters)) < len(one.clusters) else None
    return {
        "documents": len(one.collection.documents),
        "passages": len(one.collection.passages),
        "questions": len(one.collection.questions),
        "ways": {
            way: {metric: estimate.as_dict() for metric, estimate in judged.estimates(clustered).items()}
            for way, judged in one.ways.items()
        },
    }


def read_again(searched: list[Searched], weight: float, most: int, seconds: float) -> dict[str, Any] | None:
    """Late interaction on a sample of each set's questions; None, if there was no time for all of it."""
    late = Late(WORK)
    before: list[Judged] = []
    after: dict[float, list[Judged]] = {share: [] for share in SHARES}
    codes = []
    took: list[float] = []
    for one in searched:
        chosen = sample(one.collection, most)
        scores = one.fused(weight)[chosen]
        orders = list(fusions.orders(scores, one.collection.same))
        similar = late.similarities(one.collection, dict(zip(chosen.tolist(), orders, strict=True)), seconds)
        if similar is None:
            return None
        took += late.seconds(one.collection, dict(zip(chosen[:TIMED].tolist(), orders, strict=False)))
        before.append(one.of_orders(orders, chosen))
        codes.append(one.clusters[chosen])
        for share, judged in after.items():
            again = [
                reread(order, row, similar[at], share)
                for at, order, row in zip(chosen.tolist(), orders, scores, strict=True)
            ]
            judged.append(one.of_orders(again, chosen))
    print(
        f"late interaction took {1000 * np.median(took):.0f} ms, the median of {len(took)} questions", file=sys.stderr
    )
    return {
        f"late interaction, {share:.0%} of the score": stage(searched, before, judged, codes)
        for share, judged in after.items()
    }


def cut(names: list[str], vectors: Vectors, weight: float) -> dict[str, Any]:
    """The hybrid with other passages."""
    usual = {name: opened(name, vectors, Cut(), MOST_CUT) for name in dict.fromkeys((*SIZED, *HEADED)) if name in names}
    stages = {}
    for label, (how, cut_names) in CUTS.items():
        base = [usual[name] for name in cut_names if name in usual]
        others = [opened(one.name, vectors, how, MOST_CUT) for one in base]
        if base:
            stages[label] = stage(
                base, [one.judged(one.fused(weight)) for one in base], [one.judged(one.fused(weight)) for one in others]
            )
            stages[label]["passages"] = [len(one.collection.passages) for one in others]
    return stages


def opened(name: str, vectors: Vectors, how: Cut, most: int | None) -> Searched:
    """A set, cut so."""
    return Searched(open_collection(name, WORK, how, most), vectors)


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(sets.SETS), help="separated by commas")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for embedding, and for reading again")
    parser.add_argument("--late", type=int, default=100, help="questions of a set that late interaction is tried on")
    parser.add_argument("--out", type=Path, help="write the numbers, as JSON")
    arguments = parser.parse_args()
    names = arguments.sets.split(",")
    for name in names:
        sets.write(name, WORK / "sets" / name)
    vectors = Vectors(WORK)
    wanted = [(name, Cut(), None) for name in names]
    wanted += [(name, how, MOST_CUT) for how, cut_names in CUTS.values() for name in cut_names if name in names]
    texts = [text for name, how, size in wanted for text in all_texts(open_collection(name, WORK, how, size))]
    if not vectors.embed(texts, arguments.seconds):
        sys.exit(3)
    searched = [opened(name, vectors, Cut(), None) for name in names]
    result = search(searched)
    result["stages"] |= cut(names, vectors, result["default_weight"])
    if arguments.late:
        asked = [one for one in searched if not one.foreign]
        late = read_again(asked, result["default_weight"], arguments.late, arguments.seconds)
        if late is None:
            sys.exit(3)
        result["stages"] |= late
    print(tables(result))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
