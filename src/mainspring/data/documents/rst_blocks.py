"""The blocks of a reStructuredText file, as its scanner finds them."""

from __future__ import annotations

from mainspring.data.documents.document import Block, BlockKind, Row, joined, table_block
from mainspring.data.documents.rst_inline import Inline
from mainspring.data.documents.rst_lines import Lines


class Blocks:
    """Those found so far, and what is open: `lists` and `quotes` are how many; `item` is where the marker of an item
    is, of which nothing was said yet; `anchor` is the target that was last seen, until something else is.
    """

    def __init__(self, lines: Lines, inline: Inline) -> None:
        self.found: list[Block] = []
        self.lists = 0
        self.quotes = 0
        self.item: int | None = None
        self.anchor: str | None = None
        self._lines = lines
        self._inline = inline

    def plain(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Without inline markup, and the addresses in it."""
        return self._inline.plain(text)

    def prose(self, i: int, last: int, before: str = "", kind: BlockKind = "paragraph") -> None:
        """The lines from `i` to `last` are a paragraph; `before` is said in front of it."""
        text, links = self.plain("\n".join(self._lines.text[i:last]))
        self.said(self._lines.begin[i], self._lines.end[last - 1], before + text, links, kind)

    def said(self, begin: int, end: int, text: str, links: tuple[str, ...] = (), kind: BlockKind = "paragraph") -> None:
        """A paragraph; or the first words of an item, from its marker on."""
        level = 0
        if self.item is not None:
            begin, kind, level = min(self.item, begin), "item", self.lists
        elif self.quotes and kind == "paragraph":
            kind = "quote"
        self.anchor = self.item = None
        if text:
            self.found.append(Block(kind=kind, begin=begin, end=end, text=text, level=level, links=links))

    def code(self, i: int, last: int, language: str) -> None:
        """The lines from `i` to `last`, as they stand."""
        lines = self._lines
        i = lines.skip_blank(i, last)
        while last > i and lines.indent[last - 1] < 0:
            last -= 1
        self.item = self.anchor = None
        if i < last:
            column = lines.least(i, last, 0)
            text = "\n".join(line[column:] for line in lines.text[i:last])
            begin, end = lines.begin[i], lines.end[last - 1]
            self.found.append(Block(kind="code", begin=begin, end=end, text=text, language=language))

    def heading(self, begin: int, end: int, text: str, level: int, anchor: str | None = None) -> int:
        """The number of the block. A target before it is its anchor."""
        anchor, self.anchor, self.item = self.anchor or anchor, None, None
        text = text.strip() or self._lines.source[begin:end]  # of signs alone
        self.found.append(Block(kind="heading", begin=begin, end=end, text=text, level=level, anchor=anchor))
        return len(self.found) - 1

    def table(self, rows: list[Row], header: int, links: tuple[str, ...] = ()) -> None:
        """A table of rows that say something."""
        self.item = self.anchor = None
        if rows:
            self.found.append(table_block(rows, header, links))

    def join(self, number: int) -> None:
        """The block `number` and the paragraph behind it become one."""
        if len(self.found) > number + 1 and self.found[number + 1].kind in ("paragraph", "quote"):
            self.found[number : number + 2] = [joined(*self.found[number : number + 2])]
