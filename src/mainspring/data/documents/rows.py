"""Rows of a table, each of which is a document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from mainspring.data.documents.document import Block, Document, Unread, Value
from mainspring.data.documents.front_matter import scalar, text_of
from mainspring.data.documents.source import LARGEST_TEXT, Source
from mainspring.data.documents.text import paragraphs
from mainspring.data.readers import read_named
from mainspring.spec import Project, RetrievalSpec

_LONGEST_TITLE = 200  # characters
_BATCH = 1000  # rows that are looked at together


def row_sources(project: Project, model: str, spec: RetrievalSpec) -> list[Source]:
    """A source for each row of the table that `spec` names: `TABLE#KEY`, or its number, from 1, without `key`.

    Raises:
        SpecError: there is no such table, or it has no such columns.
        DataError: it cannot be read.
    """
    known = (*spec.text, *((spec.key,) if spec.key else ()))
    table = read_named(project, model, spec.data, spec.query, dict.fromkeys(known, "text"))
    for option, names in (("text", spec.text), ("key", (spec.key,) if spec.key else ())):
        if missing := [name for name in names if name not in table.column_names]:
            raise project.mistake(
                ("models", model, option),
                f"no column {missing[0]!r} in the data; it has {', '.join(table.column_names)}",
            )
    # The address of a database may have a password in it.
    named: str = "query" if spec.query else spec.data
    rows = _Rows(table, spec)
    taken: dict[str, int] = {}  # names, and the rows that have them
    first: dict[str, str] = {}  # digests, and the names that have them
    found = []
    for number, (key, digest) in enumerate(rows.keys()):
        name = f"{named}#{number + 1 if key is None else key}"
        if name in taken:
            reason = f"has the key of row {taken[name]}, {key!r}"
            found.append(Source(f"{name} (row {number + 1})", "", reason))
            continue
        taken[name] = number + 1
        equal = first.setdefault(digest, name)
        if equal != name:
            found.append(Source(name, "", f"is equal to {equal}"))
        else:
            found.append(Source(name, digest, None, partial(rows.read, number, name, digest)))
    return found


class _Rows:
    """A table that gives one row after the other."""

    def __init__(self, table: pa.Table, spec: RetrievalSpec) -> None:
        self._table = table
        self._spec = spec

    def keys(self) -> Iterator[tuple[str | None, str]]:
        """The key and the digest of each row."""
        for begin in range(0, len(self._table), _BATCH):
            for row in self._table.slice(begin, _BATCH).to_pylist():
                key = None if self._spec.key is None else row[self._spec.key]
                texts, metadata = self._parts(row)
                said = msgspec.json.encode(
                    [texts, {name: one for name, one in metadata.items() if name != self._spec.key}]
                )
                yield None if key is None else str(key), hashlib.sha256(said).hexdigest()

    def _parts(self, row: dict[str, Any]) -> tuple[list[str], dict[str, Value]]:
        texts = [text for name in self._spec.text if (text := "" if row[name] is None else str(row[name])).strip()]
        others = {
            name: scalar(value) for name, value in row.items() if name not in self._spec.text and value is not None
        }
        return texts, others

    def read(self, number: int, name: str, digest: str) -> Document | Unread:
        """The row `number`. Its text are its text columns, with blank lines between them; where the first of several
        is one line, it is the title.
        """
        [row] = self._table.slice(number, 1).to_pylist()
        texts, metadata = self._parts(row)
        text = "\n\n".join(texts)
        if not text.strip():
            return Unread(name, "is empty")
        if len(text) > LARGEST_TEXT:
            return Unread(name, f"has {len(text):,} characters; at most {LARGEST_TEXT:,} are read: divide it")
        blocks: list[Block] = []
        title = ""
        first = texts[0].strip()
        if len(texts) > 1 and len(first) <= _LONGEST_TITLE and len(first.splitlines()) == 1:
            begin = text.index(first)
            title = first
            blocks.append(Block(kind="heading", begin=begin, end=begin + len(first), text=first, level=1))
        blocks += paragraphs(text, len(texts[0]) if title else 0)
        return Document(
            source=name, digest=digest, title=title, text=text, blocks=tuple(blocks),
            metadata={text_of(key): value for key, value in metadata.items()},
        )  # fmt: skip
