"""PDF, by PDFium: pages of text, and where on the page each line is.

A PDF has letters at places, and no paragraphs. A paragraph ends where the distance to the next line, or the size of its
letters, is another. Headings are those of the outline, found in the text of their page; without an outline, short lines
in larger letters. Lines that are repeated at the top or at the bottom of pages are no part of any block.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from mainspring.data.documents.document import Block, Content, Value
from mainspring.data.documents.front_matter import text_of
from mainspring.data.documents.source import LARGEST_TEXT
from mainspring.errors import DataError, require

_LINE = re.compile(r"[^\r\n]+")
_HYPHENS = re.compile(r"[\x02\ufffe]")  # PDFium's, where a word goes on in the next line
_SOFT = "\xad"  # as which they are in the text, and as nothing in what it says
_KEPT = re.compile(f"{_SOFT}(?=[^a-zß-ÿ])")  # before a capital or a digit: "well-" and "Known"
_NUMBER = re.compile(r"^(\d{1,5})\b|\b(\d{1,5})$")
_BULLET = re.compile(r"[•◦▪‣⁃●○■–-]\s+\S")
_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?")
_GAP = 1.35  # times the usual distance of lines, and it is another paragraph
_LARGER = 1.12  # times the usual size of letters, and it is a heading
_OTHER = 1.25  # times the size of the line before, or as much smaller, and it is another paragraph
_EDGE = 3  # lines at the top and at the bottom, that are looked at for what is repeated
_REPEATED = 3  # pages at least, on which it is
_LONGEST_HEADING = 200  # characters
_MOST_NUMBERS = 5  # pages that a note names


@dataclass
class _Line:
    """A line at `begin` of the document; its `base`, on which the letters stand, and their size, both in points."""

    text: str
    begin: int
    base: float
    size: float
    level: int = 0  # of a heading
    skipped: bool = False

    @property
    def end(self) -> int:
        return self.begin + len(self.text)


@dataclass
class _Page:
    """`[begin, end)` of the document, and its lines."""

    begin: int
    lines: list[_Line] = field(default_factory=list)


def read(raw: bytes) -> Content:
    """The pages' texts, with form feeds between them; the outline's headings; the author, the date.

    Raises:
        DataError: it is encrypted, damaged, or has pictures of text only.
    """
    pdfium = require("pypdfium2", "retrieval")
    try:
        document = pdfium.PdfDocument(raw)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise DataError("is encrypted: save it without a password") from None
        raise DataError(f"is damaged: {error}") from None
    try:
        text, pages, damaged = _pages(document, pdfium)
        outline = [(item.level, _title(item), _page_of(item)) for item in document.get_toc()]
        metadata, title = _metadata(document)
    finally:
        document.close()
    empty = [number for number, page in enumerate(pages, start=1) if not page.lines and number not in damaged]
    if not any(page.lines for page in pages):
        raise DataError(f"has no text on its {len(pages)} pages: they are scanned, or empty. OCR makes text of them")
    _cut_repeated(pages)
    if not _outlined(pages, outline):
        _by_size(pages)
    notes = [f"{_numbered(empty)} no text: scanned, or empty"] * bool(empty)
    notes += [f"{_numbered(damaged)} damage, and no text was taken from there"] * bool(damaged)
    blocks = tuple(block for page in pages for block in _blocks(page))
    starts = tuple(page.begin for page in pages)
    return Content(
        text=text, blocks=blocks, title=title or _largest(pages[0]), metadata=metadata, pages=starts, notes=tuple(notes)
    )


def _pages(document: Any, pdfium: Any) -> tuple[str, list[_Page], list[int]]:
    """All text, the pages, and the numbers of those that are damaged."""
    pages: list[_Page] = []
    texts: list[str] = []
    damaged: list[int] = []
    begin = 0
    for number in range(len(document)):
        found = _Page(begin)
        text = ""
        try:
            page = document[number]
            letters = page.get_textpage()
            text = _lines(letters, found)
            letters.close()
            page.close()
        except pdfium.PdfiumError:
            damaged.append(number + 1)
        pages.append(found)
        texts.append(text)
        begin += len(text) + 1
        if begin > LARGEST_TEXT:
            raise DataError(f"has more than {LARGEST_TEXT:,} characters: divide it")
    return "\f".join(texts), pages, damaged


def _lines(letters: Any, page: _Page) -> str:
    """The text of a page, of which the lines become those of `page`."""
    raw = letters.get_text_range().replace("\f", " ").replace("\0", "\ufffd")
    pieces: list[str] = []
    begin = page.begin
    wide = 0  # characters beyond U+FFFF so far, of which each is two to PDFium
    done = 0
    for match in _LINE.finditer(raw):
        text = _HYPHENS.sub(_SOFT, match.group().rstrip())
        if said := text.lstrip():
            indented = len(text) - len(said)
            first = match.start() + indented
            wide += sum(sign > "\uffff" for sign in raw[done:first])
            done = first
            page.lines.append(_Line(said, begin + indented, *_measured(letters, first + wide, said)))
        pieces.append(text)
        begin += len(text) + 1
    return "\n".join(pieces)


def _measured(letters: Any, first: int, said: str) -> tuple[float, float]:
    """The base of the line that begins with the letter `first`, and the largest size of three of its letters."""
    x, base = ctypes.c_double(), ctypes.c_double()
    require("pypdfium2.raw", "retrieval").FPDFText_GetCharOrigin(letters.raw, first, x, base)
    shown = [place for place, sign in enumerate(said) if sign.isalnum()] or [0]
    boxes = (letters.get_charbox(first + shown[place], loose=True) for place in {0, len(shown) // 2, -1})
    return base.value, max(abs(top - bottom) for _, bottom, _, top in boxes)


def _cut_repeated(pages: list[_Page]) -> None:
    """Lines that are the same on several pages, but for their numbers, at the same edge."""
    usual = _usual_size(pages)
    for edge in (slice(None, _EDGE), slice(None, -_EDGE - 1, -1)):
        counts = Counter(key for page in pages for key in {_key(line) for line in page.lines[edge]})
        for page in pages:
            for line in page.lines[edge]:
                if counts[_key(line)] < max(_REPEATED, len(pages) // 10) or line.size > _LARGER * usual:
                    break
                line.skipped = True
        # Those with a chapter's name have the page's number in them: as far from the place of the page as on others.
        outermost = [(place, line) for place, page in enumerate(pages) for line in page.lines[edge][:1]]
        numbered = [
            (int(match[1] or match[2]) - place, line)
            for place, line in outermost
            if (match := _NUMBER.search(line.text))
        ]
        differences = Counter(difference for difference, _ in numbered)
        for difference, line in numbered:
            if differences[difference] >= max(_REPEATED, len(pages) // 4):
                line.skipped = True


def _key(line: _Line) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text)


def _usual_size(pages: list[_Page]) -> float:
    """The size of most letters."""
    counts: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            counts[round(line.size, 1)] += len(line.text)
    return counts.most_common(1)[0][0]


def _largest(page: _Page) -> str:
    """What stands in the largest letters of the first page, if they are larger than others there."""
    size = max((line.size for line in page.lines), default=0.0)
    found = [line.text for line in page.lines if line.size > size - 0.5]
    text = _said(" ".join(found))
    return text if len(found) < len(page.lines) / 2 and len(text) <= _LONGEST_HEADING else ""


def _outlined(pages: list[_Page], outline: list[tuple[int, str, int | None]]) -> bool:
    """The lines that are headings of the outline get their levels. Whether there is one."""
    found = False
    for level, title, number in outline:
        if number is None or number >= len(pages) or not (wanted := _letters(title)):
            continue
        lines = [line for line in pages[number].lines if not line.skipped]
        for place, line in enumerate(lines):
            if line.level or not (said := _letters(line.text)):
                continue
            if _same(said, wanted):
                line.level = level + 1
            elif wanted.startswith(said) and place + 1 < len(lines) and _same(
                said + _letters(lines[place + 1].text), wanted
            ):  # fmt: skip
                line.level = lines[place + 1].level = level + 1
            else:
                continue
            found = True
            break
    return found


def _same(one: str, two: str) -> bool:
    """Whether they are equal, but for a number before one of them."""
    if len(one) < len(two):
        one, two = two, one
    return bool(two) and one.endswith(two) and not one[: -len(two)].strip("0123456789abcdefivx")


def _letters(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _by_size(pages: list[_Page]) -> None:
    usual = _usual_size(pages)
    lines = [line for page in pages for line in page.lines if not line.skipped]
    larger = [line for line in lines if line.size > _LARGER * usual and len(line.text) <= _LONGEST_HEADING]
    sizes = sorted({round(line.size) for line in larger}, reverse=True)
    for line in larger:
        line.level = min(sizes.index(round(line.size)) + 1, 6)


def _blocks(page: _Page) -> Iterator[Block]:
    """The lines of a page, those together that belong together."""
    lines = [line for line in page.lines if not line.skipped]
    distances = [one.base - two.base for one, two in pairwise(lines) if one.base > two.base]
    usual = median(distances) if distances else 0.0
    together: list[_Line] = []
    for line in lines:
        if together and _parted(together[-1], line, usual):
            yield _block(together)
            together = []
        together.append(line)
    if together:
        yield _block(together)


def _parted(one: _Line, two: _Line, usual: float) -> bool:
    if one.level or two.level:
        return one.level != two.level or abs(one.size - two.size) > 1 or one.base - two.base > 2 * two.size
    distance = one.base - two.base
    if distance > _GAP * usual or distance < -two.size or _BULLET.match(two.text):
        return True
    return not 1 / _OTHER <= two.size / max(one.size, 0.1) <= _OTHER


def _block(lines: list[_Line]) -> Block:
    pieces: list[str] = []
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        hyphen = line.text.endswith((_SOFT, "-")) and after is not None and after.text[:1].islower()
        pieces.append(line.text if hyphen else line.text + " ")
    text = " ".join(_said("".join(pieces)).split())
    level = lines[0].level
    item = not level and _BULLET.match(text)
    return Block(
        kind="heading" if level else "item" if item else "paragraph",
        begin=lines[0].begin, end=lines[-1].end, text=text, level=level or int(bool(item)),
    )  # fmt: skip


def _said(text: str) -> str:
    """Words that were parted are whole. PDFium takes each hyphen at a line's end for one that parts a word."""
    return _KEPT.sub("-", text).replace(_SOFT, "")


def _title(item: Any) -> str:
    return " ".join(str(item.get_title() or "").split())


def _page_of(item: Any) -> int | None:
    place = item.get_dest()
    return place.get_index() if place is not None else None


def _metadata(document: Any) -> tuple[dict[str, Value], str]:
    """The author, the subject, keywords, and the date; and the title."""
    given = {key: text_of(" ".join(str(value).split())) for key, value in document.get_metadata_dict().items()}
    found: dict[str, Value] = {key.lower(): given[key] for key in ("Author", "Subject", "Keywords") if given.get(key)}
    if date := _DATE.match(given.get("CreationDate", "")):
        found["date"] = "-".join(part for part in date.groups() if part)
    return found, given.get("Title", "").removeprefix("Microsoft Word - ")


def _numbered(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_NUMBERS])) + ", …" * (len(numbers) > _MOST_NUMBERS)
    return f"page {shown} has" if len(numbers) == 1 else f"{len(numbers)} pages ({shown}) have"
