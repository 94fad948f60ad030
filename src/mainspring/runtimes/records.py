"""JSON records in and out, checked against the schema.

The check is a type: each schema becomes a msgspec struct, so that decoding, checking and naming the wrong field is one
pass in C. What msgspec cannot say in a type (a time is ISO 8601, no key comes twice) is checked here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import numpy as np

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Outputs
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown, structural_colons
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Schema, label_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # a time without zone is UTC
_MICROSECOND = timedelta(microseconds=1)
_TYPES: dict[str, Any] = {"number": float, "boolean": bool, "category": str, "text": str, "time": str}
_SPACED_COLONS = (b" :", b"\n:", b"\r:", b"\t:")
_WRAPPED = re.compile(rb'\s*\{\s*"records"\s*:')
_WRAPPED_IN_ANY_ORDER = re.compile(rb'\s*\{\s*"(?:records|keys)"\s*:')
_BusinessKey = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]{1,128}\Z")]


class RecordCodec:
    """Reads the records that one schema allows, and writes its answers.

    A body is one record `{…}`, many `[{…}, …]`, or many as `{"records": [{…}, …]}`, where `"keys": ["…", …]` may give
    each record the business key by which its true label will be told.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        fields = [(f"f{i}", _type(column)) for i, column in enumerate(schema.features)]
        self._row = msgspec.defstruct(
            "Record",
            fields,
            rename={f"f{i}": column.name for i, column in enumerate(schema.features)},
            forbid_unknown_fields=True,
            gc=False,
        )
        wrapper = msgspec.defstruct(
            "Records",
            [("records", list[self._row]), ("keys", list[_BusinessKey] | msgspec.UnsetType, msgspec.UNSET)],  # type: ignore[name-defined]
            forbid_unknown_fields=True,
        )
        self._one = msgspec.json.Decoder(self._row)
        self._many = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._wrapped = msgspec.json.Decoder(wrapper)
        self._names = [column.name for column in schema.features]
        self._may_wrap = "records" not in self._names
        self._wrapped_start = _WRAPPED if "keys" in self._names else _WRAPPED_IN_ANY_ORDER
        self._builders = {column.name: _builder(column) for column in schema.features}
        self._numeric = [i for i, column in enumerate(schema.features) if _TYPES[column.kind] is not str]
        self._numeric_names = [self._names[i] for i in self._numeric]
        self._texts = [i for i, column in enumerate(schema.features) if _TYPES[column.kind] is str]
        self._colons_in_names = sum(column.name.count(":") for column in schema.features)
        self._labels = {label_text(label): label for label in schema.target.labels}
        self._label_texts = list(self._labels)

    def decode(self, body: bytes) -> tuple[Columns, int]:
        """The columns of a JSON body, and the number of rows.

        Raises:
            RequestError: naming the place, as `$[3].distance`.
        """
        columns, rows, _ = self.decode_with_keys(body)
        return columns, rows

    def decode_with_keys(self, body: bytes) -> tuple[Columns, int, Sequence[str]]:
        """As `decode`, and the business keys: one a row, or none at all."""
        place, keys = "", None
        start = body[:1] if body[:1] in b"{[" else body.lstrip()[:1]
        try:
            if start == b"[":
                rows, place = self._many.decode(body), "[{}]"
            elif self._may_wrap and self._wrapped_start.match(body):
                wrapped = self._wrapped.decode(body)
                rows, place = wrapped.records, ".records[{}]"  # type: ignore[attr-defined]
                keys = None if wrapped.keys is msgspec.UNSET else wrapped.keys  # type: ignore[attr-defined]
            else:
                rows = [self._one.decode(body)]
        except msgspec.ValidationError as error:
            raise self._request_error(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise broken_json(body, error) from None
        values = _transposed(rows)
        self._refuse_duplicates(body, len(rows), values, place.startswith(".") + (keys is not None), keys or ())
        if keys is not None and len(keys) != len(rows):
            raise RequestError(f"expected one key a record: {len(rows)}, found {len(keys)}", "$.keys")
        return self._to_columns(values, place), len(rows), keys or ()

    def convert(self, records: Sequence[Any]) -> tuple[Columns, int]:
        """The columns of records that are already Python objects, checked in the same way."""
        try:
            rows = msgspec.convert(list(records), list[self._row], strict=True)  # type: ignore[name-defined]
        except msgspec.ValidationError as error:
            raise self._request_error(str(error)) from None
        values = _transposed(rows)
        for i in self._texts:
            _refuse_surrogates(values[i], f"$[{{}}].{self._names[i]}")
        return self._to_columns(values, "[{}]"), len(rows)

    def column(self, name: str, values: Sequence[Any], place: str) -> np.ndarray:
        """One column from values of its JSON type; `place` is the path of one value, to be filled with its row.

        Raises:
            RequestError: a text or a time is none.
        """
        try:
            return self._builders[name](values)
        except _BadValue as error:
            raise RequestError(error.problem, place.format(error.row)) from None

    def _to_columns(self, values: list[tuple[Any, ...]], place: str) -> Columns:
        """`place` is the path of one record, to be filled with its row."""
        # All numbers in one call: for a single row, that is most of the time.
        columns: Columns = dict(zip(self._numeric_names, _numbers([values[i] for i in self._numeric]), strict=True))
        for i in self._texts:
            name = self._names[i]
            try:
                columns[name] = self._builders[name](values[i])
            except _BadValue as error:
                raise RequestError(error.problem, f"${place.format(error.row)}.{name}") from None
        return columns

    def _refuse_duplicates(
        self, body: bytes, rows: int, values: list[tuple[Any, ...]], outer: int, business_keys: Sequence[str]
    ) -> None:
        """A JSON key given twice is a mistake of the client's, and parsers differ in which one they take.

        msgspec takes the last without a word. But every field is required, so a body without duplicates has a known
        number of keys, `outer` ones around the records included, and each has a colon; the other colons are those
        inside names and texts, which are counted too.
        """
        keys = rows * len(self._names) + outer
        if body.count(b'":') == keys and not any(map(body.__contains__, _SPACED_COLONS)):
            return  # where each colon follows its key at once, no fewer than the keys are counted: so all are different
        expected = keys + rows * self._colons_in_names
        found = body.count(b":")
        if b"\\u" in body:  # a colon may be escaped: look only at those outside of strings
            found, expected = structural_colons(body), keys
        else:
            expected += sum("".join(filter(_is_text, values[i])).count(":") for i in self._texts)
            expected += "".join(business_keys).count(":")
        if found != expected:
            refuse_duplicate_keys(body)

    def _request_error(self, message: str) -> RequestError:
        """msgspec's ``Expected `float`, got `str` - at `$[0].age` `` in our words: what, and where."""
        match = _AT.fullmatch(message)
        problem, place = match.groups() if match else (message, "$")
        if field := _FIELD.fullmatch(problem):
            name = shown(field[2])
            if field[1] == "missing required":
                return RequestError(f"the field {name!r} is missing", f"{place}.{name}")
            close = difflib.get_close_matches(name, self._names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the model takes {', '.join(self._names)}"
            return RequestError(f"unknown field {name!r}; {hint}", f"{place}.{name}")
        if "matching regex" in problem:  # there is one only: a business key
            return RequestError("expected 1 to 128 printable ASCII characters", place)
        if problem.endswith("out of range"):
            return RequestError("the number is too large", place)
        return RequestError(_TYPE_NAMES.sub(_in_words, problem).replace("Expected", "expected"), place)

    def outputs(self, outputs: Outputs) -> list[dict[str, Any]]:
        """The answers as JSON-able records, a row each."""
        if outputs.values is not None:
            return [{"value": value} for value in outputs.values.tolist()]
        texts, labels = self._label_texts, self._labels
        return [
            {"label": labels[label], "probabilities": dict(zip(texts, row, strict=True))}
            for label, row in zip(outputs.labels.tolist(), outputs.probabilities.tolist(), strict=True)  # type: ignore[union-attr]
        ]

    def records(self, columns: Columns) -> list[dict[str, Any]]:
        """Columns back as JSON records: what a client would send for these rows."""
        lists = [
            [_to_json(column, value) for value in columns[column.name].tolist()] for column in self.schema.features
        ]
        names = [column.name for column in self.schema.features]
        return [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=True)]


class _BadValue(Exception):  # noqa: N818 -- never leaves this module
    def __init__(self, row: int, problem: str) -> None:
        self.row, self.problem = row, problem


def _type(column: Column) -> Any:
    kind = _TYPES[column.kind]
    if column.kind == "category" and column.integer:
        kind = int | str
    return kind | None if column.nullable else kind


def _transposed(rows: list[Any]) -> list[tuple[Any, ...]]:
    """The values of each column, from the rows."""
    if not rows:
        raise RequestError("no records: expected at least one")
    return list(zip(*map(msgspec.structs.astuple, rows), strict=True))


_AT = re.compile(r"(.*) - at `(\$[^`]*)`", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_TYPE_NAMES = re.compile(r"`([^`]*)`")
_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
}


def _in_words(match: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))


