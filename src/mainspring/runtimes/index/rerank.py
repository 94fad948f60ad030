"""What was found is read once more, beside the question, and ordered anew.

A cross-encoder (Nogueira and Cho, 2019) reads question and passage as one text, and was taught to say whether they
belong together. Late interaction (ColBERT; Khattab and Zaharia, 2020) asks of every token of the question how near the
nearest of the passage's tokens is; here by the states of the embedder that the index was made with, which was not
taught that, so that rare words count for more (as in BERTScore; Zhang and others, 2020) and the first score stays a
part of the sum. Whether either pays is for an evaluation to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mainspring.errors import ContextError, RuntimeLoadError, require
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.language.embedding import GRAPH
from mainspring.runtimes.language.encoders import INPUTS, OUTPUT, load_encoder
from mainspring.runtimes.language.pooling import read_pooling

DEPTH = 20  # passages that are read
_BATCH = 4096  # tokens, padding among them
_STRIDE = 32  # tokens that two windows of a long passage share


class Reranker(Protocol):
    """Judges what was found for a question. Called from threads."""

    def scores(self, question: str, found: Sequence[Found]) -> np.ndarray:
        """(n,) float64: how good each is; the larger, the better."""


def open_reranker(index: Index, folder: Path, encoder: Path) -> Reranker | None:
    """What the settings of the index ask for; None, if nothing.

    Args:
        index: it.
        folder: the index's, in which a cross-encoder has a folder of its own.
        encoder: that of the embedder: `model.onnx` and what belongs to it.

    Raises:
        RuntimeLoadError: the model cannot be loaded.
    """
    match index.settings.rerank:
        case "off":
            return None
        case "late-interaction":
            return LateInteraction(encoder, index.idf)
        case name:
            return CrossEncoder(folder / name)


class CrossEncoder:
    """A cross-encoder: `model.onnx` (which gives `logits`), `tokenizer.json` and `config.json` in a folder.

    Its score is a probability. A passage that is too long for it is read in windows, and the best one counts.

    Raises:
        RuntimeLoadError: something is missing, damaged, or not done here.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self._model = _Model(folder, output="logits", threads=threads)

    def scores(self, question: str, found: Sequence[Found]) -> np.ndarray:
        """See `Reranker`.

        Raises:
            ContextError: the question alone is too long.
        """
        logits = self._model.pairs(question, [one.passage.indexed for one in found])
        return np.array([_probabilities(windows).max() for windows in logits], np.float64)


class LateInteraction:
    """The states of tokens, compared one by one.

    Args:
        folder: that of the embedder.
        idf: how rare a word is.
        share: what part of a score the comparison of tokens is; the rest is the score that was there.

    Raises:
        RuntimeLoadError: something is missing, damaged, or not done here.
    """

    def __init__(
        self, folder: Path, idf: Callable[[str], float], *, share: float = 0.5, threads: int | None = None
    ) -> None:
        self._model = _Model(folder, threads=threads)
        self._idf = idf
        self._share = share

    def scores(self, question: str, found: Sequence[Found]) -> np.ndarray:
        """See `Reranker`."""
        before = np.array([one.score for one in found], np.float64)
        return (1 - self._share) * before + self._share * self.similarities(question, found)

    def similarities(self, question: str, found: Sequence[Found]) -> np.ndarray:
        """(n,) float64, at most 1: the mean over the question's tokens of the largest cosine, weighted by idf."""
        if not found:
            return np.empty(0)
        asked, *passages = self._model.states([question, *(one.passage.indexed for one in found)])
        if not len(asked):
            return np.zeros(len(found))
        # All states of such a model have much in common, which says nothing.
        common = np.concatenate(passages).mean(0)
        asked = _unit(asked - common)
        weights = np.array([self._idf(word) for word in self._model.words(question)])
        weights = weights / weights.sum() if weights.any() else np.full(len(asked), 1 / len(asked))
        nearest = [(asked @ _unit(passage - common).T).max(1, initial=-1.0) for passage in passages]
        return np.array([weights @ one for one in nearest])


