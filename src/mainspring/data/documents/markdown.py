"""Markdown (CommonMark, with GitHub's tables and strike-through), by markdown-it.

It tells the lines of each block, in which a newline is CR, LF or both. Inline markup is parsed a block at a time, and
not at all where a block is very long: its time grows with the square of that in the worst case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from mainspring.data.documents import html
from mainspring.data.documents.document import Block, BlockKind, Content, Row, table_block
from mainspring.data.documents.front_matter import front_matter
from mainspring.data.documents.lines import line_starts, stripped, unified
from mainspring.data.documents.slugs import Slugs
from mainspring.errors import require

_LONGEST_INLINE = 50_000  # characters
_DEEPEST = 100  # what is nested deeper is left out by markdown-it
_EXPLICIT_ANCHOR = re.compile(r"\s*\{\s*#([\w:.-]+)[^{}]*\}\s*$")
_TAG_OR_COMMENT = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)


def read(text: str) -> Content:
    """The blocks of `text`; its front matter becomes metadata, and its `title` the title."""
    metadata, begin, wrong = front_matter(text)
    title = str(metadata.pop("title", ""))
    blocks = tuple(_Reader(text, begin).blocks())
    if not title:
        title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
    return Content(text=text, blocks=blocks, title=title, metadata=metadata, notes=(wrong,) if wrong else ())


@cache
def _parser() -> Any:
    parser = require("markdown_it", "retrieval").MarkdownIt("commonmark", {"maxNesting": _DEEPEST})
    parser.enable(["table", "strikethrough"])
    parser.disable(["inline", "text_join"])  # of all blocks at once
    return parser


class _Reader:
    """The blocks of one file, from the place `begin` on."""

    def __init__(self, text: str, begin: int) -> None:
        self._text = text
        self._begin = begin
        # markdown-it reads "\0" as U+FFFD, and sees lines as we do.
        self._source = text[begin:]
        self._starts = [begin + start for start in line_starts(self._source)]
        self._slugs = Slugs()
        self._references: dict[str, Any] = {}

    def blocks(self) -> Iterator[Block]:
        tokens = iter(_parser().parse(self._source, self._references))
        lists = quotes = 0
        begun = False  # an item, of which nothing was said yet
        for token in tokens:
            match token.type:
                case "bullet_list_open" | "ordered_list_open":
                    lists += 1
                case "bullet_list_close" | "ordered_list_close":
                    lists -= 1
                case "blockquote_open":
                    quotes += 1
                case "blockquote_close":
                    quotes -= 1
                case "list_item_open":
                    begun = True
                case "list_item_close":
                    begun = False
                case "paragraph_open":
                    kind: BlockKind = "item" if begun else "quote" if quotes else "paragraph"
                    yield from self._prose(next(tokens), kind, lists if begun else 0)
                    begun = False
                case "heading_open":
                    yield from self._heading(next(tokens), int(token.tag[1:]))
                    begun = False
                case "fence" | "code_block":
                    yield from self._code(token)
                    begun = False
                case "html_block":
                    yield from self._html(token)
                    begun = False
                case "table_open":
                    yield from self._table(tokens)
                    begun = False

    def _span(self, lines: list[int]) -> tuple[int, int]:
        last = min(lines[1], len(self._starts) - 1)
        return stripped(self._text, self._starts[lines[0]], self._starts[last])

    def _heading(self, inline: Any, level: int) -> Iterator[Block]:
        content = inline.content
        explicit = _EXPLICIT_ANCHOR.search(content)
        text, links = self._inline(content[: explicit.start()] if explicit else content)
        begin, end = self._span(inline.map)
        if text and begin < end:
            anchor = explicit[1] if explicit else self._slugs.of(text)
            yield Block(kind="heading", begin=begin, end=end, text=text, level=level, anchor=anchor, links=links)

    def _prose(self, inline: Any, kind: BlockKind, level: int) -> Iterator[Block]:
        text, links = self._inline(inline.content)
        begin, end = self._span(inline.map)
        if text and begin < end:
            yield Block(kind=kind, begin=begin, end=end, text=text, level=level, links=links)

    def _code(self, token: Any) -> Iterator[Block]:
        first, after = token.map
        if token.type == "fence":
            first += 1
            written = token.content.count("\n") + bool(token.content and token.content[-1] != "\n")
            after = min(after, first + written)  # the line that closes it
        if first < after and token.content.strip():
            begin, end = self._span([first, after])
            language = token.info.split()[0].strip("{}.") if token.info.split() else ""
            text = token.content.strip("\n").rstrip()
            yield Block(kind="code", begin=begin, end=end, text=text, language=language)

    def _table(self, tokens: Iterator[Any]) -> Iterator[Block]:
        rows: list[Row] = []
        links: dict[str, None] = {}
        cells: list[str] = []
        header = begin = end = 0
        for token in tokens:
            match token.type:
                case "tr_open":
                    cells = []
                    begin, end = self._span(token.map)
                case "inline":
                    text, addresses = self._inline(token.content)
                    cells.append(text)
                    links.update(dict.fromkeys(addresses))
                case "tr_close" if any(cells):
                    rows.append(Row(begin, end, " | ".join(cells)))
                case "thead_close":
                    header = len(rows)
                case "table_close":
                    break
        if rows:
            yield table_block(rows, header, links)

    def _html(self, token: Any) -> Iterator[Block]:
        begin, end = self._span(token.map)
        if not token.level:
            yield from html.blocks(self._text[begin:end], begin)
        elif text := " ".join(_TAG_OR_COMMENT.sub(" ", token.content).split()):
            yield Block(kind="paragraph", begin=begin, end=end, text=text)

    def _inline(self, content: str) -> tuple[str, tuple[str, ...]]:
        """What `content` says without markup, and the addresses of its links."""
        if len(content) > _LONGEST_INLINE:
            return unified(content).strip(), ()
        parser = _parser()
        tokens: list[Any] = []
        parser.inline.parse(content, parser, self._references, tokens)
        pieces: list[str] = []
        links: dict[str, None] = {}
        waiting = tokens[::-1]
        while waiting:
            token = waiting.pop()
            if token.type == "image":
                waiting += (token.children or [])[::-1]
            elif token.type == "link_open":
                links[str(token.attrs["href"])] = None
            else:
                pieces.append(_SAID.get(token.type, _nothing)(token))
        lines = "".join(pieces).split("\n")
        return "\n".join(" ".join(line.split()) for line in lines).strip(), tuple(links)


def _nothing(token: Any) -> str:
    return ""


def _content(token: Any) -> str:
    return str(token.content)


_SAID: dict[str, Callable[[Any], str]] = {
    "text": _content,
    "text_special": _content,
    "code_inline": _content,
    "softbreak": lambda token: " ",
    "hardbreak": lambda token: "\n",
    "html_inline": lambda token: " " if token.content[:3].lower() == "<br" else "",
}
