"""Bytes become text: by their byte order mark, as UTF-8, or by a guess that is told.

charset-normalizer is right about long texts. Of short western ones it says anything ("naïve café" is cp1006 to it), so
they are taken for Windows-1252, as what is not UTF-8 mostly is.
"""

from __future__ import annotations

import codecs
import re

from mainspring.errors import DataError, require

# UTF-32's mark for little-endian begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SHORT = 200  # bytes, of which a guess is not worth more than "western"
_SAMPLE = 2**20  # bytes that are looked at to guess
_WESTERN = "cp1252"
_META = re.compile(rb"<meta\b[^>]{0,200}?\bcharset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_META_WITHIN = 1024  # bytes, as the HTML standard has it
# A file of text has no control characters but these, and hardly any by accident.
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_MOST_CONTROL = 0.01


def decode(raw: bytes, encoding: str | None = None, declared: str | None = None) -> tuple[str, str | None]:
    """The text of `raw`, line ends as they are, without a byte order mark; and what a person should know of it.

    Args:
        raw: the file.
        encoding: what the spec says that it is.
        declared: what the file itself says that it is, in its own way.

    Raises:
        DataError: it is no text, or not in `encoding`.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(name), None
            except UnicodeDecodeError:
                break
    if encoding is not None:
        try:
            return raw.decode(encoding), None
        except (UnicodeDecodeError, LookupError) as error:
            raise DataError(f"is not {encoding}, as `encoding` says: {error}") from None
    if declared is not None:
        try:
            return raw.decode(declared), None
        except (UnicodeDecodeError, LookupError):
            pass  # many say one and are another
    if not _is_binary(raw):
        try:
            return raw.decode(), None
        except UnicodeDecodeError:
            pass
    return _guessed(raw)


def declared_in_html(raw: bytes) -> str | None:
    """The encoding in `<meta charset=…>`, or in its older form."""
    match = _META.search(raw[:_META_WITHIN])
    name = match[1].decode() if match else None
    # Whoever could write a `meta` that is found is no UTF-16; the standard also takes Latin-1 for Windows-1252.
    if name is None or name.lower().startswith("utf-16"):
        return None
    return _WESTERN if name.lower() in ("iso-8859-1", "latin1", "ascii", "us-ascii") else name


def _is_binary(raw: bytes) -> bool:
    sample = raw[:_SAMPLE]
    return len(sample) - len(sample.translate(None, _CONTROL)) > _MOST_CONTROL * len(sample)


def _guessed(raw: bytes) -> tuple[str, str]:
    sample = raw[:_SAMPLE]
    best = require("charset_normalizer", "retrieval").from_bytes(sample).best()
    if best is None or (_is_binary(raw) and not best.encoding.startswith(("utf_16", "utf_32"))):
        raise DataError("is binary: no encoding makes text of it")
    name = best.encoding
    if not name.startswith("utf_") and (len(raw) < _SHORT or _WESTERN in best.could_be_from_charset):
        name = _WESTERN
    try:
        return raw.decode(name), f"its encoding is a guess: {name}; `encoding` says it for sure"
    except UnicodeDecodeError:
        text = raw.decode(name, errors="replace")
        lost = text.count("\ufffd")
        return text, f"its encoding is a guess: {name}, in which {lost} characters are not readable"
