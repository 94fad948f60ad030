"""Values as TOML: the standard library reads it and does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def table(values: Mapping[str, Any]) -> str:
    """The lines `key = value`, each ended by a line break; keys whose value is None are left out."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items() if value is not None)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _lines(value) if "\n" in value else _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"no TOML for {type(value).__name__}")


def _string(text: str) -> str:
    """TOML's basic strings are JSON's, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    """A text of many lines, so that a person can read it; the line break after the first quotes is not part of it."""
    lines = [_string(line)[1:-1] for line in text.split("\n")]
    if "+++" in lines:  # it would end a front matter
        return _string(text)
    return '"""\n' + "\n".join(lines) + '"""'
