"""The answer in a model's text: all of it, a line, a number, one of several options, or JSON.

A model that reasons first says its answer after it. What is looked for stands after the last "Answer:" (or "the answer
is"), if there is one. `read` gives None where there is no answer of the kind; that is a wrong answer, not an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from mainspring.errors import require

MARK = "Answer:"
_MARK_LINE = re.compile(r"^[ \t*]*Answer:[ \t*]*", re.MULTILINE)
_MARK_ANYWHERE = re.compile(r"\banswer(?:[ \t]+is)?[ \t]*:[ \t*]*|\banswer[ \t]+is[ \t]+", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w])|(?<![\w.])-?\.\d+")
_OPENING = re.compile(r"[{\[]")
_DECORATION = " \t\r\n.,;:!?*_`\"'()[]"


@dataclass(frozen=True)
class Text:
    """What follows the last line that begins with "Answer:", or else the whole text."""

    def read(self, text: str) -> str | None:
        """The answer in `text`."""
        marks = list(_MARK_LINE.finditer(text))
        return text[marks[-1].end() if marks else 0 :].strip() or None


@dataclass(frozen=True)
class LastLine:
    """The line of the answer, or else the last line that is not empty."""

    def read(self, text: str) -> str | None:
        """The answer in `text`."""
        if (after := _after_mark(text)) is not None:
            return after.partition("\n")[0].strip() or None
        return text.strip().rpartition("\n")[2].strip() or None


@dataclass(frozen=True)
class Number:
    """The first number of the answer, or else the last in the text; an int where it is whole."""

    def read(self, text: str) -> int | float | None:
        """The answer in `text`."""
        after = _after_mark(text)
        found = _NUMBER.findall(text if after is None else after)
        if not found or max(map(len, found)) > 300:
            return None
        number = float(found[-1 if after is None else 0].replace(",", ""))
        return int(number) if number.is_integer() else number


@dataclass(frozen=True)
class Choice:
    """The one of `options` that the answer is, begins with, or alone mentions."""

    options: tuple[str, ...]

    def read(self, text: str) -> str | None:
        """The answer in `text`."""
        after = _after_mark(text)
        said = (text if after is None else after.lstrip().partition("\n")[0]).strip(_DECORATION)
        longest_first = sorted(self.options, key=len, reverse=True)
        for option in longest_first:
            if said.casefold() == option.strip(_DECORATION).casefold():
                return option
        patterns = {option: _mention(option) for option in longest_first}
        for option, pattern in patterns.items():
            if pattern.match(said):
                return option
        mentioned = [option for option, pattern in patterns.items() if pattern.search(said)]
        return mentioned[0] if len(mentioned) == 1 else None


@dataclass(frozen=True)
class Json:
    """The last JSON in the answer that fits `schema`."""

    schema: dict[str, Any]

    def read(self, text: str) -> Any:
        """The answer in `text`."""
        validator = require("jsonschema", "language").Draft202012Validator(self.schema)
        after = _after_mark(text)
        for found in reversed(_json_values(text if after is None else after)):
            if validator.is_valid(found):
                return found
        return None


Reading: TypeAlias = Text | LastLine | Number | Choice | Json


def wrong_schema(schema: dict[str, Any]) -> str | None:
    """What is wrong in a JSON schema, or None."""
    jsonschema = require("jsonschema", "language")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"at {error.json_path}: {error.message}"
    return None


def _mention(option: str) -> re.Pattern[str]:
    """An option as a word of its own. A letter is one only as it is written, and not where it may be the word "a"."""
    pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
    if len(option) > 1:
        return re.compile(pattern, re.IGNORECASE)
    return re.compile(pattern + "(?! [a-z])" if option in "AI" else pattern)


def _after_mark(text: str) -> str | None:
    marks = list(_MARK_ANYWHERE.finditer(text))
    return text[marks[-1].end() :] if marks else None


def _json_values(text: str) -> list[Any]:
    """Every JSON value in `text`: the whole of it, or the objects and lists that it has."""
    decoder, found, position = json.JSONDecoder(), [], 0
    try:
        return [decoder.decode(text)]
    except ValueError:
        pass
    except RecursionError:
        return []
    while start := _OPENING.search(text, position):
        try:
            value, position = decoder.raw_decode(text, start.start())
            found.append(value)
        except ValueError:
            position = start.end()
        except RecursionError:
            break
    return found
