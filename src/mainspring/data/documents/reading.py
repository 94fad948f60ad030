"""One file becomes a document, by its suffix, or the reason why not.

This runs in a process of its own (see `apart`), which is ended where a reader takes too much time or memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from mainspring.data.documents import encodings, html, markdown, pdf, rst, text, word
from mainspring.data.documents.document import Content, Document, Unread
from mainspring.data.documents.source import LARGEST_TEXT, MOST_BLOCKS
from mainspring.data.documents.suffixes import SUFFIXES, Format, suffix_of
from mainspring.errors import DataError

_TEXTS: dict[Format, Callable[[str], Content]] = {
    "markdown": markdown.read,
    "html": html.read,
    "rst": rst.read,
    "text": text.read,
}
_BINARIES: dict[Format, Callable[[bytes], Content]] = {"pdf": pdf.read, "word": word.read}
_WIDEST = 4  # bytes of a character, at most


def read_file(path: Path, name: str, encoding: str | None = None) -> Document | Unread:
    """What the file at `path` says, under the name `name`, which has a suffix of `SUFFIXES`.

    Args:
        path: any file.
        name: its name in the collection.
        encoding: of its text, if it is text without a byte order mark.
    """
    suffix = suffix_of(name) or ""
    try:
        raw = path.read_bytes()
        if not raw:
            return Unread(name, "is empty")
        content, notes = _content(raw, SUFFIXES[suffix], encoding)
    except DataError as error:
        return Unread(name, str(error))
    except OSError as error:
        return Unread(name, f"cannot be opened: {error.strerror or error}")
    except (MemoryError, RecursionError):
        return Unread(name, "needs more memory than a document may have")
    if not content.blocks:
        return Unread(name, "has no text" if content.text.strip() else "is empty")
    if len(content.blocks) > MOST_BLOCKS:
        return Unread(name, f"has {len(content.blocks):,} blocks; at most {MOST_BLOCKS:,} are read: divide it")
    return Document(
        source=name,
        digest=hashlib.sha256(raw).hexdigest(),
        title=content.title or _stem(name, suffix),
        text=content.text,
        blocks=content.blocks,
        metadata=content.metadata,
        pages=content.pages,
        notes=(*notes, *content.notes),
    )


def _stem(name: str, suffix: str) -> str:
    """The file's name without suffix, if it has a letter: a number is no title, and would only be noise in what is
    embedded.
    """
    file = name.rpartition("/")[2]
    stem = file[: file.lower().rindex(suffix)]
    return stem if any(map(str.isalpha, stem)) else ""


def _content(raw: bytes, format_: Format, encoding: str | None) -> tuple[Content, list[str]]:
    """What a reader finds, and how the text was decoded."""
    if (binary := _BINARIES.get(format_)) is not None:
        return binary(raw), []
    if len(raw) > _WIDEST * LARGEST_TEXT:
        raise DataError(_too_long(len(raw) // _WIDEST))
    declared = encodings.declared_in_html(raw) if format_ == "html" else None
    decoded, note = encodings.decode(raw, encoding, declared)
    if len(decoded) > LARGEST_TEXT:
        raise DataError(_too_long(len(decoded)))
    return _TEXTS[format_](decoded), [note] if note else []


def _too_long(characters: int) -> str:
    return f"has {characters:,} characters or more; at most {LARGEST_TEXT:,} are read: divide it"
