"""Plain text: paragraphs, with blank lines or form feeds between them."""

from __future__ import annotations

import re

from mainspring.data.documents.document import Block, Content
from mainspring.data.documents.lines import stripped, unified

_NEWLINE = r"(?:\r\n|\r(?!\n)|\n)"
_BETWEEN = re.compile(rf"{_NEWLINE}(?:[^\S\r\n]*{_NEWLINE})+|\f")


def read(text: str) -> Content:
    """The paragraphs of `text`."""
    return Content(text=text, blocks=tuple(paragraphs(text)))


def paragraphs(text: str, begin: int = 0) -> list[Block]:
    """The paragraphs of `text` from `begin` on, as they stand."""
    blocks = []
    while begin < len(text):
        match = _BETWEEN.search(text, begin)
        first, end = stripped(text, begin, match.start() if match else len(text))
        if first < end:
            blocks.append(Block(kind="paragraph", begin=first, end=end, text=unified(text[first:end])))
        begin = match.end() if match else len(text)
    return blocks
