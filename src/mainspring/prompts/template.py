r"""`{{variable}}` and what is put in its place.

There is nothing else: no conditions, no loops, no expressions. A value is put in as it is and never read as a template
itself, so what a user writes cannot reach into the prompt. `\{{` is two braces that are meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

# With three braces the inner two count, so that `{{{name}}}` is a value in braces.
_PART = re.compile(r"(?P<meant>\\\{\{)|\{\{[ \t]*(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}|(?P<broken>\{\{(?!\{))")


def variables(text: str) -> dict[str, int]:
    """The variables in `text`, each with the line (from 0) of its first use."""
    found: dict[str, int] = {}
    for part in _PART.finditer(text):
        if part["name"]:
            found.setdefault(part["name"], text.count("\n", 0, part.start()))
    return found


def broken(text: str) -> list[tuple[int, str]]:
    """Where `text` has two braces that begin no variable: the line (from 0) and what stands there."""
    return [
        (text.count("\n", 0, part.start()), text[part.start() : part.start() + 24].partition("\n")[0])
        for part in _PART.finditer(text)
        if part["broken"]
    ]


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each variable's value in its place; KeyError for one that has none."""
    return _PART.sub(lambda part: values[part["name"]] if part["name"] else "{{", text)


def as_text(value: Any) -> str:
    """What is put in a variable's place: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_asked(values: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """What a model gets to see of `values`: equal for the text "3" of a table and the numbers 3 and 3.0 of JSON."""
    return frozenset(
        (name, as_text(int(value) if isinstance(value, float) and value.is_integer() else value).strip())
        for name, value in values.items()
    )


def template_with(*names: str) -> Any:
    """The type of a text that is a template with just these variables, all of them used."""
    expected = "a text with " + " and ".join(f"{{{{{name}}}}}" for name in names)

    def check(text: str) -> str:
        if broken(text) or set(variables(text)) != set(names):
            raise ValueError(expected)
        return text

    return Annotated[str, AfterValidator(check)]
