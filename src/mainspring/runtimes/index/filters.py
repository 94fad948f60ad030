"""Which passages may be found: a filter as a client writes it in JSON, and as the stores read it.

    {"source": "fares.md"}                          equal
    {"source": ["fares.md", "bags.md"]}             one of these
    {"year": {"gte": 2020, "lt": 2024}}             in a range (gt, gte, lt, lte)
    {"year": {"not": 2020}}                         there, or not there, and not this (or none of a list)
    {"language": "en", "year": {"gte": 2020}}       all of it
    {"any": [{...}, {...}]}, {"not": {...}}         one of these; not this

A field that a passage does not have is equal to nothing, and in no range. `source` and `page` are fields of every
passage, beside what its document's metadata has.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from mainspring.data.documents.document import Value
from mainspring.errors import RequestError

_RANGE = ("gt", "gte", "lt", "lte")
_DEEPEST = 8
_MOST = 256  # conditions and values, all together


class OneOf(msgspec.Struct, frozen=True):
    """The field has one of these values."""

    field: str
    values: tuple[Value, ...]


class Between(msgspec.Struct, frozen=True):
    """The field is a number within these bounds; None is none."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


class All(msgspec.Struct, frozen=True):
    """Every part holds; of no parts, always."""

    parts: tuple[Filter, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """A part holds; of no parts, never."""

    parts: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True):
    """The part does not hold."""

    part: Filter


Filter: TypeAlias = OneOf | Between | All | AnyOf | Not


def read_filter(written: Any) -> Filter | None:
    """The filter that a client wrote; None, where it wrote none.

    Raises:
        RequestError: naming the place, and what is expected there.
    """
    if written is None or written == {}:
        return None
    return _Reader().read(written, "filter", 0)


class _Reader:
    """Reads one filter, and counts what it consists of."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, written: Any, place: str, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise RequestError(f"filters are nested at most {_DEEPEST} deep", place)
        if not isinstance(written, dict) or not written:
            raise RequestError('expected an object such as {"source": "fares.md"}', place)
        parts = tuple(self._part(key, value, f"{place}.{key}", depth) for key, value in written.items())
        return parts[0] if len(parts) == 1 else All(parts)

    def _part(self, key: str, value: Any, place: str, depth: int) -> Filter:
        self._add(place)
        if key == "any":
            if not isinstance(value, list) or not value:
                raise RequestError("expected a list of filters", place)
            return AnyOf(tuple(self.read(one, f"{place}[{at}]", depth + 1) for at, one in enumerate(value)))
        if key == "not":
            return Not(self.read(value, place, depth + 1))
        if isinstance(value, dict):
            return self._compared(key, value, place)
        return OneOf(key, self._values(value, place))

    def _compared(self, field: str, written: dict[str, Any], place: str) -> Filter:
        allowed = (*_RANGE, "not")
        if not written or (wrong := [name for name in written if name not in allowed]):
            found = f"; found {wrong[0]!r}" if written else ""
            raise RequestError(f"expected some of {', '.join(allowed)}{found}", place)
        bounds = {name: value for name, value in written.items() if name in _RANGE}
        for name, value in bounds.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RequestError(f"expected a number, found {value!r}", f"{place}.{name}")
        parts: list[Filter] = [Between(field, **bounds)] if bounds else []
        if "not" in written:
            parts.append(Not(OneOf(field, self._values(written["not"], f"{place}.not"))))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _values(self, written: Any, place: str) -> tuple[Value, ...]:
        values = written if isinstance(written, list) else [written]
        for value in values:
            self._add(place)
            if not isinstance(value, str | int | float | bool):
                raise RequestError(
                    f"expected a text, a number, true or false, or a list of them; found {value!r}", place
                )
        if not values:
            raise RequestError("an empty list is equal to nothing", place)
        return tuple(values)

    def _add(self, place: str) -> None:
        self._count += 1
        if self._count > _MOST:
            raise RequestError(f"a filter has at most {_MOST} conditions and values", place)