def _is_text(value: Any) -> bool:
    return type(value) is str


def _refuse_surrogates(values: tuple[Any, ...], place: str) -> None:
    """JSON from msgspec holds no lone surrogate, but Python's own text may, and it is no text that a graph can take."""
    for row, value in enumerate(values):
        try:
            _ = value is not None and str(value).encode()
        except UnicodeEncodeError:
            problem = "the text holds a lone surrogate, which is no character"
            raise RequestError(problem, place.format(row)) from None


def _numbers(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _nullable_texts(values: Sequence[Any]) -> np.ndarray:
    return np.array([MISSING_TEXT if value is None else str(value) for value in values], dtype=object)


def _texts(values: Sequence[Any]) -> np.ndarray:
    if MISSING_TEXT in values:  # it would be taken as missing, which this column never was at fit
        raise _BadValue(values.index(MISSING_TEXT), "the text is empty, and this field may not be missing")
    return np.array([str(value) for value in values], dtype=object)


def _times(values: Sequence[Any]) -> np.ndarray:
    times = [MISSING_TIME if value is None else _microseconds(row, value) for row, value in enumerate(values)]
    return np.array(times, dtype=np.int64)


def _microseconds(row: int, value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
        since = time - (_NAIVE_EPOCH if time.tzinfo is None else _EPOCH)
    except (ValueError, OverflowError):
        raise _BadValue(row, f"expected an ISO 8601 time such as 2013-07-04T18:30:00, got {value[:40]!r}") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_BUILDERS = {"number": _numbers, "boolean": _numbers, "time": _times}


def _builder(column: Column) -> Any:
    return _BUILDERS.get(column.kind) or (_nullable_texts if column.nullable else _texts)


def _to_json(column: Column, value: Any) -> Any:
    if column.kind == "time":
        return None if value == MISSING_TIME else (_EPOCH + value * _MICROSECOND).isoformat()
    if column.kind in ("category", "text"):
        return None if value == MISSING_TEXT else value
    if value != value:
        return None
    return bool(value) if column.kind == "boolean" else value
