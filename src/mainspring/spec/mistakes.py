"""What is wrong in `mainspring.toml`, in words: the place, the key, what is allowed, what was found. As in

    mainspring.toml, line 7: models.delay.metric: 'roc_uac' is not allowed; allowed: roc_auc, …; did you mean 'roc_auc'?

A `Mistake` is a key and a problem; `message` finds the place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from mainspring.spec.toml_lines import Key

FILE_NAME = "mainspring.toml"

Mistake: TypeAlias = tuple[Key, str]  # where, and the problem

_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
}


def message(mistake: Mistake, lines: dict[Key, int]) -> str:
    """One line for the user; the place is that of the key, or of the nearest table around it that is written."""
    key, problem = mistake
    line = next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), None)
    where = f"{FILE_NAME}, line {line}" if line else FILE_NAME
    return ": ".join(part for part in (where, ".".join(key), problem) if part)


def choices(found: str, allowed: Iterable[object]) -> str:
    """The end of a message: what is allowed, and what was perhaps meant."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"; allowed: {', '.join(names) or 'none'}{hint}"


def explain(error: ValidationError, model: type[BaseModel], table: Key) -> list[Mistake]:
    """Pydantic's findings about the `table` that was to be a `model`, in our words."""
    found = []
    for item in error.errors(include_url=False):
        key = tuple(str(part) for part in item["loc"] if part != "[key]")
        value, context, kind = item["input"], item.get("ctx", {}), item["type"]
        if kind == "extra_forbidden":
            problem = f"unknown key{choices(key[-1], _fields_at(model, key[:-1]))}"
        elif kind == "missing":
            key, problem = key[:-1], f"the key {key[-1]!r} is missing"
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']*)'", context["expected"])
            problem = f"{value!r} is not allowed{choices(str(value), allowed)}"
        elif kind == "value_error":
            problem = f"expected {context['error']}; found {value!r}"
        elif kind == "string_pattern_mismatch":
            problem = f"expected a name of a-z, 0-9, - and _ that begins with a letter; found {value!r}"
        elif kind == "too_short":
            problem = f"expected at least {context['min_length']}; found {context['actual_length'] or 'none'}"
        elif kind in _EXPECTED:
            problem = f"expected {_EXPECTED[kind]}; found {value!r}"
        else:
            said = item["msg"].replace("Input should be", "expected").replace("Value should be", "expected")
            problem = f"{said}; found {value!r}"
        found.append(((*table, *key), problem))
    return found


def _fields_at(model: type[BaseModel], key: Key) -> list[str]:
    """The keys allowed in the table at `key` inside `model`."""
    for part in key:
        field = model.model_fields.get(part)
        if field is None:  # a name of the user's own, as in columns.NAME: the model stays the one found
            continue
        nested = _nested_model(field.annotation)
        if nested is None:
            return []
        model = nested
    return list(model.model_fields)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if nested := _nested_model(argument):
            return nested
    return None
