"""Late interaction over the embedder's token vectors: what was found, read once more. Kept between runs."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import numpy as np
from searched import Collection, known_words
from vectors import encoder

from mainspring.runtimes.index.analyzer import Analyzer
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.index.rerank import DEPTH, LateInteraction


def sample(collection: Collection, most: int) -> np.ndarray:
    """Which questions are asked: (m,), ascending, the same every time; a smaller sample is a part of a larger one."""
    count = len(collection.questions)
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


class Late:
    """Similarities of questions with the first passages that were found for them."""

    def __init__(self, work: Path) -> None:
        self._file = work / "late.jsonl"
        self._file.touch()
        self._known = dict(json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines())
        self._encoder = encoder(work)

    def similarities(
        self, collection: Collection, orders: dict[int, list[int]], seconds: float
    ) -> dict[int, np.ndarray] | None:
        """Of each question the similarities of the first `DEPTH`; None, if there was no time for all of them."""
        keys = {at: self._key(collection, at, order) for at, order in orders.items()}
        missing = [at for at, key in keys.items() if key not in self._known]
        if missing:
            began = time.perf_counter()
            model = self._model(collection)
            for done, at in enumerate(missing):
                if time.perf_counter() - began > seconds:
                    print(f"{collection.name}: {done} questions were read again, {len(missing) - done} are left")
                    return None
                found = [self._found(collection, row) for row in orders[at][:DEPTH]]
                values = model.similarities(collection.questions[at].text, found).tolist()
                self._known[keys[at]] = values
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([keys[at], values]) + "\n")
        return {at: np.array(self._known[key]) for at, key in keys.items()}

    def seconds(self, collection: Collection, orders: dict[int, list[int]]) -> list[float]:
        """How long it takes to read anew what was found for each question."""
        model = self._model(collection)
        took = []
        for at, order in orders.items():
            found = [self._found(collection, row) for row in order[:DEPTH]]
            began = time.perf_counter()
            model.similarities(collection.questions[at].text, found)
            took.append(time.perf_counter() - began)
        return took

    def _model(self, collection: Collection) -> LateInteraction:
        words, analyzer = known_words(collection), Analyzer(collection.language)
        return LateInteraction(self._encoder, lambda word: float(words.idf(analyzer.numbers(word)[0]).max(initial=0.0)))

    def _key(self, collection: Collection, at: int, order: list[int]) -> str:
        texts = [collection.questions[at].text, *(collection.texts[row] for row in order[:DEPTH])]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()

    def _found(self, collection: Collection, row: int) -> Found:
        return Found(id="", passage=collection.passages[row], quote="", score=0, dense=0, sparse=0, title="")


def reread(order: list[int], scores: np.ndarray, similarities: np.ndarray, share: float) -> list[int]:
    """The order with the first `DEPTH` sorted anew. `scores`: (n,), of all passages."""
    head = order[:DEPTH]
    mixed = (1 - share) * scores[head] + share * similarities
    return [head[at] for at in np.argsort(-mixed, kind="stable")] + order[DEPTH:]
