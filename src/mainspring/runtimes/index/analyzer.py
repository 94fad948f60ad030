"""From a text to the terms by which it is found: of passages and of questions alike.

Text is brought to one form (Unicode's NFKC, case folded) and taken apart into words, each as its stem (Snowball;
Porter, 2001). Names as programs and manuals have them (`os.path.join`, `--dry-run`, `__init__`, `getUser`, `utf-8`) are
terms as a whole, and in their parts, so that who knows the whole name finds it first, and who knows a part finds it,
too. Scripts without spaces between words (Chinese, Japanese) give each two characters that stand together.

A term is kept as its CRC-32: of a vocabulary of 100,000, one term in 40,000 shares its number with another.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import zlib
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from mainspring.errors import require

VERSION = 1  # of what is done here: an index that was made by another one is refused
_KNOWN_WORDS = 1 << 17

_DENSE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # no spaces between words
# A flag, or words that are joined without a space: a name as a whole. Each is one or more of `_WORD`.
_NAME = re.compile(rf"(?<![\w-])--?(?=\w)[\w-]*\w|[{_DENSE}]+|\w+(?:(?:\.|-|::)\w+)*")
_WORD = re.compile(r"\w+")
_SCRIPTS = re.compile(rf"[{_DENSE}]+|[^{_DENSE}]+")
_IS_DENSE = re.compile(rf"[{_DENSE}]")
# Where a word shows its parts: "user_name", "getUser", "HTTPServer"; but neither "PDFs" nor "NASA".
_PARTED = re.compile(r"_|[a-z0-9][A-Z]|[A-Z]{2}[a-z]{2}|[^\W\d_]\d|\d[^\W\d_]")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_PART_OF_ANY = re.compile(r"[^\W\d_]+|\d+")  # whose capitals no expression of `re` knows


class Analyzer:
    """Takes texts apart. One may be used from several threads.

    Args:
        language: whose words are stemmed, as Snowball names it in lower case ("english"); "none" leaves words whole.

    Raises:
        MissingExtraError: PyStemmer is not installed, and `language` is not "none".
        ValueError: there is no stemmer for it.
    """

    def __init__(self, language: str) -> None:
        self._stemmer = None
        if language != "none":
            library = require("Stemmer", "retrieval")
            try:
                self._stemmer = library.Stemmer(language)
            except KeyError:
                raise ValueError(f"there is no stemmer for {language!r}") from None
        self._lock = threading.Lock()  # a stemmer has state
        self._terms_of = lru_cache(_KNOWN_WORDS)(self._name)
        self._numbers_of = lru_cache(_KNOWN_WORDS)(lambda name: tuple(map(term_number, self._terms_of(name))))

    def terms(self, text: str) -> list[str]:
        """The text's terms in order, each as often as it occurs."""
        return [term for name in _names(text) for term in self._terms_of(name)]

    def numbers(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The text's terms: their numbers, (n,) uint32, ascending, each once; and how often, (n,) int32."""
        numbers = [number for name in _names(text) for number in self._numbers_of(name)]
        found, counts = np.unique(np.array(numbers, np.uint32), return_counts=True)
        return found, counts.astype(np.int32)

    def _name(self, name: str) -> tuple[str, ...]:
        """The terms of what `_NAME` matches: the whole, if it has parts, and the words of it."""
        words = _WORD.findall(name)
        terms = [name.casefold()] if words != [name] else []
        for word in words:
            terms += self._word(word)
        return tuple(terms)

    def _word(self, word: str) -> Iterator[str]:
        if _IS_DENSE.search(word):
            for run in _SCRIPTS.findall(word):
                yield from _pairs(run) if _IS_DENSE.match(run) else self._word(run)
        elif _PARTED.search(word):
            yield word.casefold()
            yield from map(self._stem, (_PART if word.isascii() else _PART_OF_ANY).findall(word))
        else:
            yield self._stem(word)

    def _stem(self, word: str) -> str:
        folded = word.casefold()
        if self._stemmer is None:
            return folded
        with self._lock:
            return self._stemmer.stemWord(folded)


def term_number(term: str) -> int:
    """The number by which a term is kept: CRC-32 of its UTF-8."""
    return zlib.crc32(term.encode("utf-8", "surrogatepass"))


def _names(text: str) -> list[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\xad", "")  # a soft hyphen parts no word
    return _NAME.findall(text)


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[at : at + 2] for at in range(len(run) - 1)]
