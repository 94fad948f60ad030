"""The line in which each key of a TOML file begins, for messages: the standard parser keeps no positions."""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Key: TypeAlias = tuple[str, ...]  # the way to a key or a table, as ("models", "delay", "folds")

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEYS = rf"({_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*{_KEYS}[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"[ \t]*{_KEYS}[ \t]*=")
_PART = re.compile(
    r"""
    \"{3} (?:\\.|[^\\])*? \"{3,5} | '{3} .*? '{3,5}        # a text of many lines; it may end with two quotes of its own
    | " (?:\\.|[^"\\])* " | ' [^']* ' | \# [^\n]*
    | [\[\]{}\n] | [^\[\]{}\n"'\#]+
    """,
    re.VERBOSE | re.DOTALL,
)


def line_numbers(text: str) -> dict[Key, int]:
    """Where each key and table begins. `text` has to be valid TOML."""
    lines: dict[Key, int] = {}
    table: Key = ()
    position, number = 0, 1
    while position < len(text):
        if match := _HEADER.match(text, position):
            table = _split_key(match[1])
            lines.setdefault(table, number)
        elif match := _ASSIGNMENT.match(text, position):
            lines.setdefault((*table, *_split_key(match[1])), number)
        end = _end_of_statement(text, match.end() if match else position)
        number += text.count("\n", position, end)
        position = end
    return lines


def _end_of_statement(text: str, position: int) -> int:
    """After the next line break that is in no text, list or inline table."""
    depth = 0
    while part := _PART.match(text, position):
        position = part.end()
        if part[0] in ("[", "{"):
            depth += 1
        elif part[0] in ("]", "}"):
            depth -= 1
        elif part[0] == "\n" and depth == 0:
            return position
    return len(text)


def _split_key(key: str) -> Key:
    """`columns."dep delay"` → ("columns", "dep delay"), as the standard parser reads it."""
    parts, inner = [], tomllib.loads(f"{key} = 0")
    while isinstance(inner, dict):
        [(part, inner)] = inner.items()
        parts.append(part)
    return tuple(parts)
