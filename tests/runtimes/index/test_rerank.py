from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mainspring.data.documents.passages import Passage
from mainspring.errors import ContextError, RuntimeLoadError
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.rerank import CrossEncoder, LateInteraction, open_reranker
from mainspring.runtimes.index.settings import write_settings

from .encoders import WORDS, table, write_cross_encoder, write_encoder
from .indexes import index

IDF = {"red": 3.0, "blue": 3.0, "Cat": 2.0, "the": 0.1}


def found(*texts: str, score: float = 0.5) -> list[Found]:
    return [
        Found(id=str(at), passage=Passage(source="a", begin=0, end=0, text=text), quote="", score=score, dense=0.0,
              sparse=0.0, title="")
        for at, text in enumerate(texts)
    ]  # fmt: skip


def ids(text: str) -> list[int]:
    return [WORDS.index(word) if word in WORDS else 1 for word in text.lower().split()]


def similarity(question: str, texts: list[str], states: np.ndarray) -> list[float]:
    """The weighted mean of the largest cosines, by its definition."""
    centred = states - np.concatenate([states[ids(text)] for text in texts]).mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    weights = np.array([IDF.get(word, 0.0) for word in question.split()])
    weights = weights / weights.sum() if weights.any() else np.ones(len(weights)) / len(weights)
    return [
        float(sum(w * max(centred[one] @ centred[ids(text)].T) for w, one in zip(weights, ids(question), strict=True)))
        for text in texts
    ]


def test_late_interaction_by_its_definition(tmp_path: Path) -> None:
    states = table(6)
    reranker = LateInteraction(write_encoder(tmp_path / "e", states), lambda word: IDF.get(word, 0.0), share=0.25)
    texts = ["red green", "the of of dog dog", "cat", "the blue cat " * 30]  # the last is longer than the context
    for question in ("red Cat", "the dog", "of of", "the " * 40 + "blue"):
        expected = similarity(question, texts, states)
        np.testing.assert_allclose(reranker.similarities(question, found(*texts)), expected, atol=0.02)
        mixed = 0.75 * 0.5 + 0.25 * np.array(expected)
        np.testing.assert_allclose(reranker.scores(question, found(*texts)), mixed, atol=0.005)
    assert reranker.scores("red", []).shape == (0,)
    assert reranker.similarities("", found("red")).tolist() == [0.0]


@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_reads_both_texts_and_the_best_window(tmp_path: Path, labels: int) -> None:
    weights = np.round(table(labels, seed=3) / 4, 2)
    reranker = CrossEncoder(write_cross_encoder(tmp_path / "c", weights, context=16))
    short, long = "red the", "dog " * 20 + "blue " * 20
    logits = [weights[[2, *ids("green cat"), 3, *ids(text), 3]].sum(0) for text in (short, "cat")]
    expected = [1 / (1 + np.exp(-(one[-1] - (one[0] if labels == 2 else 0)))) for one in logits]
    scores = reranker.scores("green cat", found(short, "cat", long))
    np.testing.assert_allclose(scores[:2], expected, atol=1e-2)
    # 16 tokens are 11 of the passage beside the question and three marks, of which two windows share 4.
    tokens = ids(long)
    windows = [weights[[2, *ids("green cat"), 3, *tokens[at : at + 11], 3]].sum(0) for at in range(0, 36, 7)]
    best = max(1 / (1 + np.exp(-(one[-1] - (one[0] if labels == 2 else 0)))) for one in windows)
    assert scores[2] == pytest.approx(best, abs=1e-2)
    with pytest.raises(ContextError, match="22 tokens, and the reranker takes 16"):
        reranker.scores("red " * 19, found("cat"))


def test_threads_take_turns(tmp_path: Path) -> None:
    reranker = CrossEncoder(write_cross_encoder(tmp_path / "c", table(1, seed=3)))
    asked = [(word, found(*WORDS[4:], *(" ".join(WORDS[at:]) for at in range(4, 9)))) for word in WORDS[4:]] * 4
    alone = [reranker.scores(*one).tolist() for one in asked]
    with ThreadPoolExecutor(6) as pool:
        assert [one.tolist() for one in pool.map(lambda one: reranker.scores(*one), asked)] == alone


def test_the_settings_say_which(tmp_path: Path) -> None:
    encoder = write_encoder(tmp_path / "encoder", table(8))
    read = index(tmp_path / "i", "red cat", "blue dog")
    assert open_reranker(read, tmp_path / "i", encoder) is None
    write_cross_encoder(tmp_path / "i" / "judge", table(1))
    for name, kind in (("late-interaction", LateInteraction), ("judge", CrossEncoder)):
        write_settings(tmp_path / "i", msgspec.structs.replace(read.settings, rerank=name))
        assert isinstance(open_reranker(Index.load(tmp_path / "i"), tmp_path / "i", encoder), kind)
    write_settings(tmp_path / "i", msgspec.structs.replace(read.settings, rerank="none such"))
    with pytest.raises(RuntimeLoadError, match="none such"):
        open_reranker(Index.load(tmp_path / "i"), tmp_path / "i", encoder)
    with pytest.raises(RuntimeLoadError, match="logits"):
        CrossEncoder(encoder)
    with pytest.raises(RuntimeLoadError, match="3"):
        CrossEncoder(write_cross_encoder(tmp_path / "three", table(3))).scores("red", found("cat"))
