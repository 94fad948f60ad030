"""The bodies of `/search` and `/ask`, and what is wrong with one: 422, with the field's place."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from mainspring.errors import ContextError, RequestError
from mainspring.runtimes.index.filters import Filter, read_filter
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown
from mainspring.serving.problems import Problem

Passages = Annotated[int, Meta(ge=1, le=100, description="How many passages.")]
Text = Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"\S")]
_Filter = Annotated[
    dict[str, Any],
    Meta(
        description="Which passages may be found: "
        '{"source": "fares.md"}, {"year": {"gte": 2020}}, {"any": [{…}, {…}]}, {"not": {…}}.'
    ),
]

Q = TypeVar("Q", "SearchRequest", "AskRequest")

_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.*)`", re.DOTALL)


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, and how many passages are wanted."""

    query: Text
    k: Passages = 10
    filter: _Filter | None = None


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was said before."""

    role: Literal["user", "assistant"]
    content: str


class AskRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, and what was said before it. `k` is how many passages are looked at; null leaves it to the model."""

    question: Text
    messages: Annotated[list[Turn], Meta(max_length=200)] = []
    k: Passages | None = None
    filter: _Filter | None = None
    stream: bool = False


def read_question(body: bytes, decoder: msgspec.json.Decoder[Q]) -> tuple[Q, Filter | None]:
    """The body as what `decoder` makes of it, and its filter.

    Raises:
        Problem: it is not JSON, or does not fit; the place is named.
    """
    try:
        asked = _read(body, decoder)
        return asked, _filter(asked.filter)
    except RequestError as error:
        raise Problem.of(error) from None


def _read(body: bytes, decoder: msgspec.json.Decoder[Q]) -> Q:
    try:
        found = decoder.decode(body)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at ")
        place = where.strip("`") or "$"
        if match := _FIELD.fullmatch(said):
            place = f"{place}.{shown(match[1])}"
            said = "the field is missing" if said.startswith("Object missing") else "there is no such field"
        said = said[:1].lower() + said[1:].replace("`", "")
        raise RequestError(said, place) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken_json(body, error) from None
    refuse_duplicate_keys(body)
    return found


def _filter(written: dict[str, Any] | None) -> Filter | None:
    try:
        return read_filter(written)
    except RequestError as error:
        raise RequestError(str(error), f"$.{error.place}") from None


def at_question(error: RequestError, field: str) -> RequestError:
    """The error with the place that the question has in the body, where an engine or an index calls it otherwise."""
    if isinstance(error, ContextError):
        return ContextError(str(error), f"$.{field}")
    return RequestError(str(error), error.place if error.place.startswith("$") else f"$.{field}")
