"""Word (.docx), by python-docx: paragraphs and tables in their order.

The text is a line for each paragraph and each row. Not read are headers, footers, footnotes, comments, text boxes and
what was deleted while changes were tracked; tables of contents are left out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from mainspring.data.documents.document import Block, Content, Row, Value, table_block
from mainspring.data.documents.front_matter import scalar, text_of
from mainspring.data.documents.slugs import Slugs
from mainspring.data.documents.source import LARGEST_FILE, LARGEST_TEXT
from mainspring.errors import DataError, require

_LARGEST_PART = 64 * 2**20  # bytes of XML: its tree takes many times that
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SAID = {f"{_W}tab": "\t", f"{_W}br": " ", f"{_W}cr": " ", f"{_W}noBreakHyphen": "-"}
# Elements whose insides are no text of the paragraph: its settings, boxes that float, and what was deleted.
_CLOSED = frozenset(f"{_W}{name}" for name in ("pPr", "rPr", "txbxContent", "del", "moveFrom", "instrText"))
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def read(raw: bytes) -> Content:
    """The paragraphs, items, headings and tables; the title, the author and the dates of the file's properties.

    Raises:
        DataError: it is no Word file, damaged, encrypted, or much larger than it looks.
    """
    docx = require("docx", "retrieval")
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError("is encrypted, or of Word before 2007: save it as .docx without a password")
    _check_size(raw)
    try:
        document = docx.Document(io.BytesIO(raw))
        return _Reader(document).content()
    except DataError:
        raise
    except Exception as error:  # of lxml, zipfile, zlib, python-docx: whatever a damaged file makes them raise
        raise DataError(f"is damaged: {type(error).__name__}: {error}") from None


def _check_size(raw: bytes) -> None:
    """What the parts say of their sizes is also the most that is unpacked of them."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(raw)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(f"is damaged: {error}") from None
    total = sum(part.file_size for part in parts)
    if total > LARGEST_FILE:
        raise DataError(f"is {total / 2**20:,.0f} MiB unpacked; at most {LARGEST_FILE // 2**20} are read")
    for part in parts:
        if part.filename.endswith((".xml", ".rels")) and part.file_size > _LARGEST_PART:
            raise DataError(f"has {part.file_size / 2**20:,.0f} MiB in {part.filename}: divide it")


