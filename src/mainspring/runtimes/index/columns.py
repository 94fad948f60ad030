"""Columns of numbers in safetensors files, mapped into memory: workers on one machine share their pages.

A file is the length of its header (8 bytes), the header (JSON: for each column its type, shape and place), and the data
(https://github.com/huggingface/safetensors). The library of that name copies what it reads into NumPy, and holds all
that it writes; an index of a million passages is larger than that is worth.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import RuntimeLoadError
from mainspring.files import whole_file

REMEDY = "fit the index again, or take its version from a copy"
_MOST_HEADER_BYTES = 1 << 24
_TYPES = {
    "U8": "<u1", "I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_NAMES = {np.dtype(type_): name for name, type_ in _TYPES.items()}


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write the file. It is there when it is whole, or not at all."""
    header: dict[str, Any] = {}
    end = 0
    # The widest types first: each column then begins at a multiple of its own width.
    ordered = sorted(columns.items(), key=lambda item: -item[1].dtype.itemsize)
    for name, column in ordered:
        begin, end = end, end + column.nbytes
        header[name] = {"dtype": _NAMES[column.dtype], "shape": list(column.shape), "data_offsets": [begin, end]}
    written = msgspec.json.encode(header)
    written += b" " * (-len(written) % 8)
    with whole_file(path) as file:
        file.write(len(written).to_bytes(8, "little") + written)
        for _, column in ordered:
            if column.size:
                file.write(np.ascontiguousarray(column).data.cast("B"))


def read_columns(path: Path, expected: Mapping[str, type[np.generic]] | None = None) -> dict[str, np.ndarray]:
    """The file's columns, mapped; with `expected`, these and no others, of these types.

    Raises:
        RuntimeLoadError: it is not there, or damaged.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= min(_MOST_HEADER_BYTES, size - 8):
                raise RuntimeLoadError(f"{path} is damaged: its header cannot have {length} bytes; {REMEDY}")
            header = msgspec.json.decode(file.read(length), type=dict[str, _Place])
    except (OSError, msgspec.DecodeError) as error:
        raise RuntimeLoadError(f"{path} cannot be read: {error}; {REMEDY}") from None
    columns = {name: _mapped(path, name, place, 8 + length, size) for name, place in header.items()}
    if expected is not None and {name: column.dtype for name, column in columns.items()} != {
        name: np.dtype(type_) for name, type_ in expected.items()
    }:
        raise RuntimeLoadError(f"{path} is damaged: it must have the columns {', '.join(expected)}; {REMEDY}")
    return columns


class _Place(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _mapped(path: Path, name: str, place: _Place, start: int, size: int) -> np.ndarray:
    begin, end = place.data_offsets
    sound = place.dtype in _TYPES and begin >= 0 and all(number >= 0 for number in place.shape)
    if (
        not sound
        or end - begin != math.prod(place.shape) * np.dtype(_TYPES[place.dtype]).itemsize
        or start + end > size
    ):
        raise RuntimeLoadError(f"{path} is damaged: the column {name!r:.80} is not where it should be; {REMEDY}")
    if begin == end:  # nothing of nothing can be mapped
        return np.zeros(place.shape, _TYPES[place.dtype])
    mapped = np.memmap(path, _TYPES[place.dtype], "r", start + begin, tuple(place.shape))
    return mapped.view(np.ndarray)  # slices of a memmap are memmaps, which are slow to make


class Spool:
    """A column that grows in a file while an index is written: what is written last need not fit into memory."""

    def __init__(self, path: Path, type_: type[np.generic], width: int | None) -> None:
        self._path = path
        self._type = np.dtype(type_)
        self._width = width
        self._file = path.open("wb")
        self._bytes = 0

    def append(self, values: np.ndarray) -> None:
        """Add rows."""
        written = np.ascontiguousarray(values, self._type)
        if written.size:
            self._file.write(written.data.cast("B"))
            self._bytes += written.nbytes

    def __len__(self) -> int:
        return self._bytes // (self._type.itemsize * (1 if self._width is None else self._width))

    def values(self) -> np.ndarray:
        """All rows so far, mapped."""
        self._file.flush()
        shape = (len(self),) if self._width is None else (len(self), self._width)
        if not self._bytes:
            return np.zeros(shape, self._type)
        return np.memmap(self._path, self._type, "r", 0, shape).view(np.ndarray)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Spools:
    """A folder of them, made anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spools: list[Spool] = []
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def new(self, type_: type[np.generic], width: int | None = None) -> Spool:
        """An empty column of such numbers, of rows of `width` numbers each; None for one number without a dimension."""
        spool = Spool(self._folder / str(len(self._spools)), type_, width)
        self._spools.append(spool)
        return spool

    def remove(self) -> None:
        """Close and delete them all, and the folder."""
        for spool in self._spools:
            spool.close()
        shutil.rmtree(self._folder, ignore_errors=True)
