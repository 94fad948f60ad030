"""The metadata at the head of a Markdown file: YAML between two lines of dashes."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

from mainspring.data.documents.document import Value
from mainspring.errors import require

_FRONT = re.compile(r"---[ \t]*(?:\r\n?|\n)(.*?)(?:\r\n?|\n)(?:---|\.\.\.)[ \t]*(?:\r\n?|\n|\Z)", re.DOTALL)
_LONGEST = 64 * 2**10  # characters; longer is no metadata
_MOST = 64  # entries
_LONGEST_VALUE = 1000  # characters


def front_matter(text: str) -> tuple[dict[str, Value], int, str | None]:
    """What stands at the head of `text`, where the rest begins, and what is wrong with it.

    Lists become their values with ", " between them, objects dotted keys, dates the text that they were.
    """
    match = _FRONT.match(text, 0, _LONGEST) if text.startswith("---") else None
    if match is None:
        return {}, 0, None
    yaml = require("yaml", "retrieval")

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
        """Safe, and without aliases, with which a few lines become gigabytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    try:
        loader = Loader(match[1])
        found = loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        reason = (
            " ".join(str(error).split())[:200] if not isinstance(error, RecursionError) else "it is nested too deep"
        )
        return {}, match.end(), f"its front matter is not YAML: {reason}"
    if not isinstance(found, dict):
        return {}, 0 if found is not None else match.end(), None  # two rules, with prose between them
    return entries(found), match.end(), None


def entries(found: dict[Any, Any]) -> dict[str, Value]:
    """`found` as metadata: flat, of values that filters compare."""
    flat: dict[str, Value] = {}
    waiting: list[tuple[str, Any]] = [(str(key), value) for key, value in reversed(found.items())]
    while waiting and len(flat) < _MOST:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{inner}", one) for inner, one in reversed(value.items())]
        elif isinstance(value, list | tuple | set):
            flat[key] = text_of(", ".join(str(scalar(one)) for one in list(value)[:_MOST]))
        elif value is not None:
            flat[text_of(key)] = scalar(value)
    return flat


def scalar(value: object) -> Value:
    """One value of metadata; what is none of the four types becomes its text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime.date):  # and so is a datetime
        return value.isoformat()
    try:
        return text_of(str(value))
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in a list in a list
        return "…"


def text_of(value: str) -> str:
    """`value`, as long as a value of metadata may be, and without halves of characters."""
    value = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
    return value.encode("utf-8", "replace").decode()
