"""Questions with known places: by them a collection is tuned and judged, version after version.

A place is written as a person would: the document, the heading's anchor, the words that answer. It is resolved against
the documents as they are now, to characters, so that what is judged by it does not depend on how a splitter cuts them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from mainspring.data.documents.document import Document
from mainspring.data.readers import read_named
from mainspring.errors import DataError
from mainspring.schema import Kind
from mainspring.spec import Project

Documents: TypeAlias = Mapping[str, Document] | Callable[[str], Document | None]

_COLUMNS = ("question", "source", "quote", "answer")
_WORD = re.compile(r"\w+")
_PAGE = re.compile(r"page=(\d+)")  # of a PDF (RFC 8118)
_SHOWN = 160  # characters of a text in a message


class Relevant(msgspec.Struct, frozen=True):
    """The text at `[begin, end)` of the document `source` answers a question."""

    source: str
    begin: int
    end: int


class WrittenQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table, counted from 1. `source` is None where the documents hold no answer."""

    row: int
    question: str
    source: str | None
    quote: str | None = None
    answer: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question and the places that answer it; none where the documents hold no answer.

    `sections` are the places as they were written.
    """

    text: str
    places: tuple[Relevant, ...]
    sections: tuple[str, ...] = ()
    answer: str | None = None

    @property
    def cluster(self) -> str:
        """Its first section, or else its own text: questions with the same are not independent of each other."""
        return self.sections[0] if self.sections else self.text


def clusters_of(questions: Iterable[Question]) -> np.ndarray:
    """(n,) codes of their clusters, from 0 on."""
    return np.unique([one.cluster for one in questions], return_inverse=True)[1]


class Unresolved(msgspec.Struct, frozen=True):
    """A row whose place is not in the documents: what was expected, and what is there instead."""

    row: int
    question: str
    reason: str


class Resolved(msgspec.Struct, frozen=True):
    """What became of a table of questions."""

    questions: tuple[Question, ...]
    unresolved: tuple[Unresolved, ...]


def read_questions(project: Project, model: str, named: str) -> list[WrittenQuestion]:
    """The table of `questions`, as `data` may name one: JSON lines, CSV, Parquet, `module:function`, …

    Raises:
        SpecError: there is nothing of this name.
        DataError: it cannot be read, or lacks a column; a question is empty.
    """
    kinds: dict[str, Kind] = dict.fromkeys(_COLUMNS, "text")
    table = read_named(project, model, named, None, kinds, key="questions")
    if missing := [name for name in _COLUMNS[:2] if name not in table.column_names]:
        raise DataError(
            f"{named}: questions need the columns question and source (a document's path, or path#anchor; empty where "
            f"the documents hold no answer); missing: {', '.join(missing)}; found: {', '.join(table.column_names)}"
        )
    rows = table.select([name for name in _COLUMNS if name in table.column_names]).to_pylist()
    written = []
    for number, row in enumerate(rows, start=1):
        values = {name: str(value).strip() or None for name, value in row.items() if value is not None}
        question = values.pop("question", None)
        if question is None:
            raise DataError(f"{named}: row {number} has no question")
        source = values.pop("source", None)
        if source is None and "quote" in values:
            raise DataError(f"{named}: row {number} has a quote, and no source that it stands in")
        written.append(WrittenQuestion(row=number, question=question, source=source, **values))
    return written


def resolve(written: Sequence[WrittenQuestion], documents: Documents) -> Resolved:
    """The places of all questions. Rows with the same question are one question with several places.

    A place is the quote, where there is one; else the section, down to the next heading of its level; else the whole
    document. A row whose place is not found is left out and reported.
    """
    finder = _Finder(documents)
    found: dict[str, Question] = {}
    unresolved = []
    for row in written:
        before = found.get(row.question)
        places, sections = (before.places, before.sections) if before else ((), ())
        if before and bool(before.places) != (row.source is not None):
            unresolved.append(
                Unresolved(row.row, row.question, "another row says the opposite of whether it is answered")
            )
            continue
        if row.source is not None:
            place = finder.place(row.source, row.quote)
            if isinstance(place, str):
                unresolved.append(Unresolved(row.row, row.question, place))
                continue
            if place not in places:
                places, sections = (*places, place), (*sections, row.source)
        answer = before.answer if before and before.answer else row.answer
        found[row.question] = Question(text=row.question, places=places, sections=sections, answer=answer)
    return Resolved(tuple(found.values()), tuple(unresolved))


class _Finder:
    """Finds places, and says what is there instead."""

    def __init__(self, documents: Documents) -> None:
        self._names = list(documents) if isinstance(documents, Mapping) else []
        self._get = documents.get if isinstance(documents, Mapping) else documents

    def place(self, source: str, quote: str | None) -> Relevant | str:
        document = self._get(source)  # a row's document is TABLE#KEY
        anchor = ""
        if document is None:
            name, _, anchor = source.rpartition("#") if "#" in source else (source, "", "")
            document = self._get(name)
            if document is None:
                return f"there is no document {name!r}{self._did_you_mean(name)}"
        bounds = _section(document, anchor) if anchor else (0, len(document.text))
        if isinstance(bounds, str):
            return bounds
        if quote is not None:
            stands = _quoted(document, *bounds, quote)
            if stands is None:
                nearest = _nearest(document, *bounds, quote)
                near = f"; nearest to it is {_short(nearest)!r}" if nearest else ""
                return f"{source} does not say {_short(quote)!r}{near}"
            bounds = stands
        return Relevant(document.source, *bounds)

    def _did_you_mean(self, name: str) -> str:
        close = difflib.get_close_matches(name, self._names, n=3)
        return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def _section(document: Document, anchor: str) -> tuple[int, int] | str:
    """From the heading, or of the page, to where the next one begins."""
    if document.pages and (page := _PAGE.fullmatch(anchor)):
        number, ends = int(page[1]), (*document.pages[1:], len(document.text))
        if not 1 <= number <= len(ends):
            return f"{document.source} has no page {number}; it has {len(ends)}"
        return document.pages[number - 1], ends[number - 1]
    headings = [block for block in document.blocks if block.kind == "heading"]
    at = next((at for at, heading in enumerate(headings) if heading.anchor == anchor), None)
    if at is None:
        known = [heading.anchor for heading in headings if heading.anchor]
        close = difflib.get_close_matches(anchor, known, n=3) or known[:10]
        there = f"there is {', '.join(close)}" if close else "it has no headings"
        return f"{document.source} has no heading with the anchor {anchor!r}; {there}"
    below = (heading.begin for heading in headings[at + 1 :] if heading.level <= headings[at].level)
    return headings[at].begin, next(below, len(document.text))


def _quoted(document: Document, begin: int, end: int, quote: str) -> tuple[int, int] | None:
    """Where `quote` stands: as it is written, white space aside; else in the block or row that has its words, as of a
    text that was copied without its markup.
    """
    words = quote.split()
    if not words:
        return None
    exact = re.compile(r"\s+".join(map(re.escape, words))).search(document.text, begin, end)
    if exact:
        return exact.span()
    wanted = _words(quote)
    for piece, piece_begin, piece_end in _pieces(document, begin, end):
        if wanted.strip() and wanted in _words(piece):
            return piece_begin, piece_end
    return None


def _pieces(document: Document, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
    """The blocks within these bounds, of tables the rows: text and place."""
    for block in document.blocks:
        if begin <= block.begin and block.end <= end:
            for piece in block.rows or (block,):
                yield piece.text, piece.begin, piece.end


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _nearest(document: Document, begin: int, end: int, quote: str) -> str:
    """What shares most words with the quote, as a part of the words of both (Jaccard); "" if nothing shares any."""
    wanted = set(_words(quote).split())

    def likeness(text: str) -> float:
        words = set(_words(text).split())
        return len(words & wanted) / len(words | wanted) if words else 0.0

    sentences = (
        sentence for text, _, _ in _pieces(document, begin, end) for sentence in re.split(r"(?<=[.!?])\s+", text)
    )
    nearest = max(sentences, key=likeness, default="")
    return nearest if likeness(nearest) else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
