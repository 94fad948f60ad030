"""JSON records in and out, checked against the schema.

The check is a type: each schema becomes a msgspec struct, so that decoding, checking and naming the wrong field is one
pass in C. What msgspec cannot say in a type (a time is ISO 8601) is checked here while the columns are built.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import RequestError
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Schema, label_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TYPES: dict[str, Any] = {"number": float, "boolean": bool, "category": str, "text": str, "time": str}
_WRAPPED = re.compile(rb'\s*\{\s*"records"\s*:')


class RecordCodec:
    """Reads the records that one schema allows, and writes its answers.

    A body is one record `{…}`, many `[{…}, …]`, or many as `{"records": [{…}, …]}`.
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
        wrapper = msgspec.defstruct("Records", [("records", list[self._row])], forbid_unknown_fields=True)  # type: ignore[name-defined]
        self._one = msgspec.json.Decoder(self._row)
        self._many = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._wrapped = msgspec.json.Decoder(wrapper)
        self._may_wrap = all(column.name != "records" for column in schema.features)
        self._columns = [(column.name, _COLUMN[column.kind]) for column in schema.features]
        self._labels = {label_text(label): label for label in schema.target.labels}
        self._label_texts = list(self._labels)

    def decode(self, body: bytes) -> tuple[Columns, int]:
        """The columns of a JSON body, and the number of rows.

        Raises:
            RequestError: naming the place, as `$[3].distance`.
        """
        start = body.lstrip()[:1]
        try:
            if start == b"[":
                rows = self._many.decode(body)
            elif self._may_wrap and _WRAPPED.match(body):
                rows = self._wrapped.decode(body).records
            else:
                rows = [self._one.decode(body)]
        except msgspec.ValidationError as error:
            raise _request_error(str(error)) from None
        except msgspec.DecodeError as error:
            raise RequestError(f"the body is not valid JSON: {error}") from None
        except UnicodeDecodeError as error:
            raise RequestError(f"the body is not UTF-8: {error}") from None
        return self._to_columns(rows), len(rows)

    def convert(self, records: Sequence[Any]) -> tuple[Columns, int]:
        """The columns of records that are already Python objects, checked in the same way."""
        try:
            rows = msgspec.convert(list(records), list[self._row], strict=True)  # type: ignore[name-defined]
        except msgspec.ValidationError as error:
            raise _request_error(str(error)) from None
        return self._to_columns(rows), len(rows)

    def _to_columns(self, rows: list[Any]) -> Columns:
        if not rows:
            raise RequestError("no records: expected at least one")
        values = zip(*map(msgspec.structs.astuple, rows), strict=True)
        columns = {}
        for (name, build), column in zip(self._columns, values, strict=True):
            try:
                columns[name] = build(column)
            except _BadValue as error:
                place = f"$[{error.row}].{name}" if len(rows) > 1 else f"$.{name}"
                raise RequestError(error.problem, place) from None
        return columns

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


def _request_error(message: str) -> RequestError:
    """msgspec's `Expected `float`, got `str` - at `$[0].age`` split into what and where."""
    problem, _, place = message.partition(" - at ")
    return RequestError(problem, place.strip("`") or "$")


def _numbers(values: tuple[Any, ...]) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _texts(values: tuple[Any, ...]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        text = MISSING_TEXT if value is None else str(value)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise _BadValue(row, "the text holds a lone surrogate, which is no character") from None
        column[row] = text
    return column


def _times(values: tuple[Any, ...]) -> np.ndarray:
    column = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        column[row] = MISSING_TIME if value is None else _microseconds(row, value)
    return column


def _microseconds(row: int, value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return (time - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise _BadValue(row, f"expected an ISO 8601 time such as 2013-07-04T18:30:00, got {value[:40]!r}") from None


_COLUMN = {"number": _numbers, "boolean": _numbers, "category": _texts, "text": _texts, "time": _times}


def _to_json(column: Column, value: Any) -> Any:
    if column.kind == "time":
        return None if value == MISSING_TIME else (_EPOCH + value * _MICROSECOND).isoformat()
    if column.kind in ("category", "text"):
        return None if value == MISSING_TEXT else value
    if value != value:
        return None
    return bool(value) if column.kind == "boolean" else value
