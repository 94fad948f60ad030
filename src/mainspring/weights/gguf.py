"""GGUF files: their header, read fast and with limits.

A GGUF file is a header of keys and values (architecture, sizes, tokenizer, chat template), a list of tensors, and their
data, aligned. The `gguf` package reads the header of a model with 49,000 tokens in 2.5 seconds; this does it in a
twentieth of that, and refuses what is damaged or hostile before it takes memory: every length is checked against what
is left of the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mainspring.errors import WeightsError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# Real headers: 2 MB for 49,000 tokens, 11 MB for 256,000.
MOST_HEADER_BYTES = 128 << 20
MOST_ENTRIES = 1 << 16  # keys, or tensors
MOST_ELEMENTS = 1 << 22  # of all arrays together; strings take some sixty bytes each
MOST_DIMENSIONS = 4

_STRING, _ARRAY, _BOOLEAN = 8, 9, 7
# The formats of `struct` and NumPy for the types that are numbers, by their codes.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOLEAN: "?", 10: "Q", 11: "q", 12: "d"}

# Code: name, elements a block, bytes a block (ggml.h, `ggml_type`).
TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies. `shape` is as in NumPy, rows first; `offset` is from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of itself.

    `values`: numbers, booleans, text; an array of numbers is a NumPy array, one of text a list. `types`: their codes in
    the file, and for an array that of its elements.
    """

    path: Path
    version: int
    values: Mapping[str, Any]
    types: Mapping[str, tuple[int, int | None]]
    tensors: tuple[Tensor, ...]

    def text(self, key: str, default: str | None = None) -> str | None:
        """The text under `key`; a `WeightsError` where something else is there."""
        return self._get(key, str, "text", default)

    def integer(self, key: str, default: int | None = None) -> int | None:
        """The whole number under `key`; a `WeightsError` where something else is there."""
        return self._get(key, int, "a whole number", default)

    def boolean(self, key: str, default: bool) -> bool:
        """The truth value under `key`; a `WeightsError` where something else is there."""
        return self._get(key, bool, "true or false", default)

    def texts(self, key: str) -> list[str]:
        """The array of texts under `key`, empty where there is none."""
        return self._get(key, list, "an array of text", [])

    def _get(self, key: str, kind: type, name: str, default: Any) -> Any:
        found = self.values.get(key, default)
        if found is not default and type(found) is not kind:
            raise WeightsError(f"{self.path}: {key} must be {name}, found {found!r:.80}")
        return found


