"""Tables of HTML: what was read in their cells becomes rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from mainspring.data.documents.document import Block, Row, table_block
from mainspring.data.documents.html_tags import HEADINGS


@dataclass
class _Table:
    """A table that is open: the number of its first block, and of each row the blocks of its cells, from and to."""

    first: int
    rows: list[list[tuple[int, int]]] = field(default_factory=list)
    header: int = 0
    heads: bool = True  # whether all cells of the last row are `th`
    layout: bool = False


class Tables:
    """Those that are open. At the end of one, the last of `blocks`, which were read in it, give way to it.

    A table with headings or with another table in it is there for the layout, and leaves the blocks as they are.
    """

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self._open: list[_Table] = []

    def enter(self, tag: str) -> None:
        """The element `tag` begins."""
        if tag == "table":
            self.hold_headings()
            self._open.append(_Table(len(self._blocks)))
        elif tag in HEADINGS:
            self.hold_headings()
        elif self._open and tag == "tr":
            self._open[-1].rows.append([])
            self._open[-1].heads = True
        elif self._open and tag in ("td", "th"):
            table = self._open[-1]
            if not table.rows:
                table.rows.append([])
            table.rows[-1].append((len(self._blocks), len(self._blocks)))
            table.heads &= tag == "th"

    def hold_headings(self) -> None:
        """The innermost table holds what is no cell's."""
        if self._open:
            self._open[-1].layout = True

    def leave(self, tag: str) -> None:
        """The element `tag` ends."""
        if not self._open:
            return
        table = self._open[-1]
        if tag == "table":
            self._end(self._open.pop())
        elif tag in ("td", "th") and table.rows and table.rows[-1]:
            first, _ = table.rows[-1][-1]
            table.rows[-1][-1] = (first, len(self._blocks))
        elif tag == "thead" or (tag == "tr" and table.heads and table.header == len(table.rows) - 1):
            table.header = len(table.rows)

    def _end(self, table: _Table) -> None:
        if table.layout:
            return
        rows: list[Row] = []
        header = 0
        for number, cells in enumerate(table.rows):
            found = [self._blocks[first:after] for first, after in cells]
            if said := [block for cell in found for block in cell]:
                texts = [" ".join(word for block in cell for word in block.text.split()) for cell in found]
                rows.append(Row(said[0].begin, said[-1].end, " | ".join(texts)))
                header += number < table.header
        if rows:
            inside = self._blocks[table.first :]
            before = [block for block in inside if block.end <= rows[0].begin]  # a caption
            after = [block for block in inside if block.begin >= rows[-1].end]
            links = dict.fromkeys(link for block in inside for link in block.links)
            self._blocks[table.first :] = [*before, table_block(rows, header, links), *after]
