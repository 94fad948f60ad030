"""A typed table against a schema: columns in the form in which a model's graph takes them.

It serves any table: the one that the schema was found in, a newer one, or rows to predict.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainspring.data.canonical import TIME, canonical_column
from mainspring.data.parsing import convert
from mainspring.errors import DataError
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Kind, Target, label_text


def conform(table: pa.Table, features: Iterable[Column]) -> Columns:
    """The columns of `features`, in the forms that `mainspring.schema` describes, each of length `table.num_rows`.

    A number that is not finite counts as missing. Levels not seen at fit are kept as they are; missing values are kept
    where the schema has none.

    Args:
        table: any; other columns than those of `features` do not matter.
        features: what the table must have.

    Raises:
        DataError: a column is missing, or a value is not of its column's kind; names the column, row and value.
    """
    columns = {}
    for feature in features:
        if feature.name not in table.column_names:
            raise DataError(f"the column {feature.name!r} is missing; found: {', '.join(table.column_names)}")
        columns[feature.name] = _FORMS[feature.kind](canonical_column(table[feature.name]), feature.name)
    return columns


def truth(table: pa.Table, target: Target) -> np.ndarray:
    """The target of each row: (n,) int64 codes into `target.labels`, or float64 where there are none.

    Raises:
        DataError: a row has no target, or a label that the schema does not know.
    """
    if target.name not in table.column_names:
        raise DataError(f"the target {target.name!r} is missing; found: {', '.join(table.column_names)}")
    column = canonical_column(table[target.name])
    if not target.labels:
        values = _numbers(column, target.name)
        _require(~np.isnan(values), column, target.name, "a number")
        return values
    codes = {label_text(label): code for code, label in enumerate(target.labels)}
    places, texts = _encode(column)
    found = np.array([codes.get(text, -1) for text in texts], np.int64)[places]
    _require(found >= 0, column, target.name, f"one of the labels {', '.join(list(codes)[:20])}")
    return found


def texts(column: pa.ChunkedArray) -> np.ndarray:
    """Any column as text: (n,) object array of str, "" for missing. Whole numbers have no decimals: "3"."""
    places, values = _encode(column)
    return np.array(values, object)[places]


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    if column.type not in (pa.int64(), pa.float64(), pa.bool_()):
        column = _parse(column, "number", name)
    values = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _booleans(column: pa.ChunkedArray, name: str) -> np.ndarray:
    if column.type not in (pa.int64(), pa.float64(), pa.bool_()):
        column = _parse(column, "boolean", name)
    values = _numbers(column, name)
    _require(np.isnan(values) | (values == 0) | (values == 1), column, name, "true or false")
    return values


def _times(column: pa.ChunkedArray, name: str) -> np.ndarray:
    if column.type != TIME:
        column = _parse(column, "time", name)
    return pc.fill_null(column.cast(pa.int64()), MISSING_TIME).to_numpy()


def _texts(column: pa.ChunkedArray, name: str) -> np.ndarray:
    return texts(column)


_FORMS = {
    "number": _numbers,
    "boolean": _booleans,
    "time": _times,
    "category": _texts,
    "text": _texts,
    "identifier": _texts,
}


def _parse(column: pa.ChunkedArray, kind: Kind, name: str) -> pa.ChunkedArray:
    if column.null_count == len(column):  # nothing but holes: they fit any kind
        return pa.chunked_array([pa.nulls(len(column), TIME if kind == "time" else pa.float64())])
    if column.type != pa.string():
        _require(column.is_null().to_numpy(), column, name, _EXPECTED[kind])
    return convert(column, kind, name)


_EXPECTED = {"number": "a number", "boolean": "true or false", "time": "a date or time"}


def _require(fits: np.ndarray, column: pa.ChunkedArray, name: str, expected: str) -> None:
    """DataError for the first row that does not fit."""
    if not fits.all():
        row = int(np.argmin(fits))
        found = column[row].as_py()
        said = "nothing" if found is None else repr(found) if isinstance(found, str) else str(found)
        raise DataError(f"column {name!r}, row {row + 1}: expected {expected}; found {said}")


def _encode(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Each row's place among the different texts, and those; the last is the missing one."""
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    values = encoded.dictionary.to_pylist()
    if column.type != pa.string():
        values = [_text(value) for value in values]
    places = pc.fill_null(encoded.indices, len(values)).to_numpy()
    return places, [*values, MISSING_TEXT]


def _text(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return label_text(value) if isinstance(value, (bool, int, str)) else str(value)
