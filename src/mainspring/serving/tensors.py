"""Tensors of the Open Inference Protocol v2, to columns and from outputs; as JSON, or with the binary data extension.

Each input of a model is one tensor of shape [n, 1] (or [n]); all have the same n. The protocol:
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and the extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
The checks are those of JSON records; a mistake names its tensor.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import BrokenJsonError, RequestError
from mainspring.runtimes.onnx import Outputs
from mainspring.runtimes.records import RecordCodec
from mainspring.runtimes.strict_json import broken_json, refuse_duplicate_keys, shown
from mainspring.schema import Column, Columns, Schema

_FLOATS: dict[str, np.dtype[Any]] = {"FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
_INTEGERS: dict[str, np.dtype[Any]] = {f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)}
_INTEGERS |= {f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)}
_NUMERIC: dict[str, np.dtype[Any]] = {**_FLOATS, **_INTEGERS}
_BINARY: dict[str, np.dtype[Any]] = {**_NUMERIC, "BOOL": np.dtype("?")}
_LENGTH = struct.Struct("<I")


class InputTensor(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor that a client sends; `data` is absent where it follows in binary."""

    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    """An output that a client wants."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON part of a request."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] = []


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """A tensor that we answer."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | None = None
    parameters: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(InferenceRequest)


def input_datatype(column: Column) -> str:
    """The datatype that the metadata names for a column; others that fit are taken too."""
    if column.kind == "boolean" and not column.nullable:
        return "BOOL"
    return "FP64" if column.kind in ("number", "boolean") else "BYTES"


def output_tensors(schema: Schema) -> list[tuple[str, str, list[int]]]:
    """Name, datatype and shape of each output."""
    if schema.target.labels:
        return [("label", "BYTES", [-1]), ("probabilities", "FP64", [-1, len(schema.target.labels)])]
    return [("value", "FP64", [-1])]


def parse(body: bytes, header_length: int | None) -> tuple[InferenceRequest, bytes]:
    """The JSON part of a body, and the binary data behind it.

    Raises:
        RequestError: the JSON is none, or is not an inference request.
    """
    if header_length is None:
        header_length = len(body)
    if header_length > len(body):
        raise RequestError(f"the body has {len(body)} bytes, fewer than Inference-Header-Content-Length says")
    header, binary = body[:header_length], body[header_length:]
    try:
        request = _decoder.decode(header)
        refuse_duplicate_keys(header)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise broken_json(header, error) from None
    except RecursionError:
        raise BrokenJsonError("the JSON is nested too deeply") from None
    return request, binary


def to_columns(request: InferenceRequest, binary: bytes, codec: RecordCodec, max_rows: int) -> tuple[Columns, int]:
    """The columns that the tensors hold, and the number of rows.

    Raises:
        RequestError: naming the tensor that is missing, unknown, or not what the schema says.
    """
    expected = {column.name: column for column in codec.schema.features}
    columns: Columns = {}
    rows, offset = -1, 0
    for tensor in request.inputs:
        place = f"input {shown(tensor.name)!r}"
        column = expected.get(tensor.name)
        if column is None:
            raise RequestError(f"there is no such input; the model takes {', '.join(expected)}", place)
        if tensor.name in columns:
            raise RequestError("the input is given twice", place)
        found = _rows(tensor, place)
        if rows not in (-1, found):
            raise RequestError(f"it has {found} rows, the inputs before it have {rows}", place)
        rows = found
        if rows > max_rows:
            raise RequestError(f"{rows} rows are too many: send at most {max_rows} at a time", place)
        size = _binary_size(tensor, place)
        if size is None:
            values = _json_values(tensor, column, rows, place)
        else:
            values = _binary_values(tensor, column, rows, binary[offset : offset + size], size, place)
            offset += size
        columns[tensor.name] = _column(codec, column, values, place)
    if missing := [name for name in expected if name not in columns]:
        raise RequestError("the input is missing", f"input {missing[0]!r}")
    if offset != len(binary):
        raise RequestError(f"{len(binary) - offset} bytes of binary data belong to no input")
    return columns, rows


