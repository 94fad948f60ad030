"""From a digest to its row, without an object for each: the first eight bytes, sorted, are searched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

COLUMNS: dict[str, type[np.generic]] = {"keys": np.uint64, "order": np.int32}


class Lookup:
    """Finds digests among those of the rows.

    Args:
        digests: (n, width) uint8, a row's each.
        keys: (n,) uint64, their first eight bytes, ascending.
        order: (n,) int32, the row of each key.
    """

    def __init__(self, digests: np.ndarray, keys: np.ndarray, order: np.ndarray) -> None:
        self._digests = digests
        self._keys = keys
        self._order = order

    @classmethod
    def of(cls, digests: np.ndarray) -> Lookup:
        """Sorts them."""
        keys = _keys(digests)
        order = np.argsort(keys, kind="stable").astype(np.int32)  # equal ones: the first row stays the first
        return cls(digests, keys[order], order)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """What is to be kept beside the digests."""
        return {"keys": self._keys, "order": self._order}

    def rows(self, digests: np.ndarray) -> np.ndarray:
        """(m,) int64: the first row of each of the (m, width) uint8 digests, -1 where there is none."""
        wanted = _keys(digests)
        places = np.searchsorted(self._keys, wanted)
        found = np.full(len(digests), -1, np.int64)
        open_ = np.arange(len(digests))
        while len(open_):
            open_ = open_[places[open_] < len(self._keys)]
            open_ = open_[self._keys[places[open_]] == wanted[open_]]
            rows = self._order[places[open_]]
            same = (self._digests[rows] == digests[open_]).all(1)
            found[open_[same]] = rows[same]
            open_ = open_[~same]
            places[open_] += 1  # another digest with the same beginning
        return found


def digests_of(ids: Sequence[str], width: int) -> np.ndarray:
    """(n, width) uint8 of digests in hexadecimal.

    Raises:
        ValueError: one is not hexadecimal, or not that long.
    """
    return np.frombuffer(b"".join(_bytes(id_, width) for id_ in ids), np.uint8).reshape(len(ids), width)


def _bytes(id_: str, width: int) -> bytes:
    digest = bytes.fromhex(id_)
    if len(digest) != width:
        raise ValueError(f"{id_!r:.80} is no digest of {width} bytes in hexadecimal")
    return digest


def _keys(digests: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(digests[:, :8]).view("<u8").reshape(len(digests))
