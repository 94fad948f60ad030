"""Tables of reStructuredText that are drawn with signs.

    +-----+-----+        ===== =====
    | one | two |        one   two
    +=====+=====+        ===== =====
    | a   | b   |        a     b
    +-----+-----+        ===== =====

A row is what stands between two lines across the whole table, so that rows with a cell that spans them are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise

from mainspring.data.documents.document import Row
from mainspring.data.documents.rst_lines import Lines

GRID = re.compile(r"\+-[-+]+-\+ *\Z")
SIMPLE = re.compile(r"=+(?: +=+)+ *\Z")
_ACROSS = re.compile(r"\+[-=+]+\+ *\Z")
_SPANS = re.compile(r"-+(?: +-+)* *\Z")
_MARKER = re.compile(
    r"\A(?:\|(?= )|\.\. (?:[\w.+:-]+::|_[^:]+:)(?= |\Z))"
)  # of line blocks, directives and targets in cells

Plain = Callable[[str], tuple[str, tuple[str, ...]]]
Rows = tuple[list[Row], int, tuple[str, ...]]  # the rows, how many are the header, the links in them


def grid_rows(lines: Lines, i: int, last: int, column: int, plain: Plain) -> Rows:
    """The rows of the table in the lines from `i` to `last`."""
    across = [j for j in range(i, last) if _ACROSS.match(lines.text[j][column:])]
    borders = sorted({place for j in across for place, sign in enumerate(lines.text[j][column:]) if sign == "+"})
    rows: list[Row] = []
    links: dict[str, None] = {}
    header = 0
    for above, below in pairwise(across):
        cells: dict[int, list[str]] = {}
        for j in range(above + 1, below):
            for border, text in _cells(lines.text[j][column:], borders):
                cells.setdefault(border, []).append(text)
        _add(rows, links, lines, above + 1, below, (cells[border] for border in sorted(cells)), plain)
        if "=" in lines.text[below]:
            header = len(rows)
    return rows, header, tuple(links)


def _cells(line: str, borders: list[int]) -> Iterable[tuple[int, str]]:
    """The cells of a line, each with the border before it. A cell that spans columns has no border in it."""
    drawn = [border for border in borders if border < len(line) and line[border] in "|+"]
    for one, two in pairwise(drawn):
        piece = line[one + 1 : two].strip()
        yield one, "" if piece and not piece.strip("-=+") else piece


def simple_rows(
    lines: Lines, i: int, last: int, column: int, plain: Plain
) -> tuple[int, list[Row], int, tuple[str, ...]] | None:
    """The line behind the table that begins in line `i`, and its rows; None if it has no end."""
    ends = []
    top = lines.text[i][column:]
    for j in range(i + 1, last):
        if 0 <= lines.indent[j] < column:
            break
        if SIMPLE.match(line := lines.text[j][column:]) and len(line) == len(top):
            ends.append(j)
            if j + 1 == last or lines.indent[j + 1] < 0 or len(ends) == 2:
                break
    if not ends:
        return None
    starts = [match.start() for match in re.finditer("=+", top)]
    rows: list[Row] = []
    links: dict[str, None] = {}
    header = 0
    first = i + 1
    for j in range(i + 1, ends[-1] + 1):
        line = lines.text[j][column:]
        border = j in ends or _SPANS.fullmatch(line)
        # A line with nothing in its first column goes on with the row above it.
        if border or lines.indent[j] < 0 or (j > first and line[: starts[1]].strip()):
            _simple_row(rows, links, lines, first, j, column, starts, plain)
            first = j + 1 if border or lines.indent[j] < 0 else j
        if j in ends and j != ends[-1]:
            header = len(rows)
    return ends[-1] + 1, rows, header, tuple(links)


def _simple_row(
    rows: list[Row],
    links: dict[str, None],
    lines: Lines,
    i: int,
    last: int,
    column: int,
    starts: list[int],
    plain: Plain,
) -> None:
    ends = [*starts[1:], None]
    cells: list[list[str]] = [[] for _ in starts]
    for j in range(i, last):
        line = lines.text[j][column:]
        for cell, start, end in zip(cells, starts, ends, strict=True):
            cell.append(line[start:end].strip())
    _add(rows, links, lines, i, last, cells, plain)


def _add(
    rows: list[Row], links: dict[str, None], lines: Lines, i: int, last: int, cells: Iterable[list[str]], plain: Plain
) -> None:
    """A row of the lines from `i` to `last`, if they say something."""
    said = []
    for cell in cells:
        text, found = plain("\n".join(_MARKER.sub("", line) for line in cell))
        said.append(text)
        links.update(dict.fromkeys(found))
    if any(said):
        rows.append(Row(lines.begin[i], lines.end[last - 1], " | ".join(said)))
