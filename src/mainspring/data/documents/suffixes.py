"""The suffixes of files that are read, and the formats that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["markdown", "html", "rst", "text", "pdf", "word"]

SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".rst": "rst",
    ".rest": "rst",
    ".txt": "text",
    ".text": "text",
    ".pdf": "pdf",
    ".docx": "word",
}
_BINARY = ("pdf", "word")


def suffix_of(name: str) -> str | None:
    """The suffix by which `name` is read: of `faq.rst.txt`, as Sphinx has its sources, it is ".rst"."""
    *_, before, last = ["", "", *(suffix.lower() for suffix in Path(name).suffixes)]
    if last == ".txt" and SUFFIXES.get(before) not in (None, *_BINARY):
        return before
    return last if last in SUFFIXES else None