class _Model:
    """An encoder with its tokenizer, used by one thread at a time.

    A text that is too long is read in windows, which share some tokens; of a pair, only the second text is.
    """

    def __init__(self, folder: Path, *, output: str = OUTPUT, threads: int | None = None) -> None:
        _, self._encoder = load_encoder(folder / GRAPH, exact=False, threads=threads, output=output)
        self._context = read_pooling(folder).context
        self._stride = min(_STRIDE, self._context // 4)
        self._counting, self._tokenizer = _tokenizer(folder), _tokenizer(folder)
        self._counting.no_truncation()
        strategy = "longest_first" if output == OUTPUT else "only_second"
        self._tokenizer.enable_truncation(self._context, stride=self._stride, strategy=strategy)
        self._one_at_a_time = threading.Lock()

    def words(self, text: str) -> list[str]:
        """For each token of `states` the word that it belongs to."""
        found = []
        for window, own in self._windows(self._tokenizer.encode(text)):
            places: dict[int, tuple[int, int]] = {}
            for word, (begin, end) in zip(window.word_ids, window.offsets, strict=True):
                places[word] = (min(begin, places.get(word, (begin, end))[0]), end)
            found += [slice(*places[window.word_ids[at]]) for at in own]
        return [text[place] for place in found]

    def states(self, texts: list[str]) -> list[np.ndarray]:
        """For each text (t, width) float32: the states of its tokens, without the special ones."""
        windows = [list(self._windows(one)) for one in self._tokenizer.encode_batch(texts)]
        given = iter(self._run([window for of_one in windows for window, _ in of_one]))
        return [np.concatenate([next(given)[own] for _, own in of_one]) for of_one in windows]

    def pairs(self, first: str, seconds: list[str]) -> list[np.ndarray]:
        """For each of the second texts (windows, labels) float32: what the model gives beside the first."""
        tokens = len(self._counting.encode(first, "").ids)
        if tokens + self._stride >= self._context:
            raise ContextError(
                f"the question has {tokens} tokens, and the reranker takes {self._context}, with a passage", "question"
            )
        encodings = self._tokenizer.encode_batch([(first, second) for second in seconds])
        given = iter(self._run([window for one in encodings for window, _ in self._windows(one)]))
        return [np.stack([next(given) for _ in self._windows(one)]) for one in encodings]

    def _windows(self, encoding: Any) -> Iterator[tuple[Any, np.ndarray]]:
        """Each window of a text, and the places of the tokens that are neither special nor in the one before it."""
        for at, window in enumerate([encoding, *encoding.overflowing]):
            yield window, np.flatnonzero(np.array(window.special_tokens_mask) == 0)[self._stride if at else 0 :]

    def _run(self, encodings: list[Any]) -> list[np.ndarray]:
        """What the graph gives for each, batched by length."""
        order = sorted(range(len(encodings)), key=lambda at: len(encodings[at].ids))
        given: dict[int, np.ndarray] = {}
        with self._one_at_a_time:
            while order:
                longest = len(encodings[order[-1]].ids)
                batch = order[-max(1, _BATCH // longest) :]
                order = order[: -len(batch)]
                feeds = {name: np.zeros((len(batch), longest), np.int64) for name in INPUTS}
                for row, at in enumerate(batch):
                    one = encodings[at]
                    for name, values in zip(INPUTS, (one.ids, one.attention_mask, one.type_ids), strict=True):
                        feeds[name][row, : len(values)] = values
                # The array may be the engine's own, which the next batch writes into.
                given |= zip(batch, self._encoder(feeds).copy(), strict=True)
        return [given[at] for at in range(len(encodings))]


def _tokenizer(folder: Path) -> Any:
    path = folder / "tokenizer.json"
    try:
        tokenizer = require("tokenizers", "language").Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise RuntimeLoadError(f"{path} cannot be read: {error}") from None
    tokenizer.no_padding()
    return tokenizer


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """Of (n, 1) or (n, 2) logits the probability of "belongs together": of two labels the second is that."""
    if logits.shape[1] > 2:
        raise RuntimeLoadError(f"a cross-encoder has one label or two, and this one has {logits.shape[1]}")
    difference = logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)
    return 1 / (1 + np.exp(-difference.astype(np.float64)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
