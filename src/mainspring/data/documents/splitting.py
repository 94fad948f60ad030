"""A document becomes passages: by its structure first, then by sentences, and by tokens where nothing else is left.

What stands under one heading is packed into passages of at most `most` tokens, evenly rather than one full and one with
the rest. Two headings never share a passage, with one exception: sections of level 3 and deeper that have little to say
(definitions, mostly) are packed with their neighbours under the same heading, and then say their own headings in their
text. A heading with only headings below it goes to the first of them; one with nothing at all is its own passage.

A block that is too long is cut: code at its lines, a table at its rows, its header repeated, and all else at its
sentences. What is still too long is cut at words, and a word at tokens; only there do passages overlap, because there a
thought may go on. Nothing is left out: each character of each block is in some passage's place.

The limit is on `Passage.indexed` in the embedder's own tokens, special ones and its prefix among them.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from mainspring.data.documents.cutting import Piece, Pieces
from mainspring.data.documents.document import Block, Document
from mainspring.data.documents.passages import Passage, Table
from mainspring.data.documents.tokens import Tokens

_FINEST_ALONE = 2  # sections of this level, and above it, share a passage with no other
_PART_OF_PATH = 3  # the path takes at most this part of a passage
_LITTLE = 5  # a section is small if it has at most this part of a passage


@dataclass
class _Section:
    """A heading, and what stands under it to the next one.

    `above` is the path without its own heading, `begin` where its first passage begins.
    """

    above: tuple[str, ...]
    heading: Block | None = None
    anchor: str | None = None
    begin: int | None = None
    body: list[Block] = field(default_factory=list)

    @property
    def level(self) -> int:
        return self.heading.level if self.heading is not None else 0

    @property
    def path(self) -> tuple[str, ...]:
        return self.above if self.heading is None else (*self.above, self.heading.text)

    @property
    def said(self) -> list[Block]:
        """All of it."""
        return self.body if self.heading is None else [self.heading, *self.body]


class Splitter:
    """Splits documents for one embedder.

    Args:
        tokens: counts as the embedder does.
        most: the most tokens of a passage, at least 16.
        prefix: what is put in front of each text before it is embedded.
    """

    def __init__(self, tokens: Tokens, *, most: int, prefix: str = "") -> None:
        self._tokens = tokens
        self.most = most
        self.prefix = prefix

    def split(self, document: Document) -> tuple[list[Passage], list[str]]:
        """The passages of `document` in order, and what a person should know of how it was split."""
        spare = 0
        while True:
            passages, notes = _Splitting(document, self._tokens, self.most - spare, self.prefix).done()
            over = self._over(passages)
            if not over:
                return passages, notes
            # The counts of parts don't add up for this tokenizer. With less room they do at some point.
            spare += over

    def _over(self, passages: list[Passage]) -> int:
        if self._tokens.additive or not passages:
            return 0
        texts = [self.prefix + passage.indexed for passage in passages]
        return max(0, max(self._tokens.counts(texts)) + self._tokens.special - self.most)


class _Splitting:
    """One document on its way to passages."""

    def __init__(self, document: Document, tokens: Tokens, most: int, prefix: str) -> None:
        self._document = document
        [before] = tokens.counts([prefix])
        self._room = max(1, most - tokens.special - before)
        self._tokens = tokens
        counts = tokens.counts([block.text for block in document.blocks])
        self._counts = {id(block): count for block, count in zip(document.blocks, counts, strict=True)}
        self._notes: list[str] = []
        self._pieces = Pieces(document, tokens, self._notes.append)

    def done(self) -> tuple[list[Passage], list[str]]:
        passages = [passage for section in self._packed() for passage in self._passages(section)]
        return passages, self._notes

    def _sections(self) -> Iterator[_Section]:
        """The headings with their bodies; a heading with only headings below it gives its beginning to the first.

        What follows the end of a definition is said under the headings around it.
        """
        title = (self._document.title,) if self._document.title else ()
        above: list[Block] = []
        section = _Section(title)
        for block in self._document.blocks:
            around = [heading for heading in above if not heading.until or block.begin < heading.until]
            if block.kind != "heading":
                if len(around) < len(above):
                    yield section
                    path = tuple(heading.text for heading in around)
                    anchor = around[-1].anchor if around else None
                    section = _Section(path if path[:1] == title else title + path, anchor=anchor)
                    above = around
                section.body.append(block)
                continue
            begin = block.begin
            if section.body:
                yield section
            elif section.heading is not None and section.heading in around and block.level > section.level:
                begin = min(begin, section.begin or 0)
            elif section.heading is not None:
                yield section
            above = [heading for heading in around if heading.level < block.level]
            path = tuple(heading.text for heading in above)
            section = _Section(
                path if (*path, block.text)[:1] == title else title + path, block, block.anchor or section.anchor, begin
            )
            above.append(block)
        if section.body or section.heading is not None:
            yield section

    def _packed(self) -> Iterator[_Section]:
        """Small neighbours under one heading become one section, which says their headings in its text."""
        small: list[_Section] = []
        count = 0
        for section in self._sections():
            size = sum(self._counts[id(block)] for block in section.said)
            room = self._room - self._count_path(self._cut(section.above))
            if small and (section.above != small[0].above or count + size > room):
                yield _merged(small)
                small, count = [], 0
            if section.level > _FINEST_ALONE and size <= room // _LITTLE:
                small.append(section)
                count += size
                continue
            if small:
                yield _merged(small)
                small, count = [], 0
            yield section
        if small:
            yield _merged(small)

    def _cut(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path without its middle where it takes too much room, and without more where that is not enough."""
        most = self._room // _PART_OF_PATH
        while path and self._count_path(path) > most:
            path = path[:1] + path[2:] if len(path) > 2 else path[1:]
        return path

    def _count_path(self, path: tuple[str, ...]) -> int:
        return self._tokens.counts([" > ".join(path)])[0] if path else 0

    def _passages(self, section: _Section) -> Iterator[Passage]:
        path, body = self._cut(section.path), section.body
        if section.heading is not None and (not body or path[-1:] != (section.heading.text,)):
            path, body = self._cut(section.above), section.said  # it is all there is, or too long for a path
        room = self._room - self._count_path(path)
        sizes = [(block, self._counts[id(block)]) for block in body]
        packed = list(_evenly(self._pieces.of(sizes, room), room))
        for number, pieces in enumerate(packed):
            begin = pieces[0].begin
            if not number and section.begin is not None:
                begin = min(begin, section.begin)
            header = pieces[0].header
            text, tables = _said(pieces)
            links = dict.fromkeys(link for piece in pieces for link in piece.links)
            yield Passage(
                source=self._document.source,
                begin=begin,
                end=max(piece.end for piece in pieces),
                text=text,
                path=path,
                anchor=section.anchor,
                page=bisect.bisect_right(self._document.pages, begin) or None,
                header=(header.begin, header.end) if header else None,
                links=tuple(links),
                tables=tuple(tables),
            )