def _rows(tensor: InputTensor, place: str) -> int:
    if len(tensor.shape) not in (1, 2) or tensor.shape[1:] not in ([], [1]):
        raise RequestError(f"expected the shape [n, 1] or [n], found {tensor.shape[:8]}", place)
    if tensor.shape[0] < 1:
        raise RequestError(f"expected at least one row, found the shape {tensor.shape}", place)
    return tensor.shape[0]


def _binary_size(tensor: InputTensor, place: str) -> int | None:
    """The bytes that the tensor has in the binary data; None if its data is in the JSON."""
    for name in tensor.parameters:
        if name != "binary_data_size":
            raise RequestError(f"the parameter {shown(name)!r} is not supported", place)
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is msgspec.UNSET):
        raise RequestError("expected either data or the parameter binary_data_size", place)
    if size is not None and (type(size) is not int or size < 0):
        raise RequestError("binary_data_size is not a number of bytes", place)
    return size


def _allowed(column: Column) -> tuple[str, ...]:
    """The datatypes that a column may come as."""
    if column.kind == "boolean":
        return ("BOOL", *_NUMERIC)
    if column.kind == "number":
        return tuple(_NUMERIC)
    return ("BYTES", *_INTEGERS) if column.kind == "category" and column.integer else ("BYTES",)


def _check_datatype(tensor: InputTensor, column: Column, place: str) -> None:
    if tensor.datatype not in (allowed := _allowed(column)):
        found = shown(tensor.datatype)
        raise RequestError(
            f"expected the datatype {input_datatype(column)} ({', '.join(allowed)}); found {found}", place
        )


def _json_values(tensor: InputTensor, column: Column, rows: int, place: str) -> list[Any]:
    """The values in the JSON, which may be nested as the shape is, or flat; null is a missing one."""
    _check_datatype(tensor, column, place)
    kind: Any = int if tensor.datatype in _INTEGERS else float
    kind = {"BOOL": bool, "BYTES": str}.get(tensor.datatype, kind)
    element = kind | None if column.nullable else kind
    raw = bytes(tensor.data)  # type: ignore[arg-type]
    nested = raw[1:].lstrip()[:1] == b"["
    try:
        values = msgspec.json.decode(raw, type=list[list[element]] if nested else list[element])  # type: ignore[valid-type]
    except msgspec.ValidationError as error:
        raise RequestError(f"{error}, in data of the datatype {tensor.datatype}", place) from None
    if nested:
        if any(len(value) != 1 for value in values):
            raise RequestError("each row of data must hold one value", place)
        values = [value[0] for value in values]
    if len(values) != rows:
        raise RequestError(f"data has {len(values)} values, the shape says {rows}", place)
    if tensor.datatype in _INTEGERS:
        limits = np.iinfo(_INTEGERS[tensor.datatype])
        for row, value in enumerate(values):
            if value is not None and not limits.min <= value <= limits.max:
                raise RequestError(f"the number is no {tensor.datatype}", f"{place}[{row}]")
    return values


def _binary_values(tensor: InputTensor, column: Column, rows: int, data: bytes, size: int, place: str) -> Any:
    """The values in the binary data: a list of text, or an array."""
    _check_datatype(tensor, column, place)
    if len(data) < size:
        raise RequestError(f"binary_data_size is {size}, but only {len(data)} bytes are left in the body", place)
    if tensor.datatype == "BYTES":
        return _texts(data, rows, place)
    dtype = _BINARY[tensor.datatype]
    if size != rows * dtype.itemsize:
        raise RequestError(f"expected {rows * dtype.itemsize} bytes of {tensor.datatype}, found {size}", place)
    if tensor.datatype == "BOOL" and data.translate(None, b"\x00\x01"):
        raise RequestError("a BOOL is neither 0 nor 1", place)
    return np.frombuffer(data, dtype)


