from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.runtimes.index.analyzer import Analyzer, term_number

PLAIN = Analyzer("none")
ENGLISH = Analyzer("english")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("Flying, flies!", ["fli", "fli"]),
        ("os.path.join(a)", ["os.path.join", "os", "path", "join", "a"]),
        ("std::vector", ["std::vector", "std", "vector"]),
        ("use --dry-run or -v", ["use", "--dry-run", "dri", "run", "or", "-v", "v"]),
        ("__init__", ["__init__", "init"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("PDFs of NASA", ["pdfs", "of", "nasa"]),
        ("utf-8 UTF8", ["utf-8", "utf", "8", "utf8", "utf", "8"]),
        ("B737", ["b737", "b", "737"]),
        ("end. Next", ["end", "next"]),
        ("a -- b - c", ["a", "b", "c"]),
        ("passenger's", ["passeng", "s"]),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert ENGLISH.terms(text) == terms


def test_one_form_of_unicode() -> None:
    assert PLAIN.terms("ﬁne STRASSE straße co\xadop") == ["fine", "strasse", "strasse", "coop"]
    assert PLAIN.terms(unicodedata.normalize("NFD", "Café")) == PLAIN.terms("café") == ["café"]
    assert PLAIN.terms("naïve_x") == ["naïve_x", "naïve", "x"]


def test_scripts_without_spaces_give_pairs() -> None:
    assert PLAIN.terms("東京都 の") == ["東京", "京都", "の"]
    assert PLAIN.terms("python入門書") == ["python", "入門", "門書"]


def test_stems_are_of_the_language() -> None:
    assert Analyzer("german").terms("Häuser") == Analyzer("german").terms("Haus")
    assert PLAIN.terms("Häuser") == ["häuser"]
    with pytest.raises(ValueError, match="klingon"):
        Analyzer("klingon")


@given(st.text())
def test_any_text_has_terms_that_can_be_counted(text: str) -> None:
    terms = ENGLISH.terms(text)
    numbers, counts = ENGLISH.numbers(text)
    expected = [term_number(term) for term in terms]
    assert numbers.dtype == np.uint32
    assert dict(zip(numbers.tolist(), counts.tolist(), strict=True)) == {n: expected.count(n) for n in expected}
    assert (np.diff(numbers.astype(np.int64)) > 0).all()


def test_threads_may_share_one() -> None:
    words = [f"{stem}{end}" for stem in ("fly", "carry", "board") for end in ("ing", "s", "ed")] * 300
    alone = Analyzer("english").terms(" ".join(words))
    shared = Analyzer("english")
    with ThreadPoolExecutor(8) as pool:
        assert all(terms == alone for terms in pool.map(lambda _: shared.terms(" ".join(words)), range(16)))
