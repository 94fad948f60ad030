"""A passage: the piece of a document that is found, cited and checked."""

from __future__ import annotations

import hashlib

import msgspec


class Table(msgspec.Struct, frozen=True, array_like=True):
    """A table, or a part of one, in the text of a passage: at `[begin, end)` of it, its rows from `rows` on, and before
    them their header, which stands at `[header[0], header[1])` of the document.
    """

    begin: int
    rows: int
    end: int
    header: tuple[int, int]


class Passage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The text at `[begin, end)` of the document `source`.

    `text` is what it says without markup; `path` are the headings above it, the document's title first. Both together
    are `indexed`: what is embedded, and in which words are looked for. `header` is the place of a table's header, where
    the passage begins in the middle of the table; `tables` are those with a header. `page` is counted from 1. `anchor`
    is that of the nearest heading.
    """

    source: str
    begin: int
    end: int
    text: str
    path: tuple[str, ...] = ()
    anchor: str | None = None
    page: int | None = None
    header: tuple[int, int] | None = None
    links: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def indexed(self) -> str:
        """The headings in one line, and the text below it."""
        return f"{' > '.join(self.path)}\n{self.text}" if self.path else self.text

    @property
    def address(self) -> str:
        """As a link has it: `fares.md#refunds`, or `fares.pdf#page=3` (RFC 8118)."""
        fragment = f"page={self.page}" if self.page is not None else self.anchor
        return f"{self.source}#{fragment}" if fragment else self.source

    @property
    def place(self) -> str:
        """Where it stands, for people: `fares.pdf, Fares > Refunds, page 3`."""
        page = f"page {self.page}" if self.page is not None else ""
        return ", ".join(part for part in (self.source, " > ".join(self.path), page) if part)

    def id(self, embedder: str) -> str:
        """The sha256 of text, place and `embedder` (an identity's digest): equal ids have equal vectors."""
        parts = (embedder, self.source, str(self.begin), str(self.end), self.indexed)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()
