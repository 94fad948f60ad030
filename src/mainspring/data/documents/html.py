"""HTML, with the place of every word, by the standard library's tokenizer.

What is not read: scripts, styles, navigation, forms' choices. A table that holds headings or other tables is there for
the layout, and its text is read as if it were not. Blocks end where HTML lets them end, with their own tag or without
it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from mainspring.data.documents.document import Block, BlockKind, Content, Row, Value, table_block
from mainspring.data.documents.front_matter import text_of

_SKIPPED = frozenset((
    "script", "style", "nav", "template", "noscript", "svg", "math", "select", "textarea", "iframe", "object",
    "canvas", "audio", "video"
))  # fmt: skip
_VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr"
))  # fmt: skip
_LISTS = frozenset(("ul", "ol", "dl"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_BLOCKS = _LISTS | _HEADINGS | frozenset((
    "html", "head", "body", "title", "p", "div", "section", "article", "main", "aside", "header", "footer", "li", "dt",
    "dd", "table", "caption", "thead", "tbody", "tfoot", "tr", "td", "th", "pre", "blockquote", "figure", "figcaption",
    "hr", "address", "details", "summary", "fieldset", "legend", "form", "option", "menu", "center",
))  # fmt: skip
# A start tag ends the elements named, if they are open inside the nearest of those that hold them.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset(("li",)), _LISTS),
    "dt": (frozenset(("dt", "dd")), _LISTS),
    "dd": (frozenset(("dt", "dd")), _LISTS),
    "td": (frozenset(("td", "th")), frozenset(("tr", "table"))),
    "th": (frozenset(("td", "th")), frozenset(("tr", "table"))),
    "tr": (frozenset(("tr",)), frozenset(("table",))),
    "thead": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
    "tbody": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
    "tfoot": (frozenset(("thead", "tbody", "tfoot", "tr")), frozenset(("table",))),
}
_HELD = _LISTS | _HEADINGS | frozenset(("li", "dt", "dd", "table", "thead", "tr", "td", "th", "pre", "blockquote"))
_TABLES = frozenset(("table",))
_CELLS = frozenset(("table", "td", "th"))
_DEEPEST = 200  # elements that are told apart; those inside are read as text
_META = {"description", "author", "date", "keywords", "article:published_time", "article:modified_time", "dc.date"}
_NAVIGATION = {"navigation", "search", "menu", "menubar"}
_LANGUAGE = re.compile(r"(?:language|lang|highlight)-([\w+#.-]+)")
_NO_LANGUAGE = {"default", "none", "text"}


def read(text: str) -> Content:
    """The blocks of `text`, its title, language and `meta`."""
    reader = _Reader(text, 0)
    reader.run()
    title = " ".join("".join(reader.title).split())
    headings = [block for block in reader.blocks if block.kind == "heading"]
    first = next((block.text for block in headings if block.level == 1), "")
    if first and (not title or first in title):
        title = first  # "Fares", not "Fares — the airline's site": it is said again in the text
    return Content(text=text, blocks=tuple(reader.blocks), title=title, metadata=reader.metadata)


def blocks(text: str, begin: int = 0) -> list[Block]:
    """The blocks of a piece of HTML that stands at `begin` of a document."""
    reader = _Reader(text, begin)
    reader.run()
    return reader.blocks


@dataclass
class _Table:
    """A table that is open: the number of its first block, and of each row the first blocks of its cells."""

    first: int
    rows: list[list[tuple[int, int]]] = field(default_factory=list)
    header: int = 0
    heads: bool = True  # whether each cell was a head's so far, in this row
    layout: bool = False


class _Reader(HTMLParser):
    """Blocks from the events of one text."""

    def __init__(self, text: str, begin: int) -> None:
        super().__init__(convert_charrefs=False)  # with it, the places of text with entities are lost
        self.blocks: list[Block] = []
        self.metadata: dict[str, Value] = {}
        self.title: list[str] = []
        self._text = text
        self._offset = begin
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._open: list[str] = []  # elements of `_HELD`
        self._skipped: list[str] = []  # the element that is skipped, as often as it is open
        self._in_title = False
        self._pieces: list[str | None] = []  # None is a line break
        self._begin = self._end = 0
        self._links: dict[str, None] = {}
        self._anchor: str | None = None  # the id that was last seen, with no text since
        self._language = ""
        self._item = False  # an item is open, of which nothing was said yet
        self._tables: list[_Table] = []

    def run(self) -> None:
        self.feed(self._text)
        self.close()
        self._flush()
        while self._tables:
            self._end_table()
        self.blocks = [one for one in self.blocks if one.text]

    # The tokenizer's events.

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            if tag == self._skipped[0] and tag not in _VOID:
                self._skipped.append(tag)
            return
        if tag in ("br", "wbr"):
            if tag == "br" and self._pieces:
                self._pieces.append(None)
            return
        given = dict(attrs)
        if tag == "meta":
            self._meta(given)
        elif tag == "html" and given.get("lang"):
            self.metadata["language"] = text_of(given["lang"] or "")
        if tag in _BLOCKS:
            self._flush()
            if self._open and self._open[-1] in _HEADINGS:  # its end tag is missing
                self._open.pop()
        if tag in _SKIPPED or given.get("role") in _NAVIGATION or "headerlink" in (given.get("class") or ""):
            if tag not in _VOID:
                self._skipped.append(tag)
            return
        if name := given.get("id") or (given.get("name") if tag == "a" else None):
            self._name(name)
        if (
            tag == "a"
            and (address := (given.get("href") or "").strip())
            and not address.startswith(("#", "javascript:"))
        ):
            self._links[address] = None
        elif tag == "img" and (said := given.get("alt")):
            self._say(said, *self._tag())
        elif tag == "title" and not self._open:
            self._in_title = True
        if tag in ("pre", "code", "div") and (match := _LANGUAGE.search(given.get("class") or "")):
            self._language = "" if match[1] in _NO_LANGUAGE else match[1]
        if tag in _HELD:
            self._enter(tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SKIPPED:  # else it is XHTML, and closed; `<div/>` is `<div>` to a browser
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[0]:
                self._skipped.pop()
            return
        if tag == "title":
            self._in_title = False
        if tag in _BLOCKS:
            self._flush()
        if tag in _HELD:
            self._leave(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._skipped:
            begin = self._place()
            left = len(data) - len(data.lstrip())
            if left == len(data):
                if self._pieces:
                    self._pieces.append(data)
                return
            self._say(data, begin + left, begin + len(data.rstrip()))

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name}")

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name}")

    # What is said.

    def _reference(self, written: str) -> None:
        begin = self._place()
        at = begin - self._offset + len(written)
        end = begin + len(written) + (self._text[at : at + 1] == ";")
        said = html.unescape(f"{written};")
        if self._in_title:
            self.title.append(said)
        elif not self._skipped and (said.strip() or self._pieces):
            self._say(said, begin, end)

    def _say(self, said: str, begin: int, end: int) -> None:
        if not self._pieces:
            self._begin = begin
        self._end = end
        self._pieces.append(said)

    def _place(self) -> int:
        line, column = self.getpos()
        return self._offset + self._starts[line - 1] + column

    def _tag(self) -> tuple[int, int]:
        begin = self._place()
        return begin, begin + len(self.get_starttag_text() or "<>")

    def _name(self, name: str) -> None:
        if not self._pieces or (self._open and self._open[-1] in _HEADINGS):
            self._anchor = self._anchor if self._pieces and self._anchor else name

    def _meta(self, given: dict[str, str | None]) -> None:
        name = (given.get("name") or given.get("property") or "").lower()
        if name in _META and given.get("content"):
            key = {"article:published_time": "date", "dc.date": "date", "article:modified_time": "modified"}.get(
                name, name
            )
            self.metadata.setdefault(key, text_of((given["content"] or "").strip()))

    # Elements.

    def _enter(self, tag: str, given: dict[str, str | None]) -> None:
        if tag in _ENDS:
            ended, within = _ENDS[tag]
            for place in range(len(self._open) - 1, -1, -1):
                if self._open[place] in within:
                    break
                if self._open[place] in ended:
                    self._close(place)
                    break
        if len(self._open) >= _DEEPEST:
            return
        self._open.append(tag)
        if tag in ("li", "dt", "dd"):
            self._item = True
        elif tag == "table":
            if self._tables:
                self._tables[-1].layout = True
            self._tables.append(_Table(len(self.blocks)))
        elif self._tables and tag == "tr":
            self._tables[-1].rows.append([])
            self._tables[-1].heads = True
        elif self._tables and tag in ("td", "th"):
            table = self._tables[-1]
            if not table.rows:
                table.rows.append([])
            table.rows[-1].append((len(self.blocks), len(self.blocks)))
            table.heads &= tag == "th"
        elif self._tables and tag in _HEADINGS:
            self._tables[-1].layout = True

    def _leave(self, tag: str) -> None:
        """The end tag ends the nearest element of its name, but none outside of the cell or the table."""
        limit = _TABLES if tag in _CELLS or tag in ("tr", "thead") else _CELLS
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place] == tag:
                self._close(place)
                return
            if self._open[place] in limit:
                return

    def _close(self, place: int) -> None:
        """End the elements from `place` on."""
        for tag in reversed(self._open[place:]):
            if tag == "table" and self._tables:
                self._end_table()
            elif tag in ("td", "th") and self._tables and self._tables[-1].rows and self._tables[-1].rows[-1]:
                row = self._tables[-1].rows[-1]
                row[-1] = (row[-1][0], len(self.blocks))
            elif tag in ("tr", "thead") and self._tables:
                self._end_rows(self._tables[-1], tag == "thead")
            elif tag in ("li", "dt", "dd"):
                self._item = False
            elif tag == "pre":
                self._language = ""
        del self._open[place:]

    def _end_rows(self, table: _Table, whole: bool) -> None:
        """Rows at the top are the header: all of `thead`, or those with nothing but heads."""
        count = len(table.rows)
        if whole or (table.heads and table.header == count - 1):
            table.header = count

    def _end_table(self) -> None:
        table = self._tables.pop()
        inside = self.blocks[table.first :]
        if table.layout or not inside:
            return
        rows: list[Row] = []
        header = 0
        for number, cells in enumerate(table.rows):
            found = [self.blocks[first:after] for first, after in cells]
            said = [block for cell in found for block in cell]
            if said:
                texts = [" ".join(" ".join(block.text.split()) for block in cell) for cell in found]
                rows.append(Row(said[0].begin, said[-1].end, " | ".join(texts)))
                header += number < table.header
        if rows:
            before = [block for block in inside if block.end <= rows[0].begin]
            links = tuple(dict.fromkeys(link for block in inside for link in block.links))
            after = [block for block in inside if block.begin >= rows[-1].end]
            self.blocks[table.first :] = [
                *before,
                table_block(rows, header, links),
                *after,
            ]

    def _flush(self) -> None:
        """What was said since the last block is one."""
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        open_ = self._open
        kind: BlockKind = "paragraph"
        level, anchor = 0, None
        language = ""
        heading = next((tag for tag in reversed(open_[-3:]) if tag in _HEADINGS), None)
        if heading is not None:
            kind, level, anchor = "heading", int(heading[1]), self._anchor
        elif "pre" in open_[-3:]:
            kind, language = "code", self._language
        elif self._item:
            kind, level = "item", sum(tag in _LISTS for tag in open_)
        elif "blockquote" in open_:
            kind = "quote"
        if kind == "code":
            text = (
                "".join("\n" if piece is None else piece for piece in pieces).replace("\r\n", "\n").strip("\n").rstrip()
            )
        else:
            text = "\n".join(filter(None, (" ".join(line.split()) for line in _lines(pieces))))
        links, self._links, self._anchor, self._item = tuple(self._links), {}, None, False
        if text:
            self.blocks.append(
                Block(
                    kind=kind, begin=self._begin, end=self._end, text=text, level=level, anchor=anchor,
                    language=language, links=links,
                )
            )  # fmt: skip


def _lines(pieces: list[str | None]) -> Iterator[str]:
    """What is said between breaks."""
    line: list[str] = []
    for piece in (*pieces, None):
        if piece is not None:
            line.append(piece)
        else:
            yield "".join(line)
            line = []
