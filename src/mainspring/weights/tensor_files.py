"""Safetensors files, read and written one tensor at a time.

A file is the length of its header (8 bytes), the header (JSON: for each tensor its type, shape and place), and the data
(https://github.com/huggingface/safetensors). The library of that name reads no BF16 into NumPy, and holds all tensors
in memory to write them; models are larger than that.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mainspring.errors import WeightsError
from mainspring.files import whole_file
from mainspring.weights.json_files import json_object

INDEX = "model.safetensors.index.json"
MOST_HEADER_BYTES = 100_000_000  # the library's own limit
# The type in the file: how its bytes are read. BF16 is the upper half of float32. I64 is of buffers such as positions.
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8"}


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies; `offset` is from the start of the file."""

    path: Path
    type: str
    shape: tuple[int, ...]
    offset: int

    def values(self) -> np.ndarray:
        """The values, (shape) float32."""
        count = math.prod(self.shape)
        if count == 0:
            return np.zeros(self.shape, np.float32)
        raw = np.memmap(self.path, _TYPES[self.type], "r", self.offset, (count,))
        if self.type == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return raw.astype(np.float32).reshape(self.shape)


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """The tensors of a Hugging Face folder, from one safetensors file or from the several that its index names.

    Raises:
        WeightsError: there are none, or a file is damaged.
    """
    index = folder / INDEX
    if index.is_file():
        found = json_object(index.read_bytes(), index).get("weight_map")
        names = set(found.values()) if isinstance(found, dict) else set()
        if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
            raise WeightsError(f"{index}: weight_map must name files of this folder for each tensor")
        files = [folder / name for name in sorted(names)]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder} has no safetensors file: weights are read from nothing else")
    tensors: dict[str, Stored] = {}
    for file in files:
        tensors |= _stored_in(file)
    return tensors


def _stored_in(path: Path) -> dict[str, Stored]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= min(MOST_HEADER_BYTES, size - 8):
                raise WeightsError(f"{path} is not a sound safetensors file: its header cannot have {length} bytes")
            header = json_object(file.read(length), path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None
    header.pop("__metadata__", None)
    return {name: _place(path, name, described, 8 + length, size) for name, described in header.items()}


def _place(path: Path, name: str, described: Any, start: int, size: int) -> Stored:
    try:
        kind, shape, (begin, end) = described["dtype"], tuple(described["shape"]), described["data_offsets"]
        if kind not in _TYPES:
            raise WeightsError(
                f"{path}: tensors of the types {', '.join(_TYPES)} are read, {name!r:.80} is {kind!r:.20}"
            )
        sound = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        sound = False
    if not sound or end - begin != math.prod(shape) * np.dtype(_TYPES[kind]).itemsize or start + end > size:
        raise WeightsError(f"{path} is not a sound safetensors file: the tensor {name!r:.80} is not where it should be")
    return Stored(path, kind, shape, start + begin)


# A shape, and what gives the float32 values when their turn comes.
Waiting: TypeAlias = tuple[tuple[int, ...], Callable[[], np.ndarray]]


def write_tensors(path: Path, tensors: Mapping[str, Waiting], type_: str) -> None:
    """Write a safetensors file of tensors by their names.

    `type_` is F32, F16 or BF16. The file is there when it is whole, or not at all.
    """
    width = np.dtype(_TYPES[type_]).itemsize
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (shape, _) in tensors.items():
        begin, end = end, end + math.prod(shape) * width
        header[name] = {"dtype": type_, "shape": list(shape), "data_offsets": [begin, end]}
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    with whole_file(path) as file:
        file.write(len(written).to_bytes(8, "little") + written)
        for _, values in tensors.values():
            file.write(_packed(values(), type_).tobytes())


def _packed(values: np.ndarray, type_: str) -> np.ndarray:
    if type_ != "BF16":
        return np.ascontiguousarray(values, _TYPES[type_])
    bits = np.ascontiguousarray(values, "<f4").view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")  # to the nearest, ties to even
