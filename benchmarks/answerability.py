"""Does the rule know when the documents hold the answer? Beside the plain score of the best passage.

    python benchmarks/answerability.py [--sets debian-faq,...] [--out FILE]

The sets are those of `retrieval_quality.py`, embedded by it. Their questions are asked as they are, and once more with
the places that answer them left out ("near misses"); and questions of sets of other documents are asked ("of others").
The answer is there if it is among the first five passages. A fit's own rule and threshold (`tasks/answerability.py`)
are fitted on four fifths of a set's sections with the questions that a fit adds, and judged on the fifth; questions of
others are in no fit. ROC-AUC by a paired test, those about one section counting as one, with Holm's correction.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "retrieval"))

import fusions
import sets
from comparing import LEVEL, holm
from report import gain, mark, table
from searched import Collection, Cut, open_collection, word_scores_of
from vectors import Vectors

from mainspring.evaluation.comparison import compare
from mainspring.evaluation.metrics import Predictions
from mainspring.evaluation.retrieval import covers
from mainspring.runtimes.index.answerable import LOOKED_AT
from mainspring.runtimes.index.found import Found
from mainspring.tasks.answerability import fit_answerability
from mainspring.tasks.other_questions import OTHER_QUESTIONS

SETS = ("python-faq", "python-index", "perl-faq", "debian-faq", "manpages", "construction", "handbook")
WEIGHT = 0.7  # of meaning: the default
READ = 5
FOLDS = 5
OTHERS = 200
RESAMPLES = 1000
UNANSWERABLE = {"near misses": "near", "of others": "other"}


@dataclass(eq=False)
class Asked:
    """n questions: what was found for each, whether the answer is there, and of what kind and section each is."""

    found: list[list[Found]]
    holds: np.ndarray
    kind: np.ndarray
    section: np.ndarray


def ask(collection: Collection, vectors: Vectors, others: list[str]) -> tuple[Asked, list[list[Found]]]:
    """The set's own questions, near misses and others'; and what is found for those that a fit adds."""
    questions = collection.questions
    texts = [*(one.text for one in questions), *others, *OTHER_QUESTIONS]
    dense = vectors.of(texts) @ vectors.of(collection.texts).T
    words = word_scores_of(collection, texts)
    scores = fusions.convex(dense, words, WEIGHT)
    orders = [order[:LOOKED_AT] for order in fusions.orders(scores, collection.same)]
    found = [
        [_found(collection, row, dense[at, row], words[at, row], scores[at, row]) for row in order]
        for at, order in enumerate(orders)
    ]
    holds, near = [], []
    for question, each in zip(questions, found, strict=False):
        holds.append(any(covers(one.passage, place) for one in each[:READ] for place in question.places))
        near.append([one for one in each if not any(_touches(one, place) for place in question.places)])
    count, sections = len(questions), collection.clusters
    kinds = ["own"] * count + ["near"] * count + ["other"] * len(others)
    asked = [*found[:count], *near, *found[count : count + len(others)]]
    some = [at for at, each in enumerate(asked) if each]  # else all that was found touches the place that is left out
    return Asked(
        [asked[at] for at in some],
        np.array([*holds, *[False] * (count + len(others))])[some],
        np.array(kinds)[some],
        np.concatenate([sections, sections, sections.max() + 1 + np.arange(len(others))])[some],
    ), found[count + len(others) :]


def _found(collection: Collection, row: int, dense: float, words: float, score: float) -> Found:
    return Found(
        id="", passage=collection.passages[row], quote="", score=float(score), dense=float(dense), sparse=float(words),
        title="",
    )  # fmt: skip


def _touches(one: Found, place: Any) -> bool:
    passage = one.passage
    return bool(passage.source == place.source and passage.begin < place.end and place.begin < passage.end)


def probabilities(asked: Asked, added: list[list[Found]]) -> tuple[np.ndarray, np.ndarray]:
    """Each question's by the rule that saw neither it nor its section, and whether that rule answers it."""
    folds = np.random.default_rng(0).permutation(int(asked.section.max()) + 1)[asked.section] % FOLDS
    given, answers = np.zeros(len(folds)), np.zeros(len(folds), bool)
    for fold in range(FOLDS):
        seen = np.flatnonzero((folds != fold) & (asked.kind != "other"))
        rule = fit_answerability(
            [*(asked.found[at] for at in seen), *added], np.concatenate([asked.holds[seen], np.zeros(len(added), bool)])
        ).rule
        for at in np.flatnonzero(folds == fold):
            given[at] = rule.probability(asked.found[at])
            answers[at] = given[at] >= rule.threshold
    return given, answers