def read_header(path: Path) -> Header:
    """The header of the GGUF file at `path`.

    Raises:
        WeightsError: it cannot be read, is no GGUF file, is damaged, cut short, or beyond the limits above.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise WeightsError(f"{path} is not a GGUF file: it does not begin with the bytes GGUF")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


@dataclass(frozen=True)
class Summary:
    """A GGUF file in brief: its model, and how its weights are kept.

    `context` in tokens; `types`: how many bytes each type of tensor takes; `size` of the file, in bytes.
    """

    architecture: str
    name: str | None
    context: int
    layers: int
    width: int
    vocabulary: int
    parameters: int
    types: Mapping[str, int]
    size: int


def summary(path: Path) -> Summary:
    """The GGUF file at `path` in brief.

    Raises:
        WeightsError: as `read_header`; or it does not say what its model is.
    """
    header = read_header(path)
    architecture = header.text("general.architecture") or ""
    sizes = {name: header.integer(f"{architecture}.{name}") for name in ("context_length", "block_count")}
    sizes["embedding_length"] = header.integer(f"{architecture}.embedding_length")
    found = {name: size for name, size in sizes.items() if size is not None and size > 0}
    if len(found) < len(sizes):
        raise WeightsError(f"{path} does not say what its model is: {', '.join(sizes)} of {architecture!r} are needed")
    types: dict[str, int] = {}
    for tensor in header.tensors:
        types[tensor.type] = types.get(tensor.type, 0) + tensor.size
    return Summary(
        architecture=architecture,
        name=header.text("general.name"),
        context=found["context_length"],
        layers=found["block_count"],
        width=found["embedding_length"],
        vocabulary=len(header.texts("tokenizer.ggml.tokens")),
        parameters=sum(math.prod(tensor.shape) for tensor in header.tensors),
        types=MappingProxyType(types),
        size=path.stat().st_size,
    )


class _Reader:
    """A place in the header, and the ways to read on from it. Nothing is read beyond `end`."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data = path, data
        self._at, self._end = 4, min(len(data), MOST_HEADER_BYTES)
        self._elements_left = MOST_ELEMENTS

    def header(self) -> Header:
        version = self._number("I")
        if version not in VERSIONS:
            raise self._wrong(f"GGUF versions 2 and 3 are read here (little-endian), found {version}")
        tensors, keys = self._count("Q", MOST_ENTRIES, "tensors"), self._count("Q", MOST_ENTRIES, "keys")
        values: dict[str, Any] = {}
        types: dict[str, tuple[int, int | None]] = {}
        for _ in range(keys):
            key = self._text()
            if key in values:
                raise self._wrong(f"the key {key!r:.80} is there twice")
            kind = self._number("I")
            if kind == _ARRAY:
                element = self._number("I")
                values[key], types[key] = self._array(element), (kind, element)
            else:
                values[key], types[key] = self._value(kind), (kind, None)
        found = tuple(self._tensors(tensors, values.get("general.alignment", 32)))
        return Header(self._path, version, MappingProxyType(values), MappingProxyType(types), found)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind not in _NUMBERS:
            raise self._wrong(f"there is no type of value {kind}")
        return self._number(_NUMBERS[kind])

    def _array(self, kind: int) -> list[str] | np.ndarray:
        length = self._count("Q", self._elements_left, "elements in its arrays")
        self._elements_left -= length
        if kind == _STRING:
            return [self._text() for _ in range(length)]
        if kind not in _NUMBERS:
            raise self._wrong(f"arrays hold numbers or text, found the type {kind}")
        dtype = np.dtype(_NUMBERS[kind]).newbyteorder("<")
        return np.frombuffer(self._bytes(length * dtype.itemsize), dtype)

    def _tensors(self, count: int, alignment: Any) -> Iterator[Tensor]:
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._wrong(f"general.alignment must be a power of two up to 2^20, found {alignment!r:.80}")
        described: dict[str, tuple[str, tuple[int, ...], int, int]] = {}
        for _ in range(count):
            name = self._text()
            dimensions = self._count("I", MOST_DIMENSIONS, f"dimensions of the tensor {name!r:.80}")
            shape = tuple(self._number("Q") for _ in range(dimensions))[::-1]
            kind, offset = self._number("I"), self._number("Q")
            if name in described:
                raise self._wrong(f"the tensor {name!r:.80} is there twice")
            if kind not in TENSOR_TYPES:
                raise self._wrong(f"the tensor {name!r:.80} has a type that is not known here: {kind}")
            type_name, block, size = TENSOR_TYPES[kind]
            elements = 1
            for length in shape:  # in whole numbers, which do not overflow
                elements *= length
            if (shape[-1] if shape else 1) % block:
                raise self._wrong(f"the rows of the tensor {name!r:.80}, {shape}, are not whole blocks of {block}")
            described[name] = (type_name, shape, offset, elements // block * size)
        start = -(-self._at // alignment) * alignment
        for name, (type_name, shape, offset, size) in described.items():
            if offset % alignment or start + offset + size > len(self._data):
                raise self._wrong(
                    f"the tensor {name!r:.80} lies beyond the end of the file: it is cut short or damaged"
                )
            yield Tensor(name, type_name, shape, start + offset, size)

    def _count(self, form: str, most: int, what: str) -> int:
        found = self._number(form)
        if found > most:
            raise self._wrong(f"it says that it has {found} {what}, more than the {most} that are allowed")
        return found

    def _number(self, form: str) -> Any:
        size = struct.calcsize("<" + form)
        return struct.unpack("<" + form, self._bytes(size))[0]

    def _text(self) -> str:
        length = int.from_bytes(self._bytes(8), "little")
        try:
            return self._bytes(length).decode()
        except UnicodeDecodeError as error:
            raise self._wrong(f"text that is not UTF-8 ({error})") from None

    def _bytes(self, length: int) -> bytes:
        start, self._at = self._at, self._at + length
        if self._at > self._end:
            raise self._wrong(f"its header goes on after byte {self._end}: it is cut short or damaged")
        return self._data[start : self._at]

    def _wrong(self, message: str) -> WeightsError:
        return WeightsError(f"{self._path} is not a sound GGUF file: {message}")
