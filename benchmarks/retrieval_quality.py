"""Are the passages found that answer? By words, by meaning, by both; and what each stage adds.

    python benchmarks/retrieval_quality.py [--sets python-faq,...] [--seconds 90] [--out FILE]

Each set of `retrieval/sets.py` is read, split, embedded and searched by Mainspring's own parts, and judged by the
places that are known (`evaluation/retrieval.py`), with paired tests on the same questions, corrected by Holm over the
sets. No set has a say in what it is judged by: the weight of a fusion for one set is the best over all others, or it is
tuned on four fifths of the set's sections and judged on the fifth ("cross-fitted").

Embedding is what takes time. It is kept, and can be done in parts: `--seconds` ends the script with code 3 when they
are over, and the next call goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "retrieval"))

import fusions
import sets
from late import Late, reread, sample
from report import LEVEL, tables
from searched import Collection, Cut, all_texts, dense_scores, differing, open_collection, word_scores
from vectors import Vectors

from mainspring.evaluation.comparison import Comparison
from mainspring.evaluation.retrieval import Judged, compare_judged, judge

WORK = sets.WORK
WEIGHTS = np.round(np.linspace(0, 1, 21), 2).tolist()
INNER = WEIGHTS[1:-1]
GRID = WEIGHTS[::2]  # of which a fit chooses
FOREIGN = ("construction-sv",)  # the embedder was taught English: has no say in weights, and is in no mean
FOLDS = 5
SCORES = ("ndcg", "recall", "mrr", "first")
SHARES = (0.25, 0.5)  # of late interaction in the score
CHECKED = 1000  # passages: of smaller collections an index is made, too, and asked the same
METRICS = ("ndcg", "recall")
CUTS = {"128": Cut(128), "200": Cut(200), "256": Cut(256), "200, no headings": Cut(200, path=False)}
SMALL = ("handbook", "debian-faq", "construction", "perl-faq", "python-faq")  # in every cut, and read again
MOST_CUT = 2000  # passages of a set that is embedded in every cut


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

    @property
    def clusters(self) -> np.ndarray | None:
        codes = self.collection.clusters
        return codes if len(np.unique(codes)) < len(codes) else None

    @property
    def foreign(self) -> bool:
        return self.collection.name in FOREIGN

    def cross_fitted(self, usual: float) -> Judged:
        """Each question by the weight that the folds in which its section is not would choose: as a fit does, the best
        one if it is shown to be better than the `usual`.
        """
        codes = self.collection.clusters
        fold = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % FOLDS
        parts = {name: np.empty(len(codes)) for name in SCORES}
        for number in range(FOLDS):
            here = fold == number
            tuning = {weight: _some(self.convex[weight], ~here) for weight in {*GRID, usual}}
            weight = max(tuning, key=lambda one: tuning[one].ndcg.mean())
            if weight != usual:
                shown = compared([codes[~here]], "ndcg", [tuning[usual]], [tuning[weight]])[0]["better"]
                weight = weight if shown <= LEVEL / len(GRID) else usual
            for name, values in parts.items():
                values[here] = getattr(self.convex[weight], name)[here]
        return Judged(**parts)


def _some(judged: Judged, some: np.ndarray) -> Judged:
    return Judged(**{name: getattr(judged, name)[some] for name in SCORES})


def best_weight(searched: list[Searched], way: str, without: Searched | None = None) -> float:
    """The weight with the largest mean nDCG over all sets but one, each set counting alike."""
    others = [one for one in searched if one is not without and not one.foreign]
    return float(max(INNER, key=lambda weight: np.mean([getattr(one, way)[weight].ndcg.mean() for one in others])))


def holm(values: list[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979)."""
    order = np.argsort(values)
    stepped = np.maximum.accumulate(np.array(values)[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1)
    return corrected.tolist()


def compared(
    clusters: list[np.ndarray], metric: str, champion: list[Judged], challenger: list[Judged]
) -> list[dict[str, Any]]:
    """A paired test for each set; `better` and `worse` are p-values after Holm's correction."""
    tests: list[Comparison] = [
        compare_judged(
            metric, champion=old, challenger=new, clusters=codes if len(np.unique(codes)) < len(codes) else None
        )
        for codes, old, new in zip(clusters, champion, challenger, strict=True)
    ]
    better, worse = holm([test.p_better for test in tests]), holm([test.p_not_better for test in tests])
    return [
        {"difference": test.difference, "low": test.low, "high": test.high, "better": up, "worse": down}
        for test, up, down in zip(tests, better, worse, strict=True)
    ]


def on_average(counted: list[bool], champion: list[Judged], challenger: list[Judged], metric: str) -> dict[str, float]:
    """The mean difference over the sets that are counted, each alike, with a 95 % interval over questions."""
    pairs = [pair for pair, counts in zip(zip(champion, challenger, strict=True), counted, strict=True) if counts]
    each = [new.of(metric) - old.of(metric) for old, new in pairs]
    mean = float(np.mean([one.mean() for one in each]))
    error = float(np.sqrt(sum(one.var(ddof=1) / len(one) for one in each)) / len(each))
    return {"difference": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}


def search(searched: list[Searched]) -> dict[str, Any]:
    """All ways of all sets, and what the tests say."""
    chosen = [best_weight(searched, "convex", one) for one in searched]
    chosen_min_max = [best_weight(searched, "min_max", one) for one in searched]
    for one, weight, other in zip(searched, chosen, chosen_min_max, strict=True):
        one.ways |= {
            "words": one.convex[0.0],
            "meaning": one.convex[1.0],
            "hybrid": one.convex[weight],
            "hybrid, tuned": one.cross_fitted(weight),
            "reciprocal ranks": one.judged(fusions.reciprocal_ranks(one.dense, one.words), 0.0),
            "min-max": one.min_max[other],
            "hybrid, diverse (0.1)": one.diverse(weight, 0.1),
            "hybrid, diverse (0.3)": one.diverse(weight, 0.3),
        }
        if len(one.collection.passages) <= CHECKED:
            computed = list(fusions.orders(one.fused(weight), one.collection.same))
            other = differing(one.collection, one.vectors, weight, computed)
            print(f"{one.collection.name}: an index finds others for {other} questions", file=sys.stderr)
    hybrid = [one.ways["hybrid"] for one in searched]
    codes = [one.collection.clusters for one in searched]
    counted = [not one.foreign for one in searched]
    result: dict[str, Any] = {
        "default_weight": best_weight(searched, "convex"),
        "weights_of_others": dict(zip([one.collection.name for one in searched], chosen, strict=True)),
        "min_max_weights_of_others": dict(zip([one.collection.name for one in searched], chosen_min_max, strict=True)),
        "curve": {
            str(weight): float(np.mean([one.convex[weight].ndcg.mean() for one in searched if not one.foreign]))
            for weight in WEIGHTS
        },
        "sets": {one.collection.name: described(one) for one in searched},
        "foreign": [one.collection.name for one in searched if one.foreign],
        "against_hybrid": {},
        "against_better_alone": {},
    }
    for metric in METRICS:
        alone = [
            max((one.ways["words"], one.ways["meaning"]), key=lambda way: way.of(metric).mean()) for one in searched
        ]
        for way in ("hybrid", "hybrid, tuned", "reciprocal ranks", "min-max"):
            ways = [one.ways[way] for one in searched]
            result["against_better_alone"][f"{metric}: {way}"] = {
                "sets": compared(codes, metric, alone, ways), "mean": on_average(counted, alone, ways, metric)
            }  # fmt: skip
        for way in searched[0].ways:
            if way != "hybrid":
                ways = [one.ways[way] for one in searched]
                result["against_hybrid"][f"{metric}: {way}"] = {
                    "sets": compared(codes, metric, hybrid, ways), "mean": on_average(counted, hybrid, ways, metric)
                }  # fmt: skip
    return result


def read_again(searched: list[Searched], weight: float, most: int, seconds: float) -> dict[str, Any] | None:
    """Late interaction on a sample of each set's questions; None, if there was no time for all of it."""
    late = Late(WORK)
    names = [one.collection.name for one in searched]
    before: list[Judged] = []
    after: dict[float, list[Judged]] = {share: [] for share in SHARES}
    codes = []
    for one in searched:
        chosen = sample(one.collection, most)
        scores = one.fused(weight)[chosen]
        orders = list(fusions.orders(scores, one.collection.same))
        similar = late.similarities(one.collection, dict(zip(chosen.tolist(), orders, strict=True)), seconds)
        if similar is None:
            return None
        before.append(one.of_orders(orders, chosen))
        codes.append(one.collection.clusters[chosen])
        for share, judged in after.items():
            again = [
                reread(order, row, similar[at], share)
                for at, order, row in zip(chosen.tolist(), orders, scores, strict=True)
            ]
            judged.append(one.of_orders(again, chosen))
    return {
        "sets": names,
        "questions": dict(zip(names, [len(one.first) for one in before], strict=True)),
        "hybrid": [float(one.ndcg.mean()) for one in before],
        "shares": {
            str(share): {
                "ndcg": [float(one.ndcg.mean()) for one in judged],
                "sets": compared(codes, "ndcg", before, judged),
                "mean": on_average([not one.foreign for one in searched], before, judged, "ndcg"),
            }
            for share, judged in after.items()
        },
    }


def described(one: Searched) -> dict[str, Any]:
    """A set's sizes and the estimates of each way."""
    return {
        "documents": len(one.collection.documents),
        "passages": len(one.collection.passages),
        "questions": len(one.collection.questions),
        "ways": {
            way: {metric: estimate.as_dict() for metric, estimate in judged.estimates(one.clusters).items()}
            for way, judged in one.ways.items()
        },
    }


def cut(names: list[str], vectors: Vectors, weight: float) -> dict[str, Any]:
    """The hybrid with other passages, on the sets that are searched in every cut."""
    searched = {
        label: [Searched(open_collection(name, WORK, how, MOST_CUT), vectors) for name in names]
        for label, how in CUTS.items()
    }
    judged = {label: [one.judged(one.fused(weight)) for one in each] for label, each in searched.items()}
    base = judged["200"]
    codes = [one.collection.clusters for one in searched["200"]]
    return {
        "sets": names,
        "weight": weight,
        "passages": {label: [len(one.collection.passages) for one in each] for label, each in searched.items()},
        "ways": {
            label: {metric: [float(one.of(metric).mean()) for one in each] for metric in METRICS}
            for label, each in judged.items()
        },
        "against_200": {
            f"{metric}: {label}": {
                "sets": compared(codes, metric, base, each),
                "mean": on_average([True] * len(names), base, each, metric),
            }
            for label, each in judged.items()
            if label != "200"
            for metric in METRICS
        },
    }


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(sets.SETS), help="separated by commas")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for embedding, at the most")
    parser.add_argument(
        "--most", type=int, help="passages of a set, about: of larger ones, some documents are left out"
    )
    parser.add_argument("--no-cuts", action="store_true", help="passages of 200 tokens with their headings only")
    parser.add_argument(
        "--late", type=int, default=50, help="questions of a set for late interaction, which takes long"
    )
    parser.add_argument("--out", type=Path, help="write the numbers, as JSON")
    arguments = parser.parse_args()
    names, most = arguments.sets.split(","), arguments.most
    for name in names:
        sets.write(name, WORK / "sets" / name)
    vectors = Vectors(WORK)
    small = [] if arguments.no_cuts else [name for name in names if name in SMALL]
    wanted = [(name, Cut(), most) for name in names]
    wanted += [(name, how, MOST_CUT) for how in CUTS.values() for name in small]
    texts = [text for name, how, size in wanted for text in all_texts(open_collection(name, WORK, how, size))]
    if not vectors.embed(texts, arguments.seconds):
        sys.exit(3)
    searched = [Searched(open_collection(name, WORK, Cut(), most), vectors) for name in names]
    result = search(searched)
    if arguments.late:
        asked = [one for one in searched if one.collection.name in SMALL]
        result["late"] = read_again(asked, result["default_weight"], arguments.late, arguments.seconds)
        if result["late"] is None:
            sys.exit(3)
    if small:
        result["cuts"] = cut(small, vectors, result["default_weight"])
    print(tables(result))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