class _Reader:
    """One document on its way to blocks."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._styles = {style.style_id: style for style in document.styles if style.style_id}
        self._levels: dict[str | None, tuple[str, int]] = {}
        self._slugs = Slugs()
        self._lines: list[str] = []
        self._length = 0
        self._title = ""

    def content(self) -> Content:
        blocks = [block for element in _elements(self._document.element.body) for block in self._blocks(element)]
        properties = self._document.core_properties
        metadata: dict[str, Value] = {}
        for name in ("author", "subject", "keywords", "category", "language", "created", "modified"):
            if value := getattr(properties, name):
                metadata["date" if name == "created" else name] = scalar(value)
        title = text_of(properties.title or "") or self._title
        if not title:
            title = next((block.text for block in blocks if block.kind == "heading" and block.level == 1), "")
        return Content(text="\n".join(self._lines), blocks=tuple(blocks), title=title, metadata=metadata)

    def _blocks(self, element: Any) -> Iterator[Block]:
        if element.tag == f"{_W}tbl":
            yield from self._table(element)
            return
        said, links = self._said(element)
        text = " ".join(said.split())
        kind, level = self._kind(element)
        if not text or kind == "contents":
            return
        begin, end = self._line(said.strip())
        if kind == "title":
            self._title = self._title or text
            kind, level = "heading", 1
        if kind == "heading":
            anchor = self._slugs.of(text)
            yield Block(kind="heading", begin=begin, end=end, text=text, level=level, anchor=anchor, links=links)
        elif kind == "code":
            yield Block(kind="code", begin=begin, end=end, text=said.strip(), links=links)
        else:
            item = kind == "item"
            yield Block(
                kind="item" if item else "quote" if kind == "quote" else "paragraph",
                begin=begin, end=end, text=text, level=level if item else 0, links=links,
            )  # fmt: skip

    def _line(self, said: str) -> tuple[int, int]:
        """A line is added to the text. Its place."""
        begin = self._length
        self._lines.append(said)
        self._length += len(said) + 1
        if self._length > LARGEST_TEXT:
            raise DataError(f"has more than {LARGEST_TEXT:,} characters: divide it")
        return begin, begin + len(said)

    def _said(self, element: Any) -> tuple[str, tuple[str, ...]]:
        """The text of a paragraph, and the addresses of its links."""
        pieces: list[str] = []
        links: dict[str, None] = {}
        waiting = [element]
        while waiting:
            one = waiting.pop()
            tag = one.tag
            if tag in _CLOSED or tag == _FALLBACK:
                continue
            if tag == f"{_W}t":
                pieces.append(one.text or "")
            elif tag in _SAID:
                pieces.append(_SAID[tag])
            else:
                if tag == f"{_W}hyperlink" and (address := self._address(one.get(f"{_R}id"))):
                    links[address] = None
                waiting += reversed(one)
        return "".join(pieces), tuple(links)

    def _address(self, relation: str | None) -> str | None:
        relations = self._document.part.rels
        if relation is None or relation not in relations:
            return None
        return str(relations[relation].target_ref) if relations[relation].is_external else None

    def _kind(self, element: Any) -> tuple[str, int]:
        """What a paragraph is, by its own settings, else by its style's; and its level."""
        settings = element.pPr
        style = element.style
        if settings is not None:
            outline = settings.find(f"{_W}outlineLvl")
            if outline is not None and (level := _number(outline)) < 9:
                return "heading", level + 1
            if (numbering := settings.find(f"{_W}numPr")) is not None and self._style(style)[0] == "paragraph":
                level_of = numbering.find(f"{_W}ilvl")
                return "item", (_number(level_of) if level_of is not None else 0) + 1
        return self._style(style)

    def _style(self, style_id: str | None) -> tuple[str, int]:
        if style_id not in self._levels:
            self._levels[style_id] = self._styled(style_id)
        return self._levels[style_id]

    def _styled(self, style_id: str | None) -> tuple[str, int]:
        """By the names that built-in styles have in every language, of the style or of one that it is based on."""
        style = self._styles.get(style_id)
        for _ in range(len(self._styles)):
            if style is None:
                break
            name = (style.name or "").lower()
            first, _, rest = name.rpartition(" ")
            if first == "heading" and rest.isdecimal():
                return "heading", int(rest)
            if name == "title":
                return "title", 1
            if name.startswith("toc ") or name == "toc heading":
                return "contents", 0
            if name.startswith("list "):
                return "item", int(rest) if rest.isdecimal() else 1
            if "quote" in name:
                return "quote", 0
            if name in ("html preformatted", "macro text", "plain text", "code", "source code"):
                return "code", 0
            outline = style.element.find(f"{_W}pPr/{_W}outlineLvl")
            if outline is not None and (level := _number(outline)) < 9:
                return "heading", level + 1
            style = getattr(style, "base_style", None)
        return "paragraph", 0

    def _table(self, element: Any) -> Iterator[Block]:
        """Rows are lines, with " | " between cells; tables in cells are text of theirs."""
        rows: list[Row] = []
        links: dict[str, None] = {}
        header = 0
        for row in _wrapped(element, f"{_W}tr"):
            cells = []
            for cell in _wrapped(row, f"{_W}tc"):
                said = [self._said(paragraph) for paragraph in cell.iter(f"{_W}p")]
                cells.append(" ".join(word for text, _ in said for word in text.split()))
                links.update(dict.fromkeys(link for _, found in said for link in found))
            if any(cells):
                text = " | ".join(cells)
                rows.append(Row(*self._line(text.strip()), text))
                if header == len(rows) - 1 and row.find(f"{_W}trPr/{_W}tblHeader") is not None:
                    header = len(rows)
        look = element.find(f"{_W}tblPr/{_W}tblLook")
        if not header and look is not None and look.get(f"{_W}firstRow") == "1":
            header = 1  # in the table's design the first row is another
        if rows:
            yield table_block(rows, header, links)


def _elements(body: Any) -> Iterator[Any]:
    """Paragraphs and tables, also those in controls (`w:sdt`), which python-docx passes over."""
    for element in body:
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml", f"{_W}moveTo"):
            yield from _elements(element)


def _wrapped(parent: Any, tag: str) -> Iterator[Any]:
    """Rows of a table or cells of a row, also those in controls."""
    for element in parent:
        if element.tag == tag:
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _wrapped(element, tag)


def _number(element: Any) -> int:
    value = element.get(f"{_W}val") or ""
    return int(value) if value.isdecimal() and len(value) < 3 else 9
