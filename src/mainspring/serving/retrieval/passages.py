"""A passage as clients get it."""

from __future__ import annotations

import msgspec

from mainspring.data.documents.document import Value
from mainspring.data.documents.passages import Passage
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.language.protocol import Citation


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
    of, whose `path`, `page` and `anchor` are as those of a passage. `supported` is how likely the quote supports it.
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
            supported=citation.supported,
        )


def place_of(passage: Passage) -> str:
    """Where a passage stands, for people: `fares.pdf, Fares > Refunds, page 3`."""
    page = f"page {passage.page}" if passage.page is not None else ""
    return ", ".join(part for part in (passage.source, " > ".join(passage.path), page) if part)
