"""Where lines begin. A line ends at CR, LF or both, and nowhere else: `str.splitlines` also ends it at a form feed or
U+2028, which would shift every place after it.
"""

from __future__ import annotations

import re

NEWLINE = re.compile(r"\r\n?|\n")


def line_starts(text: str) -> list[int]:
    """The place of each line's first character; last, the length of `text`."""
    return [0, *(match.end() for match in NEWLINE.finditer(text)), len(text)]


def stripped(text: str, begin: int, end: int) -> tuple[int, int]:
    """`[begin, end)` without the white space at both ends."""
    piece = text[begin:end]
    left = len(piece) - len(piece.lstrip())
    return (begin + left, begin + len(piece.rstrip())) if left < len(piece) else (begin, begin)


def unified(text: str) -> str:
    r"""`text` with each line's end as "\n"."""
    return NEWLINE.sub("\n", text) if "\r" in text else text