def _texts(data: bytes, rows: int, place: str) -> list[str]:
    """BYTES elements: each a length of four bytes, little-endian, and then as many bytes."""
    texts: list[str] = []
    offset = 0
    while offset < len(data) and len(texts) < rows:
        if offset + _LENGTH.size > len(data):
            break
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        if offset + length > len(data):
            break
        try:
            texts.append(data[offset : offset + length].decode())
        except UnicodeDecodeError:
            raise RequestError("the text is not UTF-8", f"{place}[{len(texts)}]") from None
        offset += length
    if len(texts) != rows or offset != len(data):
        raise RequestError(f"the binary data does not hold {rows} texts", place)
    return texts


def _column(codec: RecordCodec, column: Column, values: Any, place: str) -> np.ndarray:
    """The array in the form of `mainspring.schema.Columns`, checked as JSON records are."""
    if column.kind not in ("number", "boolean"):
        # Binary text has no null: an empty one is a missing value.
        values = [None if value == "" and column.nullable else value for value in values]
        return codec.column(column.name, values, place + "[{}]")
    array = np.asarray(values, dtype=np.float64)  # None becomes NaN
    allowed = np.isfinite(array)
    if column.nullable:
        allowed |= np.isnan(array)
    if column.kind == "boolean":
        allowed &= (array == 0) | (array == 1) | np.isnan(array)
    if not allowed.all():
        row = int(np.argmin(allowed))
        expected = "true or false (1 or 0)" if column.kind == "boolean" else "a finite number"
        hint = ", or NaN where it is missing" if column.nullable else ", and this input may not be missing"
        raise RequestError(f"expected {expected}{hint}; found {array[row]}", f"{place}[{row}]")
    return array


def requested(request: InferenceRequest, schema: Schema) -> list[tuple[str, bool]]:
    """The outputs that are wanted, in that order, and whether each is wanted in binary.

    Raises:
        RequestError: one is unknown, or wanted in a way that is not supported.
    """
    names = [name for name, _, _ in output_tensors(schema)]
    binary = _flag(request.parameters, "binary_data_output", "parameters")
    if not request.outputs:
        return [(name, binary) for name in names]
    wanted: dict[str, bool] = {}
    for output in request.outputs:
        place = f"output {shown(output.name)!r}"
        if output.name not in names:
            raise RequestError(f"there is no such output; the model gives {', '.join(names)}", place)
        if output.name in wanted:
            raise RequestError("the output is asked for twice", place)
        for name in output.parameters:
            if name != "binary_data":
                raise RequestError(f"the parameter {shown(name)!r} is not supported", place)
        wanted[output.name] = _flag(output.parameters, "binary_data", place, default=binary)
    return list(wanted.items())


def _flag(parameters: dict[str, Any], name: str, place: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"{name} is neither true nor false", place)
    return value


def from_outputs(outputs: Outputs, wanted: list[tuple[str, bool]]) -> tuple[list[OutputTensor], bytes]:
    """The tensors that are wanted, and their binary data."""
    arrays = {"label": outputs.labels, "probabilities": outputs.probabilities, "value": outputs.values}
    tensors, parts = [], []
    for name, binary in wanted:
        array = arrays[name]
        datatype = "BYTES" if name == "label" else "FP64"
        tensor = OutputTensor(name, datatype, array.shape)  # type: ignore[union-attr]
        if not binary:
            tensor.data = array.ravel().tolist()  # type: ignore[union-attr]
        else:
            data = _packed(array) if name == "label" else array.astype("<f8").tobytes()  # type: ignore[union-attr, arg-type]
            tensor.parameters = {"binary_data_size": len(data)}
            parts.append(data)
        tensors.append(tensor)
    return tensors, b"".join(parts)


def _packed(labels: np.ndarray) -> bytes:
    texts = [label.encode() for label in labels.tolist()]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
