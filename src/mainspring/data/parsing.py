"""What untyped text means: numbers, booleans and times among the strings of a CSV file.

A column is a number only if every value is, so that one "n/k" or one "001" keeps the text that was written. The work is
done on the different values of a column, of which there are usually few.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from mainspring.data.canonical import TIME
from mainspring.errors import DataError
from mainspring.schema import Kind

# The marks that pandas takes for missing by default.
MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)

# What a source's strings may turn out to be: CSV has nothing but strings; JSON and SQLite have no type for times; the
# strings of Parquet and of data frames are meant.
FROM_TEXT: tuple[Kind, ...] = ("number", "boolean", "time")
FROM_JSON: tuple[Kind, ...] = ("time",)
FROM_TYPED: tuple[Kind, ...] = ()

BOOLEANS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"))
# Yes and no are words: a client asks with the words that the data has, and hopes for them in the answer. They become
# booleans where the spec says so.
INFERRED_BOOLEANS = BOOLEANS[:2]

_INTEGER = r"^-?(0|[1-9][0-9]*)$"
# No leading zeros and no leading "+": those are written in codes and telephone numbers.
_NUMBER = r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = r"^-?[iI]nf(inity)?$"
_ANY_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$"
_ZONE = r"\d{2}:\d{2}.* ?(Z|[+-]\d{2}(:?\d{2})?)$"


def parse_text(
    table: pa.Table,
    infer: Collection[Kind],
    kinds: Mapping[str, Kind],
    missing: Collection[str] = (),
) -> pa.Table:
    """`table` with its string columns typed.

    Args:
        table: any; columns that are not strings (plain or dictionary) stay as they are.
        infer: what a column of unknown kind may turn out to be.
        kinds: the kinds that are known already, by column: such a column is never guessed.
        missing: the values that mean "no value", besides the empty one.

    Raises:
        DataError: a value does not fit the kind that its column is known to have; names the column, row and value.
    """
    typed = {}
    for name in table.column_names:
        column = table[name]
        if _is_text(column.type):
            codes, values = _encode(column)
            values = _mark_missing(values, missing)
            kind = kinds.get(name)
            if kind in ("number", "boolean", "time"):
                values = _convert(codes, values, kind, name)
            elif kind is None:
                values = _infer(values, infer)
            column = _decode(codes, values)
        typed[name] = column
    return pa.table(typed)


def convert(column: pa.ChunkedArray, kind: Kind, name: str) -> pa.ChunkedArray:
    """The string column `name` as numbers, booleans or times, which it is known to hold.

    Lenient where inference is careful: "001" is the number 1 here, and "1" is true.

    Raises:
        DataError: names the first value that is something else.
    """
    codes, values = _encode(column)
    return _decode(codes, _convert(codes, values, kind, name))


# From here on a column is its different values, and a code for each row: the place of its value among those.


def _mark_missing(values: pa.StringArray, missing: Collection[str]) -> pa.StringArray:
    """Null in place of each value that, without the spaces around it, is empty or in `missing`."""
    none = pc.is_in(pc.utf8_trim_whitespace(values), value_set=pa.array(["", *missing], pa.string()))
    return pc.if_else(none, pa.scalar(None, pa.string()), values)


def _convert(codes: pa.Array, values: pa.StringArray, kind: Kind, name: str) -> pa.Array:
    parse = {"number": _any_numbers, "boolean": _any_booleans, "time": _times}[kind]
    present = pc.utf8_trim_whitespace(values)
    typed = parse(present)
    if typed is None:
        alone = (present[place : place + 1] for place in range(len(present)))
        wrong = next(place for place, value in enumerate(alone) if parse(value) is None)
        row = pc.index(codes, wrong).as_py()
        expected = {"number": "a number", "boolean": "true or false", "time": "an ISO 8601 date or time"}[kind]
        raise DataError(f"column {name!r}, row {row + 1}: expected {expected}; found {values[wrong].as_py()!r}")
    return typed


def _infer(values: pa.StringArray, infer: Collection[Kind]) -> pa.Array:
    present = pc.utf8_trim_whitespace(values)
    if present.null_count < len(present):
        for kind, parse in (("number", _numbers), ("boolean", _booleans), ("time", _times)):
            if kind in infer and (typed := parse(present)) is not None:
                return typed
    return values


# Each of these takes different strings and nulls, and gives None if a string is not what is looked for.


def _numbers(values: pa.StringArray) -> pa.Array | None:
    if _all_match(values, _INTEGER):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            return None  # more digits than an int64 holds are an identifier, and none of them may be lost
    numbers = pc.match_substring_regex(values, _NUMBER)
    if not pc.any(numbers).as_py():
        return None
    infinite = pc.match_substring_regex(values, _INFINITE)
    if not pc.all(pc.or_(numbers, infinite)).as_py():
        return None
    return values.cast(pa.float64())


def _any_numbers(values: pa.StringArray) -> pa.Array | None:
    careful = _numbers(values)
    if careful is not None:
        return careful
    pattern = f"{_ANY_NUMBER}|{_INFINITE}"
    if not _all_match(values, pattern):
        return None
    return values.cast(pa.float64())


def _booleans(values: pa.StringArray) -> pa.Array | None:
    lower = pc.utf8_lower(values)
    for false, true in INFERRED_BOOLEANS:
        if pc.all(pc.is_in(lower, value_set=pa.array([false, true, None]))).as_py():
            return pc.equal(lower, true)
    return None


def _any_booleans(values: pa.StringArray) -> pa.Array | None:
    falses, trues = ([pair[side] for pair in BOOLEANS] + [str(side)] for side in (0, 1))
    lower = pc.utf8_lower(values)
    if not pc.all(pc.is_in(lower, value_set=pa.array([*falses, *trues, None]))).as_py():
        return None
    return pc.if_else(pc.is_null(lower), pa.scalar(None, pa.bool_()), pc.is_in(lower, value_set=pa.array(trues)))


def _times(values: pa.StringArray) -> pa.Array | None:
    if not _all_match(values, _TIME):
        return None
    # Arrow reads at most six decimals, and no space before the zone.
    values = pc.replace_substring_regex(values, r"(\.\d{6})\d+", r"\1")
    values = pc.replace_substring_regex(values, r"(:\d{2}(\.\d+)?) ", r"\1")
    zoned = pc.match_substring_regex(values, _ZONE)
    none = pa.scalar(None, pa.string())
    try:
        with_zone = pc.if_else(zoned, values, none).cast(TIME)
        without = pc.if_else(zoned, none, values).cast(pa.timestamp("us")).cast(TIME)
    except pa.ArrowInvalid:
        return None  # the thirtieth of February
    return pc.coalesce(with_zone, without)


def _all_match(values: pa.StringArray, pattern: str) -> bool:
    """Whether each string matches; nulls do not count."""
    return pc.all(pc.match_substring_regex(values, pattern)).as_py() is not False


def _is_text(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or (pa.types.is_dictionary(type_) and pa.types.is_string(type_.value_type))


def _encode(column: pa.ChunkedArray) -> tuple[pa.Array, pa.StringArray]:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded.indices, encoded.dictionary


def _decode(codes: pa.Array, values: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([values.take(codes)])
