"""A document: its text as a person would quote it, and the blocks that it is built of.

`text` is the one text that places refer to: of Markdown, HTML, reStructuredText and plain text the file as it was
decoded, with its own line ends; of a PDF the pages' texts, with a form feed between two; of Word the paragraphs and
rows, a line each; of a table the value. `text[block.begin : block.end]` is what stands at a place, and what a citation
shows. What a block says without its markup is `Block.text`: that is embedded and indexed, and never quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

BlockKind: TypeAlias = Literal["heading", "paragraph", "item", "code", "table", "quote"]
Value: TypeAlias = str | int | float | bool  # of metadata: what filters compare


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of a table: its place, and its cells, with " | " between them."""

    begin: int
    end: int
    text: str


class Block(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of a document that belongs together, at `[begin, end)` of its text. Blocks come in order, and don't
    overlap; what is between them is white space and markup.

    `level` is a heading's, from 1, or how deep an item is nested, from 1. `anchor` is a heading's name in links.
    A definition (`.. function::`) is a heading, too; what it says ends at `until`, which may be before the next heading
    (0: there, at a heading of its level or above). `rows` are those of a table; the first `header` of them say what the
    columns are. `language` is that of code, where it is told. `links` are the addresses it has.
    """

    kind: BlockKind
    begin: int
    end: int
    text: str
    level: int = 0
    anchor: str | None = None
    until: int = 0
    rows: tuple[Row, ...] = ()
    header: int = 0
    language: str = ""
    links: tuple[str, ...] = ()


def table_block(rows: Sequence[Row], header: int, links: Iterable[str] = ()) -> Block:
    """The table of `rows`, of which there is one at least."""
    text = "\n".join(row.text for row in rows)
    return Block(
        kind="table",
        begin=rows[0].begin,
        end=rows[-1].end,
        text=text,
        rows=tuple(rows),
        header=header,
        links=tuple(links),
    )


def joined(term: Block, definition: Block) -> Block:
    """An item of the two, which follow each other."""
    return Block(
        kind="item",
        begin=term.begin,
        end=definition.end,
        text=f"{term.text}\n{definition.text}",
        level=term.level,
        links=tuple(dict.fromkeys(term.links + definition.links)),
    )


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reader of one format finds, in the words of `Document`. `title` may be ""."""

    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    metadata: dict[str, Value] = {}
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was read.

    `source` names it in the collection: a path relative to the project's folder, or `TABLE#KEY` of a row. `digest` is
    the sha256 of the bytes that it was read from. `title` is its own, else the file's name without suffix if that has a
    letter, else "". `pages` are the places at which pages begin, of a PDF. `metadata` is the file's own (author, date,
    front matter, the row's other columns); `notes` is what a person should know of how it was read, as a guessed
    encoding.
    """

    source: str
    digest: str
    title: str
    text: str
    blocks: tuple[Block, ...]
    metadata: dict[str, Value] = {}
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class Unread(msgspec.Struct, frozen=True):
    """A source from which nothing was taken, and why: empty, damaged, too large, equal to another."""

    source: str
    reason: str