def _said(pieces: list[Piece]) -> tuple[str, list[Table]]:
    """The text of a passage, and the tables in it."""
    text, tables = "", []
    for number, piece in enumerate(pieces):
        repeated = None if number else piece.header
        text += f"{repeated.text}\n" if repeated else piece.before if number else ""
        header = repeated or piece.headed
        if header is not None:
            begin = 0 if repeated else len(text)
            rows = begin + len(header.text) + 1
            tables.append(Table(begin, rows, len(text) + len(piece.text), (header.begin, header.end)))
        elif piece.header is not None and tables and tables[-1].header == (piece.header.begin, piece.header.end):
            tables[-1] = msgspec.structs.replace(tables[-1], end=len(text) + len(piece.text))
        text += piece.text
    return text, tables


def _merged(sections: list[_Section]) -> _Section:
    first = sections[0]
    if len(sections) == 1:
        return first
    return _Section(first.above, None, first.anchor, first.begin, [block for one in sections for block in one.said])


def _evenly(pieces: list[Piece], room: int) -> Iterator[list[Piece]]:
    """Pack pieces into as few passages as hold them, of about the same size."""
    total = sum(piece.count for piece in pieces)
    target = total / max(1, -(-total // room))
    packed: list[Piece] = []
    count = 0
    for piece in pieces:
        header = piece.header.count if piece.header is not None else 0
        if packed and (count + piece.count > room or count >= target):
            yield packed
            packed, count = [], 0
        if not packed:
            count = header
        packed.append(piece)
        count += piece.count
    if packed:
        yield packed
