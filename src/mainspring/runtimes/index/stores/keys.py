"""Fields and filters as a database takes them: a key for each kind of value, and negation only at the leaves.

A field may be a number in one document and a text in the next, and many passages don't have it. Databases differ in
what such a comparison says, and more so in what its negation says. So a field is kept under one key a kind
(`number_year`, `text_year`), and a filter is rewritten into comparisons of one kind each, with `Not` only around
those: what is left to say of each database is what a comparison is, and what its opposite is.

Numbers are compared as float64. `true` is not the number 1, but it is kept as such, under a key of its own: not every
database can be asked for it.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from mainspring.data.documents.document import Value
from mainspring.errors import StoreError
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf

Kind = Literal["text", "number", "flag"]
KINDS: tuple[Kind, ...] = ("text", "number", "flag")

_PLAIN = re.compile(r"[a-z][a-zA-Z0-9_]{0,47}")  # a key that every database takes in its filters, unquoted


def kind_of(value: Value) -> Kind:
    """Which of the three a value is."""
    if isinstance(value, str):
        return "text"
    return "flag" if isinstance(value, bool) else "number"


def key(kind: Kind, field: str) -> str:
    """The key of a field's values of one kind: ASCII letters, digits and underscores, at most 64."""
    if _PLAIN.fullmatch(field):
        return f"{kind}_{field}"
    return f"{kind}_X{hashlib.sha256(field.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def stored(fields: Mapping[str, Value]) -> dict[str, str | float]:
    """Fields under their keys. NaN is equal to nothing, as a field that is not there, and so it is left out."""
    kept = {key(kind_of(value), name): _plain(value) for name, value in fields.items()}
    return {name: value for name, value in kept.items() if value == value}


def stored_within(most: int, whose: str, passage: str, fields: Mapping[str, Value]) -> dict[str, str | float]:
    """The same, for a database (`whose`) that takes `most` bytes of JSON.

    Raises:
        StoreError: there are more.
    """
    kept = stored(fields)
    size = len(msgspec.json.encode(kept))
    if size > most:
        longest = max(fields, key=lambda name: len(str(fields[name])))
        raise StoreError(
            f"the fields of passage {passage} have {size:,} bytes, and {whose} takes {most:,} (the longest is "
            f"{longest!r}): leave it out of the documents' metadata, or keep the index in another store"
        )
    return kept


def normal(where: Filter | None) -> Filter | bool:
    """The same filter over keys: comparisons of one kind, `Not` only around a comparison, no empty parts.

    True, where it holds for every passage, and False, where for none.
    """
    return True if where is None else _normal(where, holds=True)


def _normal(where: Filter, holds: bool) -> Filter | bool:
    match where:
        case Not(part):
            return _normal(part, not holds)
        case All(parts):
            return _joined((_normal(part, holds) for part in parts), every=holds)
        case AnyOf(parts):
            return _joined((_normal(part, holds) for part in parts), every=not holds)
        case OneOf(field, values):
            of_kind = {kind: tuple(_plain(v) for v in values if kind_of(v) == kind) for kind in KINDS}
            leaves = [OneOf(key(kind, field), found) for kind, found in of_kind.items() if found]
            return _joined((leaf if holds else Not(leaf) for leaf in leaves), every=not holds)
        case Between(field):
            within = Between(key("number", field), **_narrowest(where))
            return within if holds else Not(within)


def _joined(parts: Iterable[Filter | bool], every: bool) -> Filter | bool:
    """All of them, or any of them, without those that decide nothing."""
    kept = []
    for part in parts:
        if isinstance(part, bool):
            if part is not every:  # one that never holds among all, or one that always does among any
                return part
        else:
            kept.append(part)
    if not kept:
        return every
    if len(kept) == 1:
        return kept[0]
    return All(tuple(kept)) if every else AnyOf(tuple(kept))


def _narrowest(where: Between) -> dict[str, float]:
    """Its bounds, one below and at most one above: Qdrant's index looks at no more."""
    low = [(_number(bound), strict) for bound, strict in ((where.gte, False), (where.gt, True)) if bound is not None]
    high = [
        (_number(bound), not strict) for bound, strict in ((where.lte, False), (where.lt, True)) if bound is not None
    ]
    lowest, above = max(low, default=(-sys.float_info.max, False))
    bounds = {"gt" if above else "gte": lowest}
    if high:
        highest, inside = min(high)
        bounds["lte" if inside else "lt"] = highest
    return bounds


def _plain(value: Value) -> str | float:
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> float:
    """As JSON can say it: a float64 that is finite."""
    try:
        number = float(value)
    except OverflowError:
        number = math.copysign(math.inf, value)
    return number if math.isnan(number) else max(-sys.float_info.max, min(sys.float_info.max, number))
