"""One Arrow type for each kind of value, whatever a source calls it.

    whole numbers              int64            (uint64 beyond int64: float64)
    other numbers, decimals    float64          NaN becomes null
    booleans                   bool
    dates, timestamps          timestamp[us, UTC]    a time without zone is UTC
    text, dictionaries of it   string           "" becomes null

Everything else (lists, structs, binary, durations, times of day) is left as it is; `is_supported` tells it apart.
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from mainspring.errors import DataError

TIME = pa.timestamp("us", "UTC")
SUPPORTED = (pa.int64(), pa.float64(), pa.bool_(), TIME, pa.string())


def is_supported(type_: pa.DataType) -> bool:
    """Whether a model can take a column of this (canonical) type."""
    return type_ in SUPPORTED


def canonical(table: pa.Table, source: str) -> pa.Table:
    """`table` with canonical types and without metadata; `source` names it in errors.

    Raises:
        DataError: there are no rows, or a column has no name or the name of another one.
    """
    check_names(table.column_names, source)
    if not table.num_rows:
        raise DataError(f"{source}: there are no rows")
    return pa.table({name: canonical_column(table[name]) for name in table.column_names})


def check_names(names: list[str], source: str) -> None:
    """DataError if a column has no name, or two have the same."""
    if not names:
        raise DataError(f"{source}: there are no columns")
    if unnamed := [str(place) for place, name in enumerate(names, start=1) if not name.strip()]:
        raise DataError(f"{source}: column {', '.join(unnamed)} has no name; give each column a name of its own")
    if twice := [repr(name) for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{source}: more than one column is called {', '.join(twice)}; give each a name of its own")


def canonical_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One column with its canonical type; as it is, if it has none."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.cast(type_.value_type)
        type_ = column.type
    if pa.types.is_boolean(type_):
        return column
    if pa.types.is_uint64(type_):
        # The rare ids beyond int64 lose digits rather than the whole column.
        most = pc.max(column).as_py()
        return column.cast(pa.int64() if most is None or most < 2**63 else pa.float64(), safe=False)
    if pa.types.is_integer(type_):
        return column.cast(pa.int64())
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        column = column.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    if pa.types.is_date(type_):
        return column.cast(pa.timestamp("us")).cast(TIME)
    if pa.types.is_timestamp(type_):
        return column.cast(pa.timestamp("us", type_.tz), safe=False).cast(TIME)
    if pa.types.is_null(type_):
        return column.cast(pa.string())
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        column = column.cast(pa.string())
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    return column