def auc(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """The area under the ROC curve of weighted rows; ties count half."""
    _, level = np.unique(scores, return_inverse=True)
    right, wrong = np.bincount(level, weights * truth), np.bincount(level, weights * ~truth)
    below = np.cumsum(wrong) - wrong / 2
    return float((right * below).sum() / (right.sum() * wrong.sum()))


def spread(asked: Asked, some: np.ndarray, rule: np.ndarray, top: np.ndarray) -> float:
    """The standard error of the difference in AUC, by a bootstrap of sections."""
    draw = np.random.default_rng(0)
    sections, code = np.unique(asked.section[some], return_inverse=True)
    differences = []
    for _ in range(RESAMPLES):
        weights = draw.multinomial(len(sections), np.full(len(sections), 1 / len(sections)))[code].astype(float)
        differences.append(auc(rule[some], asked.holds[some], weights) - auc(top[some], asked.holds[some], weights))
    return float(np.std(differences, ddof=1))


def judged(asked: Asked, added: list[list[Found]]) -> dict[str, Any]:
    """A set's figures."""
    rule, answers = probabilities(asked, added)
    top = np.array([(each[0].score + 1) / 2 for each in asked.found])
    result: dict[str, Any] = {
        "answered": float(answers[asked.holds].mean()),
        "there": int(asked.holds.sum()),
    }
    for label, kind in UNANSWERABLE.items():
        some = (asked.kind == "own") | (asked.kind == kind)
        both = [Predictions(values=one > 0.5, probabilities=np.column_stack([1 - one, one])) for one in (top, rule)]
        champion, challenger = (_taken(one, some) for one in both)
        truth = asked.holds[some].astype(np.int64)
        test = compare(
            "roc_auc", truth, champion=champion, challenger=challenger, clusters=asked.section[some], significance=LEVEL
        )
        result[label] = test.as_dict() | {
            "error": spread(asked, some, rule, top), "refused": float(1 - answers[asked.kind == kind].mean())
        }  # fmt: skip
    return result


def _taken(predictions: Predictions, some: np.ndarray) -> Predictions:
    assert predictions.probabilities is not None
    return Predictions(values=predictions.values[some].astype(np.int64), probabilities=predictions.probabilities[some])


def tables(results: dict[str, dict[str, Any]]) -> str:
    """What stands in docs/benchmarks.md."""
    parts = []
    for label in UNANSWERABLE:
        of_kind = [one[label] for one in results.values()]
        better, worse = holm([one["p_better"] for one in of_kind]), holm([one["p_not_better"] for one in of_kind])
        rows = []
        for name, one, up, down in zip(results, of_kind, better, worse, strict=True):
            shown = gain(one) + mark({"better": up, "worse": down})
            shares = [f"{results[name]['answered']:.2f}", f"{one['refused']:.2f}"]
            rows.append([name, f"{one['champion']:.3f}", f"{one['challenger']:.3f}", shown, *shares])
        mean = float(np.mean([one["difference"] for one in of_kind]))
        error = 1.96 * float(np.sqrt(sum(one["error"] ** 2 for one in of_kind))) / len(of_kind)
        means = [np.mean([one[column] for one in of_kind]) for column in ("champion", "challenger")]
        shares = [np.mean([one["answered"] for one in results.values()]), np.mean([one["refused"] for one in of_kind])]
        difference = {"difference": mean, "low": mean - error, "high": mean + error}
        rows.append(["mean", *(f"{one:.3f}" for one in means), gain(difference), *(f"{one:.2f}" for one in shares)])
        header = [label, "top score", "rule", "difference", "answered of those with an answer", "refused of these"]
        parts.append(table(header, rows))
    return "\n\n".join(parts)


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas")
    parser.add_argument("--out", type=Path, help="write the numbers, as JSON")
    arguments = parser.parse_args()
    vectors = Vectors(sets.WORK)
    vectors.embed(list(OTHER_QUESTIONS), float("inf"))
    collections = [open_collection(name, sets.WORK, Cut()) for name in arguments.sets.split(",")]
    results = {}
    for collection in collections:
        of_others = [
            question.text
            for other in collections
            if other.name.partition("-")[0] != collection.name.partition("-")[0]
            for question in other.questions
        ]
        chosen = np.random.default_rng(0).permutation(len(of_others))[:OTHERS]
        results[collection.name] = judged(*ask(collection, vectors, [of_others[at] for at in chosen]))
    print(tables(results))
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
