"""JSON, more strictly than parsers take it: what is wrong with a broken body and where, and keys that come twice."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from typing import Any

from mainspring.errors import BrokenJsonError, RequestError

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_BYTE = re.compile(r" \(byte (\d+)\)$")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHOWN = 80  # characters of a client's own text that a message repeats


def broken_json(body: bytes, error: Exception) -> BrokenJsonError:
    """The error for a body that does not parse; the place is a path where that can be told, otherwise a byte."""
    if not body.strip():
        return BrokenJsonError("the body is empty: expected JSON")
    if body.startswith(_BYTE_ORDER_MARK):
        return BrokenJsonError("the body begins with a byte order mark: send plain UTF-8", "byte 0")
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        return BrokenJsonError(f"the body is not UTF-8: {wrong.reason}", f"byte {wrong.start}")
    try:  # Python's parser takes NaN and Infinity, which clients in Python like to send
        parsed = json.loads(text) if "NaN" in text or "Infinity" in text else None
    except (ValueError, RecursionError):
        parsed = None
    if parsed is not None and (place := _not_finite(parsed, "$")):
        return BrokenJsonError("NaN and Infinity are not JSON: send null where a value is missing", place)
    problem = str(error).removeprefix("JSON is malformed: ")
    if match := _BYTE.search(problem):
        return BrokenJsonError(f"the body is not valid JSON: {problem[: match.start()]}", f"byte {match[1]}")
    return BrokenJsonError(f"the body is not valid JSON: {problem}", f"byte {len(body)}")


def _not_finite(value: Any, place: str) -> str | None:
    """Where in parsed JSON the first number that is not finite is."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        inside = f"{place}.{shown(key)}" if isinstance(key, str) else f"{place}[{key}]"
        if found := _not_finite(item, inside):
            return found
    return None


def refuse_duplicate_keys(body: bytes) -> None:
    """RequestError if an object anywhere in a body, which is known to be JSON, has a key twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            keys = sorted(key for key, _ in items)
            name = next(key for key, following in pairwise(keys) if key == following)
            raise RequestError(f"the field {shown(name)!r} is given twice", f"$..{shown(name)}")
        return found

    # Numbers are of no interest here, and a huge one would be an error of its own.
    json.loads(body, object_pairs_hook=pairs, parse_int=len, parse_float=len)


def structural_colons(body: bytes) -> int:
    """The keys in a body that is known to be JSON: its colons outside of strings."""
    return _STRING.sub(b"", body).count(b":")


def shown(text: str) -> str:
    """A client's own text, cut to what a message can hold."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
