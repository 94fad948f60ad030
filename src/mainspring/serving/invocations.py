"""`POST /invocations` as MLflow's scoring server answers it, for its clients.

The input formats are those of https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/: `dataframe_split`,
`dataframe_records`, `instances`, `inputs` (records, or a list a column), and `text/csv` with a header.
The answer is `{"predictions": […]}`: labels from a classifier, numbers from a regressor.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import msgspec

from mainspring.errors import BrokenJsonError, RequestError
from mainspring.runtimes.onnx import Outputs
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown
from mainspring.schema import Schema
from mainspring.serving.answering import Answering, Question, prediction_headers
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.messages import Reply, Request
from mainspring.serving.predict import check_rows, require_media_type
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slot

Records = list[Any]
Table = tuple[list[str], list[list[Any]]]


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """A pandas DataFrame as `to_dict(orient="split")` writes it. The index says nothing to a model."""

    columns: list[str]
    data: list[list[Any]]
    index: list[Any] | None = None


class Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON body: exactly one of the four formats."""

    dataframe_split: Split | None = None
    dataframe_records: list[Any] | None = None
    instances: list[Any] | dict[str, Any] | None = None
    inputs: list[Any] | dict[str, Any] | None = None
    params: dict[str, Any] | None = None


_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_decoder = msgspec.json.Decoder(Invocation)


class Invocations:
    """The endpoint. The model is the only one, `default`, or what `?model=` names."""

    def __init__(self, answering: Answering, max_rows: int, default: str | None) -> None:
        self._answering, self._max_rows, self._default = answering, max_rows, default

    async def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        slot = self._choose(request.query.get("model"))
        request.model = slot.name
        require_media_type(request, "application/json", "text/csv")
        parse = _read_csv if request.media_type == "text/csv" else _read_json

        def read(loaded: LoadedVersion) -> Question[bytes]:
            schema = loaded.manifest.schema
            where, records = parse(request.body, schema)
            check_rows(len(records), self._max_rows)
            try:
                columns, rows = loaded.codec.convert(records)
            except RequestError as error:
                raise RequestError(str(error), f"$.{where}{error.place.removeprefix('$')}") from None

            def write(outputs: Outputs) -> bytes:
                field = "label" if schema.target.labels else "value"
                answers = loaded.codec.outputs(outputs)
                return msgspec.json.encode({"predictions": [answer[field] for answer in answers]})

            return Question(columns, rows, write)

        body = await self._answering(request, slot, read)
        return Reply(200, body, headers=prediction_headers(request))

    def _choose(self, name: str | None) -> Slot:
        if name is None and self._default is None:
            slots = [slot for slot in self._answering.slots if slot.desired]
            if len(slots) != 1:
                there = ", ".join(sorted(slot.name for slot in slots)) or "none yet"
                raise Problem(
                    400,
                    f"which model? Name it with ?model=NAME, or set serving.default_model; there are: {there}",
                )
            return slots[0]
        return self._answering.slots.find(name if name is not None else self._default)  # type: ignore[arg-type]


def _read_json(body: bytes, schema: Schema) -> tuple[str, Records]:
    """The format, and its records."""
    try:
        invocation = _decoder.decode(body)
        refuse_duplicate_keys(body)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise RequestError(problem, place.strip("`") or "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise broken_json(body, error) from None
    except RecursionError:
        raise BrokenJsonError("the JSON is nested too deeply") from None
    given = [name for name in _FORMATS if getattr(invocation, name) is not None]
    if len(given) != 1:
        raise RequestError(f"expected one of {', '.join(_FORMATS)}; found {' and '.join(given) or 'none'}")
    if invocation.params:
        raise RequestError("this model takes no params", "$.params")
    (where,) = given
    content = getattr(invocation, where)
    if isinstance(content, Split):
        records = _from_table((content.columns, content.data), f"$.{where}.data")
    elif isinstance(content, dict):
        records = _from_lists(content, f"$.{where}")
    else:
        records = content
    return where, _whole_categories(records, schema)


def _from_table(table: Table, place: str) -> Records:
    columns, rows = table
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise RequestError(f"the column {shown(twice)!r} is given twice", place)
    for row, values in enumerate(rows):
        if len(values) != len(columns):
            raise RequestError(f"expected {len(columns)} values, found {len(values)}", f"{place}[{row}]")
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _from_lists(columns: dict[str, Any], place: str) -> Records:
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError("expected a list, one value a record", f"{place}.{shown(name)}")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise RequestError(f"the columns have different lengths: {sorted(lengths)[:8]}", place)
    return _from_table((list(columns), [list(row) for row in zip(*columns.values(), strict=True)]), place)


def _whole_categories(records: Records, schema: Schema) -> Records:
    """pandas turns whole numbers into 3.0 where a column has holes: for a category of whole numbers that is still 3."""
    names = [column.name for column in schema.features if column.kind == "category" and column.integer]
    for record in records:
        for name in names:
            value = record.get(name) if isinstance(record, dict) else None
            if isinstance(value, float) and value.is_integer():
                record[name] = int(value)
    return records


def _read_csv(body: bytes, schema: Schema) -> tuple[str, Records]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenJsonError(f"the body is not UTF-8: {error.reason}", f"byte {error.start}") from None
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (ValueError, csv.Error) as error:
        problem = str(error) if isinstance(error, csv.Error) else "it has no header"
        raise BrokenJsonError(f"the body is not CSV: {problem}") from None
    records = _from_table((header, rows), "$.csv")
    typed = [(column.name, _CELLS[column.kind]) for column in schema.features if column.kind in _CELLS]
    for row, record in enumerate(records):
        for name, value in record.items():
            record[name] = None if value == "" else value
        for name, read in typed:
            if record.get(name) is not None:
                record[name] = read(record[name], f"$.csv[{row}].{name}")
    return "csv", records


def _number(text: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise RequestError(f"expected a finite number, found {shown(text)!r}", place)
    return number


def _boolean(text: str, place: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise RequestError(f"expected true or false, found {shown(text)!r}", place) from None


_CELLS: dict[str, Callable[[str, str], Any]] = {"number": _number, "boolean": _boolean}
