from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from mainspring.data.documents.passages import Passage
from mainspring.errors import DataError, RequestError, RuntimeLoadError, StoreError
from mainspring.runtimes.index.diversity import maximal_marginal_relevance
from mainspring.runtimes.index.filters import read_filter
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.settings import SETTINGS, write_settings
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter

from .indexes import EMBEDDER, WIDTH, document, index, units, write


def test_what_is_found_is_shown_as_it_stands_in_its_document(tmp_path: Path) -> None:
    texts = ["Für Skier 😀 gilt: 23 kg.", "Flüssigkeiten – höchstens 100 ml.", "東京 nach Zürich"]
    one = document("bags.md", *texts, author="Änne", year=2024)
    write(tmp_path, [one, document("pets.md", "Dogs fly in the hold.")], {texts[1]: units(1)[0]})
    read = Index.load(tmp_path)
    found = read.search("flüssigkeiten", units(1)[0], 2)
    assert found[0].quote == found[0].passage.text == texts[1]
    assert found[0].passage == one[1][1]
    assert (found[0].title, found[0].metadata) == ("bags", {"author": "Änne", "year": 2024})
    assert found[0].dense == pytest.approx(1, abs=1e-3)
    assert read.passage(found[0].id) == one[1][1]
    assert read.quote(one[1][2]) == texts[2]
    assert read.text("bags.md") == one[0].text
    assert [listed.source for listed in read.documents()] == ["bags.md", "pets.md"]
    assert [(id_ == passage.id(EMBEDDER.digest)) for id_, passage in read.passages()] == [True] * 4
    for unknown in ("0" * 64, "abc", "xyz"):
        with pytest.raises(RequestError):
            read.passage(unknown)
    with pytest.raises(RequestError, match=r"no\.md"):
        read.text("no.md")
    read.close()


@pytest.mark.parametrize("count", [0, 1, 3, 90])
def test_k_may_be_more_than_there_are(tmp_path: Path, count: int) -> None:
    read = index(tmp_path, *(f"word number{at}" for at in range(count)))
    assert read.count == count
    assert len(read.search("word", units(1)[0], 200)) == count
    assert len(read.search("word", units(1)[0], 200, dense_weight=0.0)) == count
    assert read.search("word", units(1)[0], 0) == []
    assert len(read.search("", units(1)[0], 2)) == min(2, count)
    assert read.search("unheard", units(1)[0], 2, dense_weight=0.0) == []
    assert len(list(read.passages())) == len(list(read.documents())) == count
    read.close()


def test_words_and_meaning_are_weighed(tmp_path: Path) -> None:
    vectors = {"the flux capacitor": units(2)[0], "something else": units(2)[1]}
    write(tmp_path, [document("a", "the flux capacitor"), document("b", "something else")], vectors)
    read = Index.load(tmp_path)

    def best(weight: float) -> str:
        return read.search("flux capacitors", units(2)[1], 1, dense_weight=weight)[0].quote

    assert best(1.0) == "something else"
    assert best(0.0) == "the flux capacitor"
    for one in read.search("flux capacitors", units(2)[1], 2, dense_weight=0.4):
        assert one.score == pytest.approx(0.4 * one.dense + 0.6 * one.sparse, abs=1e-5)


def test_of_equal_texts_the_first_is_given(tmp_path: Path) -> None:
    same = [document(f"{at}.md", "The  same\nnotice.", f"Page {at}.") for at in range(40)]
    write(tmp_path, same, {"The  same\nnotice.": units(1)[0]})
    read = Index.load(tmp_path)
    found = read.search("same notice", units(1)[0], 5)
    assert len(found) == 5
    assert sum("same" in one.quote for one in found) == 1
    assert "same" in found[0].quote


def test_thousands_of_equal_texts_are_not_all_read(tmp_path: Path) -> None:
    blank, one = "Left blank.", units(1)[0]
    write(
        tmp_path, [document("blank.md", *[blank] * 6000), document("other.md", "Other.")], {blank: one, "Other.": -one}
    )
    assert [hit.quote for hit in Index.load(tmp_path).search("blank", one, 5)] == [blank]


def test_filters_and_pages(tmp_path: Path) -> None:
    write(tmp_path, [document(f"{at}.md", "one", "two", year=2020 + at) for at in range(5)])
    read = Index.load(tmp_path)
    where = read_filter({"year": {"gte": 2021, "lt": 2024}, "page": 2, "source": {"not": "2.md"}})
    found = read.search("two", units(1)[0], 9, where)
    assert [one.quote for one in found] == ["two"]  # of the equal texts the best
    assert found[0].passage.source in {"1.md", "3.md"}
    assert read.search("two", units(1)[0], 9, read_filter({"nothing": 1})) == []


def test_vectors_of_texts_that_moved_are_taken_over(tmp_path: Path) -> None:
    write(tmp_path, [document("a.md", "one", "two")], {"two": units(1, seed=9)[0]})
    read = Index.load(tmp_path)
    moved = Passage(source="b.md", begin=100, end=103, text="two")
    here, vectors = read.vectors([Passage(source="a.md", begin=0, end=5, text="three"), moved])
    assert here.tolist() == [False, True]
    np.testing.assert_array_equal(vectors, units(1, seed=9).astype(np.float16).astype(np.float32))
    assert read.vectors([])[1].shape == (0, WIDTH)


