from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainspring.data.documents.document import Value
from mainspring.runtimes.index.filters import All, AnyOf, Between, Filter, Not, OneOf, read_filter
from mainspring.runtimes.index.stores.local_fields import Fields, FieldsWriter

VALUES = st.one_of(
    st.sampled_from(["", "a", "b", "1", 0, 1, 2, -1, 1.0, 1.5, -0.0, True, False, 10**400, 2**53, 2**53 + 1]),
    st.floats(),
)
ROWS = st.lists(st.dictionaries(st.sampled_from("xyz"), VALUES), max_size=12)
BOUND = st.none() | st.sampled_from([-1, 0, 1, 1.5, 2])
NAMES = st.sampled_from("xyzw")
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    st.builds(OneOf, NAMES, st.lists(VALUES, min_size=1, max_size=3).map(tuple))
    | st.builds(Between, NAMES, gt=BOUND, gte=BOUND, lt=BOUND, lte=BOUND),
    lambda inner: (
        st.builds(All, st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)


def holds(where: Filter, row: Mapping[str, Value]) -> bool:
    """What `filters` says, one passage at a time."""
    match where:
        case OneOf(field, values):
            return field in row and any(
                row[field] == value and isinstance(row[field], bool) == isinstance(value, bool) for value in values
            )
        case Between(field, gt, gte, lt, lte):
            value = row.get(field)
            if value is None or isinstance(value, str | bool) or value != value:
                return False
            return (
                (gt is None or value > gt)
                and (gte is None or value >= gte)
                and (lt is None or value < lt)
                and (lte is None or value <= lte)
            )
        case All(parts):
            return all(holds(part, row) for part in parts)
        case AnyOf(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)


def fields(*batches: list[dict[str, Any]]) -> Fields:
    writer = FieldsWriter()
    for batch in batches:
        writer.append(batch)
    return Fields(sum(map(len, batches)), writer.columns(slice(None)))


@given(ROWS, ROWS, FILTERS)
def test_filters_let_through_what_they_say(first: list[Any], second: list[Any], where: Filter) -> None:
    found = fields(first, second).may(where)
    assert found.tolist() == [holds(where, row) for row in [*first, *second]]


def test_a_filter_as_a_client_writes_it() -> None:
    rows: list[dict[str, Any]] = [
        {"source": "a.md", "year": 2019},
        {"source": "b.md", "year": 2021},
        {"source": "c.md", "year": 2024.0, "draft": True},
        {"source": "d.md", "year": "2021"},
    ]
    kept = {
        '{"year": 2021}': (read_filter({"year": 2021}), [1]),
        "range": (read_filter({"year": {"gte": 2021, "lt": 2025}}), [1, 2]),
        "not": (read_filter({"year": {"not": [2021, 2024]}}), [0, 3]),
        "any": (read_filter({"any": [{"source": "a.md"}, {"draft": True}]}), [0, 2]),
        "draft": (read_filter({"draft": 1}), []),
    }
    for where, expected in kept.values():
        assert where is not None
        assert np.flatnonzero(fields(rows).may(where)).tolist() == expected


def test_many_batches_stay_one_column() -> None:
    found = fields(*([{"x": at % 3}] for at in range(1000)))
    assert found.may(OneOf("x", (1,))).tolist() == [at % 3 == 1 for at in range(1000)]
