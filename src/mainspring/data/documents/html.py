"""HTML, with the place of every word, by the standard library's tokenizer.

What is not read: scripts, styles, navigation, forms' choices. A table that holds headings or other tables is there for
the layout, and its text is read as if it were not. Blocks end where HTML lets them end, with their own tag or without
it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import msgspec

from mainspring.data.documents.document import Block, BlockKind, Content, Value, joined
from mainspring.data.documents.front_matter import text_of
from mainspring.data.documents.html_tables import Tables
from mainspring.data.documents.html_tags import BLOCKS, ENDS, HEADINGS, HELD, LISTS, SKIPPED, VOID

_CLOSING = "'>\">-->]]>"  # ends whatever is open
_TABLES = frozenset(("table",))
_CELLS = frozenset(("table", "td", "th"))
_DEEPEST = 200  # elements that are told apart; those inside are read as text
_META = {"description", "author", "date", "keywords", "article:published_time", "article:modified_time", "dc.date"}
_NAVIGATION = {"navigation", "search", "menu", "menubar"}
_MARK = re.compile(r"\b(?:headerlink|viewcode-link)\b")  # Sphinx's links beside headings
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


class _Reader(HTMLParser):
    """Blocks from the events of one text."""

    def __init__(self, text: str, begin: int) -> None:
        super().__init__(convert_charrefs=False)  # with it, the places of text with entities are lost
        self.blocks: list[Block] = []
        self.metadata: dict[str, Value] = {}
        self.title: list[str] = []
        self._text = text
        self._offset = begin
        self._last = begin + len(text)
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._open: list[str] = []  # elements of `HELD`
        self._skipped: list[str] = []  # the element that is skipped, as often as it is open
        self._in_title = False
        self._pieces: list[str | None] = []  # None is a line break
        self._begin = self._end = 0
        self._links: dict[str, None] = {}
        self._anchor: str | None = None  # the id that was last seen, with no text since
        self._language = ""
        self._item = False  # an item is open, of which nothing was said yet
        self._tables = Tables(self.blocks)
        self._level = 0  # of the last heading
        self._signature = False  # the term that is open is the signature of a definition
        self._definitions: list[tuple[int, int]] = []  # those that are open: the block, and how deep its term was
        self._term: Block | None = None  # that was said last, and nothing of its definition

    def run(self) -> None:
        self.feed(self._text + (_CLOSING if _is_open(self._text) else ""))
        self.close()
        self._flush()
        if self._open:
            self._close(0)

    # The tokenizer's events.

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            if tag == self._skipped[0] and tag not in VOID:
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
        if tag in BLOCKS:
            self._flush()
            if self._open and self._open[-1] in HEADINGS:  # its end tag is missing
                self._open.pop()
        if tag in SKIPPED or given.get("role") in _NAVIGATION or _MARK.search(given.get("class") or ""):
            if tag not in VOID:
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
        if tag in HELD:
            self._enter(tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in SKIPPED:  # else it is XHTML, and closed; `<div/>` is `<div>` to a browser
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[0]:
                self._skipped.pop()
            return
        if tag == "title":
            self._in_title = False
        if tag in BLOCKS:
            self._flush()
        if tag in HELD:
            self._leave(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._skipped:
            begin = self._place()
            data = data[: max(0, self._last - begin)]
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

    def parse_html_declaration(self, i: int) -> int:
        """`<![if …]>`, on which the tokenizer of older Pythons fails, is a comment, as it is to browsers."""
        if self.rawdata.startswith("<![", i) and not self.rawdata.startswith("<![CDATA[", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

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
        return begin, min(begin + len(self.get_starttag_text() or "<>"), self._last)

    def _name(self, name: str) -> None:
        if not self._pieces or (self._open and self._open[-1] in HEADINGS):
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
        if tag in ENDS:
            ended, within = ENDS[tag]
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
            self._item = not (tag == "dd" and self._signature)  # what a definition says is no item
            self._signature = tag == "dt" and "sig" in (given.get("class") or "").split()
        self._tables.enter(tag)

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
        if self._open[place] != "dt":
            self._end_definitions(place)
        for tag in reversed(self._open[place:]):
            self._tables.leave(tag)
            if tag in ("li", "dt", "dd"):
                self._item = False
            elif tag == "pre":
                self._language = ""
        del self._open[place:]

    def _end_definitions(self, depth: int) -> None:
        """What was said so far is all that those say whose terms were at `depth` or deeper."""
        while self._definitions and self._definitions[-1][1] >= depth:
            number, _ = self._definitions.pop()
            self.blocks[number] = msgspec.structs.replace(self.blocks[number], until=self._end)

    def _flush(self) -> None:
        """What was said since the last block is one."""
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        open_ = self._open
        kind: BlockKind = "paragraph"
        level, anchor = 0, None
        language = ""
        heading = next((tag for tag in reversed(open_[-3:]) if tag in HEADINGS), None)
        if heading is not None:
            kind, level, anchor = "heading", int(heading[1]), self._anchor
        elif self._item and self._signature:
            kind, level, anchor = "heading", self._level + 1 + len(self._definitions), self._anchor
        elif "pre" in open_[-3:]:
            kind, language = "code", self._language
        elif self._item:
            kind, level = "item", sum(tag in LISTS for tag in open_)
        elif "blockquote" in open_:
            kind = "quote"
        if kind == "code":
            text = (
                "".join("\n" if piece is None else piece for piece in pieces).replace("\r\n", "\n").strip("\n").rstrip()
            )
        else:
            text = "\n".join(filter(None, (" ".join(line.split()) for line in _lines(pieces))))
        links, self._links, self._anchor, self._item = tuple(self._links), {}, None, False
        if not text:
            return
        if heading is not None:
            self._level = level
        elif kind == "heading":
            self._definitions.append((len(self.blocks), len(open_) - 1))
            self._tables.hold_headings()
        begin, end = self._begin, self._end
        block = Block(
            kind=kind, begin=begin, end=end, text=text, level=level, anchor=anchor, language=language, links=links
        )
        within = open_[-1] if open_ and kind == "item" else ""
        if within == "dd" and self._term is not None:
            self.blocks[-1] = joined(self._term, block)
        else:
            self.blocks.append(block)
        self._term = block if within == "dt" else None


def _is_open(text: str) -> bool:
    """Whether tags or comments begin at the end of `text` that don't end: the tokenizer looks for the end of each."""
    return text.count("<", text.rfind(">") + 1) > 1 or text.count("<!--", text.rfind("-->") + 1) > 1


def _lines(pieces: list[str | None]) -> Iterator[str]:
    """What is said between breaks."""
    line: list[str] = []
    for piece in (*pieces, None):
        if piece is not None:
            line.append(piece)
        else:
            yield "".join(line)
            line = []
