"""What filters ask for, as columns: whether each of a million passages may be found is known in a millisecond.

A value is kept as 64 bits of its digest, for "equal", and as a number where it is one, for ranges; 0 and NaN stand for
a passage that does not have the field. 1 and 1.0 are the same value; true and 1 are not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from mainspring.data.documents.document import Value
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf

_EQUAL, _NUMBER = "equal:", "number:"


class Fields:
    """The fields of `count` passages, of the columns that `FieldsWriter` made."""

    def __init__(self, count: int, columns: Mapping[str, np.ndarray]) -> None:
        self._count = count
        self._columns = columns

    def may(self, where: Filter) -> np.ndarray:
        """(count,) bool: which of the passages the filter lets through."""
        match where:
            case OneOf(field, values):
                return self._one_of(field, values)
            case Between(field, gt, gte, lt, lte):
                return self._between(field, gt, gte, lt, lte)
            case All(parts):
                return np.logical_and.reduce([np.ones(self._count, bool), *map(self.may, parts)])
            case AnyOf(parts):
                return np.logical_or.reduce([np.zeros(self._count, bool), *map(self.may, parts)])
            case Not(part):
                return ~self.may(part)

    def _one_of(self, field: str, values: Sequence[Value]) -> np.ndarray:
        column = self._columns.get(_EQUAL + field)
        digests = {digest for value in values if (digest := _digest(value))}
        if column is None or not digests:
            return np.zeros(self._count, bool)
        return np.isin(column, np.array(sorted(digests), np.uint64))

    def _between(
        self, field: str, gt: float | None, gte: float | None, lt: float | None, lte: float | None
    ) -> np.ndarray:
        column = self._columns.get(_NUMBER + field)
        if column is None:
            return np.zeros(self._count, bool)
        within = ~np.isnan(column)
        if gt is not None:
            within &= column > _number(gt)
        if gte is not None:
            within &= column >= _number(gte)
        if lt is not None:
            within &= column < _number(lt)
        if lte is not None:
            within &= column <= _number(lte)
        return within


class FieldsWriter:
    """Collects the fields of passages, a batch at a time. A field's value takes 16 bytes a passage."""

    def __init__(self) -> None:
        self._count = 0
        self._parts: dict[str, list[np.ndarray]] = {}
        self._known: dict[tuple[type, Value], tuple[int, float]] = {}

    def append(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Add passages."""
        for field in dict.fromkeys(name for row in rows for name in row):
            parts = self._parts.setdefault(field, [_missing(self._count)])
            part = _missing(len(rows))
            for at, row in enumerate(rows):
                if field in row:
                    part[at] = self._kept(row[field])
            parts.append(part)
        self._count += len(rows)
        for parts in self._parts.values():
            if more := self._count - sum(map(len, parts)):
                parts.append(_missing(more))
            if len(parts) > 256:
                parts[:] = [np.concatenate(parts)]

    def columns(self, kept: np.ndarray | slice) -> dict[str, np.ndarray]:
        """What `Fields` reads, of the `kept` passages."""
        columns = {}
        for field, parts in self._parts.items():
            both = np.concatenate(parts)[kept]
            columns[_EQUAL + field] = np.ascontiguousarray(both["equal"])
            if not np.isnan(both["number"]).all():
                columns[_NUMBER + field] = np.ascontiguousarray(both["number"])
        return columns

    def _kept(self, value: Value) -> tuple[int, float]:
        key = (type(value), value)
        if (kept := self._known.get(key)) is None:
            number = math.nan if isinstance(value, str | bool) else _number(value)
            kept = (_digest(value), number)
            if len(self._known) > 1 << 16:
                self._known.clear()
            self._known[key] = kept
        return kept


def _missing(count: int) -> np.ndarray:
    part = np.zeros(count, [("equal", np.uint64), ("number", np.float64)])
    part["number"] = math.nan
    return part


def _digest(value: Value) -> int:
    """64 bits of the value; 0 for NaN, which is equal to nothing."""
    if isinstance(value, bool):
        written = f"b{value}"
    elif isinstance(value, str):
        written = f"s{value}"
    elif isinstance(value, int) or value.is_integer():
        written = f"n{int(value):x}"
    elif math.isnan(value):
        return 0
    else:
        written = f"n{value!r}"
    digest = hashlib.blake2b(written.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf if value > 0 else -math.inf