def test_diversity_chooses_what_differs(tmp_path: Path) -> None:
    a, b = units(2, seed=4)
    b = b - (a @ b) * a
    b /= np.linalg.norm(b)
    near = {"first": a, "second": a, "third": (0.6 * a + 0.8 * b).astype(np.float32)}
    write(tmp_path, [document(text, text) for text in near], near)
    read = Index.load(tmp_path)

    def texts(diversity: float) -> set[str]:
        return {one.quote for one in read.search("", a, 2, dense_weight=1.0, diversity=diversity)}

    assert texts(0.0) == {"first", "second"}
    assert "third" in texts(0.5)


@given(st.integers(0, 1000), st.integers(0, 12), st.floats(0, 1))
def test_marginal_relevance_by_its_definition(seed: int, k: int, diversity: float) -> None:
    rng = np.random.default_rng(seed)
    scores, vectors = rng.random(9), units(9, seed)
    chosen = maximal_marginal_relevance(scores, vectors, k, diversity)
    assert len(chosen) == len(set(chosen)) == min(k, 9)
    for at, one in enumerate(chosen):

        def value(other: int, before: list[int] = chosen[:at]) -> float:
            alike = max((float(vectors[other] @ vectors[done]) for done in before), default=0.0)
            return (1 - diversity) * scores[other] - diversity * alike

        assert value(one) >= max(value(other) for other in range(9) if other not in chosen[:at]) - 1e-6


def test_files_are_read_by_the_safetensors_library(tmp_path: Path) -> None:
    write(tmp_path, [document("a", "one"), document("b", "two", "three")])
    assert load_file(tmp_path / "vectors.safetensors")["vectors"].shape == (3, WIDTH)
    assert load_file(tmp_path / "passages.safetensors")["documents"].tolist() == [0, 1, 1]
    assert set(load_file(tmp_path / "words.safetensors")) == {"terms", "frequencies"}


def test_damage_is_named_with_its_remedy(tmp_path: Path) -> None:
    settings = write(tmp_path, [document("a", "one"), document("b", "two", "three")])
    for name in [*settings.sizes, SETTINGS]:
        path = tmp_path / name
        content = path.read_bytes()
        for damaged in (None, content[:-1], content + b" {"):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(RuntimeLoadError, match=f"{name}.*fit the index again"):
                Index.load(tmp_path)
            path.write_bytes(content)
    Index.load(tmp_path).close()


def test_damage_of_the_same_size_is_found_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, [document("a", "one")])
    for name in ("passages.jsonl", "documents.jsonl", "texts.utf8"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"\xff" * len(content))
        with pytest.raises(RuntimeLoadError, match=f"{name} is damaged"):
            Index.load(tmp_path).search("one", units(1)[0], 1)
        (tmp_path / name).write_bytes(content)


def test_another_format_is_refused(tmp_path: Path) -> None:
    settings = write(tmp_path, [document("a", "one")])
    write_settings(tmp_path, msgspec.structs.replace(settings, analyzer=settings.analyzer + 1))
    with pytest.raises(RuntimeLoadError, match="analyzer"):
        Index.load(tmp_path)
    write_settings(tmp_path, msgspec.structs.replace(settings, dense_weight=0.25))
    assert Index.load(tmp_path).settings.dense_weight == 0.25


def test_an_index_of_other_passages_than_its_store_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", [document("a", "one")])
    settings = write(tmp_path / "two", [document("a", "one"), document("b", "two")])
    for name in settings.sizes:
        if name.startswith("store_"):
            (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    sizes = {name: (tmp_path / "two" / name).stat().st_size for name in settings.sizes}
    write_settings(tmp_path / "two", msgspec.structs.replace(settings, sizes=sizes))
    with pytest.raises(StoreError, match="again"):
        Index.load(tmp_path / "two")


def test_what_is_not_closed_is_not_there(tmp_path: Path) -> None:
    one, passages = document("a", "one")
    with IndexWriter(tmp_path, EMBEDDER, language="none", store=StoreSettings()) as writer:
        writer.add(one, passages, units(1))
    assert list(tmp_path.iterdir()) == []


def test_wrong_vectors_and_repeated_passages_are_refused(tmp_path: Path) -> None:
    one, passages = document("a", "one")
    with IndexWriter(tmp_path, EMBEDDER, language="none", store=StoreSettings()) as writer:
        with pytest.raises(ValueError, match="8 numbers"):
            writer.add(one, passages, units(2))
        with pytest.raises(DataError, match="no numbers"):
            writer.add(one, passages, units(1) * np.nan)
        writer.add(one, passages, units(1))
        writer.add(one, passages, units(1))
        with pytest.raises(DataError, match="twice"):
            writer.close()


def test_threads_search_at_a_time(tmp_path: Path) -> None:
    read = index(tmp_path, *(f"word{at % 7} number{at}" for at in range(60)))

    def ids(seed: int) -> list[str]:
        return [one.id for one in read.search(f"word{seed % 7}", units(1, seed)[0], 5, diversity=0.3)]

    alone = list(map(ids, range(20)))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ids, itertools.chain(range(20), range(20)))) == alone * 2
