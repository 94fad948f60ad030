from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mainspring.errors import ContextError, RuntimeLoadError
from mainspring.runtimes.index.filters import OneOf
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.searching import Searcher
from mainspring.runtimes.index.settings import write_settings
from mainspring.runtimes.language.embedding import load_embedding

from .encoders import WORDS, table, write_encoder
from .indexes import EMBEDDER, WIDTH, document, write

CONTEXT = 12
TEXTS = ["red cat", "blue dog", "green of", "the red dog"]


class _ByLength:
    """A reranker that likes short passages."""

    def scores(self, question: str, found: Sequence[Found]) -> np.ndarray:
        return np.array([-float(len(one.quote)) for one in found])


def unit(texts: str, states: np.ndarray) -> np.ndarray:
    rows = np.array([states[[2, *map(WORDS.index, text.split()), 3]].mean(0) for text in texts.split("|")])
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(0)
    return mean / np.linalg.norm(mean)


@pytest.fixture
def read(tmp_path: Path) -> Index:
    states = table(WIDTH)
    vectors = {text: unit(text, states) for text in TEXTS}
    write(tmp_path / "i", [document(f"{at}.md", text) for at, text in enumerate(TEXTS)], vectors)
    return Index.load(tmp_path / "i")


def asked(tmp_path: Path, read: Index, *questions: str, k: int = 2, **others: object) -> list[list[Found]]:
    async def ask() -> list[list[Found]]:
        engine = load_embedding(tmp_path / "e", properties={"exact": True})
        search = Searcher(engine, read, **others)  # type: ignore[arg-type]
        try:
            return [one.found for one in await asyncio.gather(*(search(question, k) for question in questions))]
        finally:
            await engine.close()

    if not (tmp_path / "e").exists():
        write_encoder(tmp_path / "e", table(WIDTH), CONTEXT)
    return asyncio.run(ask())


def test_a_question_finds_passages(tmp_path: Path, read: Index) -> None:
    for found, text in zip(asked(tmp_path, read, *TEXTS), TEXTS, strict=True):
        assert found[0].quote == text
        assert found[0].dense == pytest.approx(1, abs=2e-3)


def test_a_question_that_is_too_long_is_embedded_in_parts(tmp_path: Path, read: Index) -> None:
    parts = ["red cat " * 4, "of the " * 4 + "dog"]  # of like length, as characters
    (found,) = asked(tmp_path, read, "".join(parts), k=4)
    expected = unit("|".join(parts), table(WIDTH))
    for one in found:
        assert one.dense == pytest.approx(float(expected @ unit(one.quote, table(WIDTH))), abs=2e-3)
    with pytest.raises(ContextError):
        asked(tmp_path, read, "red " * 500)


def test_the_prefix_of_questions_is_put_in_front(tmp_path: Path, read: Index) -> None:
    prefixed = msgspec.structs.replace(EMBEDDER, query_prefix="blue ")
    write_settings(tmp_path / "i", msgspec.structs.replace(read.settings, embedder=prefixed))
    (found,) = asked(tmp_path, Index.load(tmp_path / "i"), "dog")
    assert found[0].quote == "blue dog"
    assert found[0].dense == pytest.approx(1, abs=2e-3)


def test_a_reranker_orders_anew(tmp_path: Path, read: Index) -> None:
    (found,) = asked(tmp_path, read, "the red dog", k=3, reranker=_ByLength())
    assert [one.quote for one in found] == ["red cat", "blue dog", "green of"]
    assert [one.score for one in found] == [-7, -8, -8]


def test_filters_are_passed_on(tmp_path: Path, read: Index) -> None:
    async def ask() -> list[str]:
        engine = load_embedding(write_encoder(tmp_path / "e", table(WIDTH), CONTEXT))
        searched = await Searcher(engine, read)("red cat", 9, OneOf("source", ("1.md", "3.md")))
        await engine.close()
        assert (searched.answerable, searched.threshold) == (None, None)
        return [one.passage.source for one in searched.found]

    assert sorted(asyncio.run(ask())) == ["1.md", "3.md"]


def test_another_embedder_is_refused(tmp_path: Path, read: Index) -> None:
    asked(tmp_path, read, embedder=EMBEDDER)
    with pytest.raises(RuntimeLoadError, match="revision '0' and '1'"):
        asked(tmp_path, read, embedder=msgspec.structs.replace(EMBEDDER, revision="1"))
    with pytest.raises(RuntimeLoadError, match="8 numbers, and the engine gives 5"):
        Searcher(load_embedding(write_encoder(tmp_path / "five", table(5))), read)
