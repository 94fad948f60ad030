"""Passages, citations and answers as clients get them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mainspring.data.documents.document import Value
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.language.protocol import Answered, Citation


class PassageFound(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that was found.

    `text` is what it says without markup, `quote` what stands in `document` at `[begin, end)`, in characters. `path`
    are the headings above it, the document's title first; `page` is counted from 1, of a PDF; `anchor` is the name of
    the nearest heading in links. `score` orders, `dense` is the nearness in meaning and `sparse` that in words.
    `metadata` is the document's.
    """

    id: str
    text: str
    quote: str
    score: float
    dense: float
    sparse: float
    document: str
    title: str
    path: tuple[str, ...]
    begin: int
    end: int
    page: int | None
    anchor: str | None
    metadata: dict[str, Value]

    @classmethod
    def of(cls, found: Found) -> PassageFound:
        """As a search found it."""
        passage = found.passage
        return cls(
            id=found.id,
            text=passage.text,
            quote=found.quote,
            score=found.score,
            dense=found.dense,
            sparse=found.sparse,
            document=passage.source,
            title=found.title,
            path=passage.path,
            begin=passage.begin,
            end=passage.end,
            page=passage.page,
            anchor=passage.anchor,
            metadata=found.metadata,
        )


class CitedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer says at `[begin, end)` of its text, and the `quote` that says so: it stands at `place`, [begin,
    end) of the text of `document`. `number` is that of the mark in the answer; `passage` the id of the passage it is
    of, whose `path`, `page` and `anchor` are as those of a passage. Where the quote is a row of a table, `header` is
    the place of the names of its columns. `supported` is how likely the quote supports it.
    """

    begin: int
    end: int
    number: int
    passage: str
    document: str
    title: str
    path: tuple[str, ...]
    place: tuple[int, int]
    quote: str
    page: int | None
    anchor: str | None
    header: tuple[int, int] | None
    supported: float

    @classmethod
    def of(cls, citation: Citation, found: Found) -> CitedPlace:
        """A citation, with the passage that it is of."""
        return cls(
            begin=citation.begin,
            end=citation.end,
            number=citation.number,
            passage=citation.passage,
            document=citation.source,
            title=citation.title,
            path=found.passage.path,
            place=citation.place,
            quote=citation.quote,
            page=citation.page,
            anchor=citation.anchor,
            header=citation.header,
            supported=citation.supported,
        )


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a search. `answerable` is how sure it is, from 0 to 1, that the passages hold an answer, and
    `threshold` from where on an assistant answers; null where no questions with known answers were there to learn it
    from.
    """

    id: str
    model: str
    version: str
    passages: list[PassageFound]
    answerable: float | None
    threshold: float | None


class DocumentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer from documents. In its text `[number]` marks a citation, and `citations` say what is cited, and where.

    `abstained`: the documents do not hold the answer, as far as is known. `answerable` is how sure it is that they do,
    from 0 to 1, and `threshold` from where on it is answered; null where nothing tells. `question` is what was searched
    for, with the conversation's words where it needed them. `quoted`: all sentences are the documents' own. `removed`
    is how many sentences of the model's no passage supported; `conflicts` how many contradictions are told.
    """

    answer: str
    abstained: bool
    citations: list[CitedPlace]
    question: str
    quoted: bool
    removed: int
    conflicts: int
    answerable: float | None
    threshold: float | None


class AskResult(DocumentAnswer, frozen=True, kw_only=True):
    """The answer to a question, and who gave it."""

    id: str
    model: str
    version: str


def fields_of(text: str, citations: Iterable[Citation], answered: Answered, found: Iterable[Found]) -> dict[str, Any]:
    """Those of a `DocumentAnswer` that an engine with knowledge gave; `found` are the passages that it had."""
    passages = {one.id: one for one in found}
    return {
        "answer": text,
        "abstained": answered.abstained,
        "citations": [CitedPlace.of(citation, passages[citation.passage]) for citation in citations],
        "question": answered.question,
        "quoted": answered.quoted,
        "removed": answered.removed,
        "conflicts": answered.conflicts,
        "answerable": answered.answerable,
        "threshold": answered.threshold,
    }
