"""Blocks become pieces that fit into a passage, each with its place in the document."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mainspring.data.documents.document import Block, Document
from mainspring.data.documents.tokens import Tokens

_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\n]*\S[^\n]*")
# A sentence's end: its sign, closing quotes and brackets, white space; then nothing that goes on in small letters.
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?![a-zß-ÿ,;:)])|(?<=[。！？])|\n\s*\n")
_OVERLAP = 8  # this part of the room is said again where words are cut
_MOST_AHEAD = 400  # characters of markup between two words
_CHARACTERS_A_TOKEN = 32  # of a run that is one unknown token to the tokenizer, so that no passage becomes a megabyte


@dataclass(frozen=True, slots=True)
class Header:
    """The rows of a table that say what its columns are."""

    begin: int
    end: int
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text at `[begin, end)`, of `count` tokens. `before` stands between it and the piece before it, in one
    passage; `header` stands before it where it is the first. With `headed` its own text begins with that header.
    """

    text: str
    begin: int
    end: int
    count: int
    before: str = "\n"
    header: Header | None = None
    links: tuple[str, ...] = ()
    headed: Header | None = None


class Pieces:
    """Cuts the blocks of one document. What a person should know is told to `note`."""

    def __init__(self, document: Document, tokens: Tokens, note: Callable[[str], None]) -> None:
        self._document = document
        self._tokens = tokens
        self._note = note

    def of(self, blocks: list[tuple[Block, int]], room: int) -> list[Piece]:
        """The pieces of blocks, each given with its count, none of more than `room` tokens."""
        pieces: list[Piece] = []
        for block, count in blocks:
            size = max(count, len(block.text) // _CHARACTERS_A_TOKEN)
            if size <= room:
                headed = self._header(block) if block.rows else None
                pieces.append(Piece(block.text, block.begin, block.end, size, links=block.links, headed=headed))
            elif block.rows:
                pieces += self._table(block, room)
            else:
                pieces += self._text(block, room)
        return pieces

    def _header(self, block: Block) -> Header | None:
        """A table's, if there is one, and rows below it."""
        head = block.rows[: block.header]
        if not head or len(head) == len(block.rows):
            return None
        text = "\n".join(row.text for row in head)
        return Header(head[0].begin, head[-1].end, text, self._size(text))

    def _table(self, block: Block, room: int) -> Iterator[Piece]:
        header, rows = self._header(block), block.rows[block.header :]
        if header is None or header.count > room // 2:
            if block.header:
                self._note(f"the header of the table at {block.begin} is too long to be repeated in its passages")
            header, rows = None, block.rows
        left = room - header.count if header else room
        begin = block.begin
        for number, row in enumerate(rows):
            end = rows[number + 1].begin if number + 1 < len(rows) else block.end
            end = begin + len(self._document.text[begin:end].rstrip())
            size = self._size(row.text)
            if size > left:
                self._note(f"a row at {row.begin} is longer than a passage, and was cut")
                whole = Block(kind="paragraph", begin=begin, end=end, text=row.text, links=block.links)
                for place, piece in enumerate(self._text(whole, left)):
                    text, count, above, headed = piece.text, piece.count, header, None
                    if header is not None and not number and not place:  # the header is where it stands
                        text, count, above, headed = f"{header.text}\n{text}", count + header.count, None, header
                    yield Piece(text, piece.begin, piece.end, count, piece.before, above, piece.links, headed)
            else:
                links = self._links(block, begin, end)
                if number or header is None:
                    yield Piece(row.text, begin, end, size, header=header, links=links)
                else:  # as it does here, and takes no repeating
                    text, count = f"{header.text}\n{row.text}", size + header.count
                    yield Piece(text, begin, end, count, links=links, headed=header)
            begin = end if number + 1 == len(rows) else rows[number + 1].begin

    def _text(self, block: Block, room: int) -> Iterator[Piece]:
        spans = list(_lines(block.text) if block.kind == "code" else _sentences(block.text))
        sizes = [self._size(block.text[begin:end]) for begin, end in spans]
        at: list[tuple[int, int, int]] = []
        for (begin, end), size in zip(spans, sizes, strict=True):
            if size <= room:
                at.append((begin, end, size))
            else:
                at += self._windows(block.text, begin, end, room)
        if not at:
            return
        places = _Places(block, self._document.text)
        said = 0
        for number, (begin, end, size) in enumerate(at):
            until = at[number + 1][0] if number + 1 < len(at) else len(block.text)
            source = places.span(begin if number else 0, max(end, until))
            before = block.text[said:begin] if number and begin >= said else "\n"
            said = end
            yield Piece(block.text[begin:end], *source, size, before, links=self._links(block, *source))

    def _windows(self, text: str, begin: int, end: int, room: int) -> Iterator[tuple[int, int, int]]:
        """Runs of words of at most `room` tokens; each begins a little before the last one ends."""
        words = list(self._words(text, begin, end, room))
        first = 0
        while first < len(words):
            after, count = first, 0
            while after < len(words) and count + words[after][2] <= room:
                count += words[after][2]
                after += 1
            yield words[first][0], words[after - 1][1], count
            if after == len(words):
                return
            back, again = after, 0
            while back - 1 > first and again + words[back - 1][2] <= room // _OVERLAP:
                back -= 1
                again += words[back][2]
            first = back

    def _words(self, text: str, begin: int, end: int, room: int) -> Iterator[tuple[int, int, int]]:
        found = [match.span() for match in _WORD.finditer(text, begin, end)]
        sizes = self._tokens.counts([text[start:stop] for start, stop in found])
        for (start, stop), count in zip(found, sizes, strict=True):
            if max(count, (stop - start) // _CHARACTERS_A_TOKEN) <= room:
                yield start, stop, max(count, (stop - start) // _CHARACTERS_A_TOKEN)
                continue
            longest = room * _CHARACTERS_A_TOKEN
            places = [start, *(start + cut for cut in self._tokens.cuts(text[start:stop], room)), stop]
            for one, two in itertools.pairwise(places):
                for part in range(one, two, longest):
                    until = min(two, part + longest)
                    yield part, until, room  # a passage of its own: letters that go on have other tokens than words

    def _size(self, text: str) -> int:
        return max(self._tokens.counts([text])[0], len(text) // _CHARACTERS_A_TOKEN)

    def _links(self, block: Block, begin: int, end: int) -> tuple[str, ...]:
        """Those that are written at the place; all of them for its first piece, if they are written nowhere."""
        text = self._document.text
        return tuple(
            link
            for link in block.links
            if text.find(link, begin, end) >= 0
            or (begin == block.begin and text.find(link, block.begin, block.end) < 0)
        )


class _Places:
    """Where in a document the text of a block comes from: its words are there, in this order, with markup between."""

    def __init__(self, block: Block, text: str) -> None:
        self._block = block
        self._text = text
        self._same = text[block.begin : block.end] == block.text
        self._starts: list[int] = []  # of words in the block's text
        self._spans: list[tuple[int, int]] = []  # of the same words in the document's
        if not self._same:
            self._align()

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Where the block's text from `begin` to `end` comes from, with the markup in front of it; all of the block,
        where its words are not the document's.
        """
        first, last = self._of(begin), self._of(end)
        if first >= last:
            first, last = self._block.begin, self._block.end
        return first, first + len(self._text[first:last].rstrip())

    def _of(self, at: int) -> int:
        """The place of the character `at`; it grows with `at`."""
        block = self._block
        if at <= 0 or at >= len(block.text):
            return block.begin if at <= 0 else block.end
        if self._same:
            return block.begin + at
        number = bisect.bisect_right(self._starts, at) - 1
        if number < 0:
            return block.begin
        begin, end = self._spans[number]
        if self._starts[number] < at:
            return min(begin + at - self._starts[number], end)
        least = self._spans[number - 1][1] if number else block.begin
        while begin > least and not self._text[begin - 1].isspace():
            begin -= 1
        return begin

    def _align(self) -> None:
        place, end = self._block.begin, self._block.end
        for match in _WORD.finditer(self._block.text):
            word = match.group()
            found = self._text.find(word, place, min(end, place + len(word) + _MOST_AHEAD))
            if found >= 0:
                place = found + len(word)
                self._starts.append(match.start())
                self._spans.append((found, place))


def _lines(text: str) -> Iterator[tuple[int, int]]:
    for match in _LINE.finditer(text):
        yield match.span()


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        stop = match.start() + len(match.group().rstrip())
        if text[begin:stop].strip():
            yield begin, stop
            begin = match.end()
    if text[begin:].strip():
        yield begin, len(text)
