"""The tensors of GGUF files: read as float32, written in another type, one after the other.

Quantised types keep blocks of 32 or 256 weights with a scale for each (`ggml-quants.c` of https://github.com/ggml-org/ggml);
the `gguf` package packs and unpacks them. Only one tensor is in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mainspring.errors import WeightsError, require
from mainspring.files import sync_folder
from mainspring.weights.gguf import TENSOR_TYPES, Header, Tensor, read_header

if TYPE_CHECKING:
    from gguf import GGUFWriter

WeightType = Literal["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"]
# general.file_type (llama.h, `llama_ftype`)
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "BF16": 32}
_CODES = {name: code for code, (name, _, _) in TENSOR_TYPES.items()}


@dataclass(frozen=True)
class Written:
    """A tensor to be written: its float32 values, (shape), are asked for when its turn comes."""

    name: str
    shape: tuple[int, ...]
    type: str
    values: Callable[[], np.ndarray]


def read_tensor(file: Path, tensor: Tensor) -> np.ndarray:
    """The values of `tensor` in the GGUF file, (shape) float32.

    Raises:
        WeightsError: its type cannot be unpacked here.
    """
    quants, constants = require("gguf.quants", "language"), require("gguf.constants", "language")
    raw = np.memmap(file, np.uint8, "r", tensor.offset, (tensor.size,))
    rows = raw.reshape(*tensor.shape[:-1], -1) if tensor.shape else raw
    kind = constants.GGMLQuantizationType(_CODES[tensor.type])
    if tensor.type in {"F32", "F16"}:
        found = raw.view(np.float32 if tensor.type == "F32" else np.float16).astype(np.float32)
    else:
        try:
            found = quants.dequantize(rows, kind)
        except NotImplementedError:
            raise WeightsError(f"{file}: tensors of the type {tensor.type} are not read here") from None
    return found.reshape(tensor.shape).astype(np.float32, copy=False)


def stored_type(name: str, shape: tuple[int, ...], type_: WeightType, output: str) -> str:
    """How a tensor is kept in a file of `type_`, as llama.cpp does it.

    Vectors (norms, biases) stay F32. `output`, the matrix that makes the logits, is kept in eight bits where the others
    have fewer: its errors go into the answer without a layer to smooth them. Rows that are not whole blocks are F16.
    """
    if len(shape) < 2:
        return "F32"
    if name == output and type_.startswith(("Q4", "Q5")):
        type_ = "Q8_0"
    block = TENSOR_TYPES[_CODES[type_]][1]
    return "F16" if shape[-1] % block else type_


def requantize(source: Path, target: Path, type_: WeightType) -> None:
    """Write the GGUF file `source` again with its weights in another type; all that it says of itself stays.

    What was lost when `source` was quantised does not come back.

    Raises:
        WeightsError: `source` cannot be read, or the type is not one of `WeightType`.
    """
    check_type(type_)
    header = read_header(source)
    output = output_name(tensor.name for tensor in header.tensors)

    def kept(tensor: Tensor) -> Written:
        stored = stored_type(tensor.name, tensor.shape, type_, output)
        return Written(tensor.name, tensor.shape, stored, lambda: read_tensor(source, tensor))

    with writing(target, header.text("general.architecture") or "") as writer:
        add_values(writer, header, without=frozenset({"general.file_type", "general.alignment"}))
        add_file_type(writer, type_)
        write_tensors(writer, [kept(tensor) for tensor in header.tensors])


def check_type(type_: str) -> None:
    """A `WeightsError` unless `type_` is one that is written here."""
    if type_ not in get_args(WeightType):
        raise WeightsError(f"weights are written as {', '.join(get_args(WeightType))}, not as {type_!r}")


def output_name(names: Iterable[str]) -> str:
    """The tensor that makes the logits: `output.weight`, or the embeddings where the two are one."""
    return "output.weight" if "output.weight" in set(names) else "token_embd.weight"


@contextmanager
def writing(target: Path, architecture: str) -> Iterator[GGUFWriter]:
    """A GGUF file to be written. It is at `target` when all is done, or not at all."""
    from gguf import GGUFWriter

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    writer = GGUFWriter(temporary, architecture)
    try:
        yield writer
        for file in writer.fout or ():
            file.flush()
            os.fsync(file.fileno())
        writer.close()
        temporary.replace(target)
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def add_values(writer: GGUFWriter, header: Header, without: frozenset[str]) -> None:
    """The keys and values of `header` as they are, but for those `without`."""
    from gguf import GGUFValueType

    for key, value in header.values.items():
        if key == "general.architecture" or key in without:
            continue
        kind, element = header.types[key]
        plain = value.tolist() if isinstance(value, np.ndarray) else value
        inner = None if element is None else GGUFValueType(element)
        if plain != []:  # the writer knows no empty array, which says nothing anyway
            writer.add_key_value(key, plain, GGUFValueType(kind), inner)


def add_file_type(writer: GGUFWriter, type_: WeightType) -> None:
    """What most of the weights are."""
    writer.add_file_type(_FILE_TYPES[type_])


def write_tensors(writer: GGUFWriter, tensors: list[Written]) -> None:
    """The rest of the file: the list of tensors, then each tensor in turn."""
    from gguf import GGMLQuantizationType, quantize

    for tensor in tensors:
        code = _CODES[tensor.type]
        _, block, size = TENSOR_TYPES[code]
        length = int(np.prod(tensor.shape, dtype=np.int64)) // block * size
        plain = {"F32": np.float32, "F16": np.float16}.get(tensor.type)
        if plain is not None:
            writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(plain), length)
        else:
            stored = (*tensor.shape[:-1], tensor.shape[-1] // block * size)
            kind = GGMLQuantizationType(code)
            writer.add_tensor_info(tensor.name, stored, np.dtype(np.uint8), length, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        values = tensor.values()
        if not np.isfinite(values).all():
            raise WeightsError(f"the tensor {tensor.name!r} has values that are not finite: the weights are damaged")
        writer.write_tensor_data(quantize(values, GGMLQuantizationType(_CODES[tensor.type])))
