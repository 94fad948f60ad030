"""The lines of a reStructuredText file, of which markers are taken off as blocks are entered.

`text[i]` is line i with its white space as columns; `indent[i]` the column in which it begins (-1: it is blank);
`begin[i]` and `end[i]` the places of its first and behind its last character in the file. `enter` makes what follows a
marker begin in another column, at the place where it stands: so the body of an item or a directive is a body like any
other, though it begins in the marker's line.
"""

from __future__ import annotations

from itertools import accumulate

from mainspring.data.documents.lines import NEWLINE, line_starts


class Lines:
    """Of one file."""

    def __init__(self, source: str) -> None:
        self.source = source
        if "\r" in source:
            raw = NEWLINE.split(source)
            self.starts = line_starts(source)[:-1]
        else:
            raw = source.split("\n")
            self.starts = [0, *accumulate(len(line) + 1 for line in raw)][:-1]
        spaced = raw
        if any(space in source for space in "\t\f\v"):
            spaced = [line.replace("\f", " ").replace("\v", " ").expandtabs(8) for line in raw]
        self.text = [line.rstrip() for line in spaced]
        self.indent = [len(line) - len(line.lstrip(" ")) if line else -1 for line in self.text]
        stripped = self.text if spaced is raw else [line.rstrip() for line in raw]
        self.begin = [start + len(line) - len(line.lstrip()) for start, line in zip(self.starts, raw, strict=True)]
        self.end = [start + len(line) for start, line in zip(self.starts, stripped, strict=True)]
        self._raw = raw

    def __len__(self) -> int:
        return len(self.text)

    def enter(self, i: int, marker: int, column: int) -> None:
        """Take the first `marker` columns off line `i`; what is left of it begins in `column`."""
        left = self.text[i][marker:]
        rest = left.lstrip(" ")
        if not rest:
            self.text[i], self.indent[i] = "", -1
            return
        self.begin[i] = self._place(i, rest.lstrip())
        self.text[i], self.indent[i] = " " * column + rest, column

    def _place(self, i: int, rest: str) -> int:
        """Where `rest`, the end of line `i`, begins: without tabs, as many characters before the line's end."""
        if "\t" not in self._raw[i]:
            return self.end[i] - len(rest)
        return self.starts[i] + len(self._raw[i].rstrip()) - _written(self._raw[i].rstrip(), len(rest))

    def block(self, i: int, last: int, column: int) -> int:
        """Behind the last line of those from `i` on that are blank or indented beyond `column`, before `last`."""
        after = i
        indent = self.indent
        while i < last:
            if indent[i] > column:
                after = i + 1
            elif indent[i] >= 0:
                break
            i += 1
        return after

    def least(self, i: int, last: int, default: int) -> int:
        """The least column in which one of the lines begins."""
        return min((indent for indent in self.indent[i:last] if indent >= 0), default=default)

    def skip_blank(self, i: int, last: int) -> int:
        """The first line from `i` on that is not blank, or `last`."""
        while i < last and self.indent[i] < 0:
            i += 1
        return i

    def paragraph(self, i: int, last: int, column: int) -> int:
        """Behind the last line of those from `i` on that begin in `column`, with no blank one between them."""
        indent = self.indent
        while i < last and indent[i] == column:
            i += 1
        return i


def _written(raw: str, columns: int) -> int:
    """How many characters at the end of `raw` take `columns` columns."""
    total = len(raw.expandtabs(8))
    characters = len(raw)
    while characters and total - len(raw[: characters - 1].expandtabs(8)) <= columns:
        characters -= 1
    return len(raw) - characters
