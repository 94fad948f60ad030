"""Hashes of content: of a table, to see that data changed, and of each row, to split it the same way for ever.

They are the same in every process, on every platform and from every file format. A text is hashed by BLAKE2b, once
for each different one; a number by the bits of its float64, mixed by SplitMix64 (Steele, Lea, Flood: "Fast splittable
pseudorandom number generators", OOPSLA 2014). A row's hash is the mixed sum over its columns of value and column
name, so the order of columns is of no account, and a missing value adds nothing: rows keep their hash when a column
is added that they lack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainspring.data.canonical import TIME, is_supported
from mainspring.schema import MISSING_TIME, Column, Columns


def table_fingerprint(table: pa.Table) -> str:
    """64 hexadecimal digits that tell whether two (canonical) tables hold the same, however it is chunked or encoded.

    Columns of types that no model takes count by name and type alone.
    """
    digest = hashlib.blake2b(digest_size=32)
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        digest.update(f"{len(name)}:{name}:{column.type}:{len(column)}:".encode())
        if is_supported(column.type):
            for part in _content(column):
                digest.update(part)
    return digest.hexdigest()


def row_hashes(columns: Columns, features: Iterable[Column]) -> np.ndarray:
    """The hash of each row's values of `features`: (n,) uint64."""
    features = tuple(features)
    total = np.zeros(len(columns[features[0].name]), np.uint64)
    for feature in features:
        values = columns[feature.name]
        hashes = hash_texts(values) if values.dtype == object else _hash_numbers(values)
        salt = np.uint64(_hash_text(feature.name))
        total += np.where(hashes == 0, np.uint64(0), mix(hashes ^ salt))
    return mix(total)


def hash_texts(values: np.ndarray) -> np.ndarray:
    """(n,) object array of str → (n,) uint64; 0 for missing."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    hashes = np.array([_hash_text(text) for text in encoded.dictionary.to_pylist()], np.uint64)
    return hashes[encoded.indices.to_numpy()] if len(hashes) else np.zeros(len(values), np.uint64)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64: uint64 → uint64, one to one, every bit depending on every bit."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _hash_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") if text else 0


def _hash_numbers(values: np.ndarray) -> np.ndarray:
    """float64 or int64 (n,) → uint64 (n,); 0 for NaN and for a missing time."""
    if values.dtype == np.float64:
        missing = np.isnan(values)
        values = values + 0.0  # -0.0 becomes 0.0
    else:
        missing = values == MISSING_TIME
    return np.where(missing, np.uint64(0), mix(values.view(np.uint64)))


def _content(column: pa.ChunkedArray) -> Iterator[memoryview]:
    """The bytes that a column comes down to: for text, all lengths (-1 for missing) and then all characters."""
    if column.type == pa.string():
        yield pc.fill_null(pc.binary_length(column), -1).to_numpy().astype("<i4").data
        for chunk in filter(len, pc.drop_null(column).chunks):
            _, offsets, characters = chunk.buffers()
            first, last = np.frombuffer(offsets, np.int32)[[chunk.offset, chunk.offset + len(chunk)]]
            if first < last:
                yield memoryview(characters)[first:last]
    elif column.type in (pa.int64(), TIME):
        yield _hash_numbers(pc.fill_null(column.cast(pa.int64()), MISSING_TIME).to_numpy()).astype("<u8").data
    else:
        yield _hash_numbers(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()).astype("<u8").data
