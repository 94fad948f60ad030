"""A sample of bounded size from rows that come batch by batch, each row as likely to be in it as any other.

Every row draws a random key, and the rows with the smallest keys stay ("bottom-k sampling"; Cohen & Kaplan, 2007). So
the sample depends on the rows and the seed alone, and not on where one batch ends and the next begins.
"""

from __future__ import annotations

import numpy as np

from mainspring.schema import Columns


class Sample:
    """Up to `most` of all the rows that were added, in the order in which they came.

    `rows` counts all that were added.

    >>> sample = Sample(3)
    >>> for first in range(0, 10, 5):
    ...     sample.add({"x": np.arange(first, first + 5)})
    >>> sample.columns["x"], sample.rows
    (array([2, 3, 4]), 10)
    """

    def __init__(self, most: int, seed: int = 0) -> None:
        self._most = most
        self._random = np.random.default_rng(seed)
        self._limit = 1.0  # no row with a greater key can be in the sample
        self._keys: list[np.ndarray] = []
        self._batches: list[Columns] = []
        self.rows = 0

    def __len__(self) -> int:
        return min(self.rows, self._most)

    @property
    def columns(self) -> Columns:
        """The rows kept; no columns before the first batch."""
        self._trim()
        return self._batches[0] if self._batches else {}

    def add(self, columns: Columns) -> None:
        """Take rows: the same columns in every batch, arrays whose first axis has one length."""
        added = len(next(iter(columns.values()), ()))
        keys = self._random.random(added)
        candidates = np.flatnonzero(keys <= self._limit)
        self._keys.append(keys[candidates])
        self._batches.append({name: values[candidates] for name, values in columns.items()})
        self.rows += added
        if self._held() > 2 * self._most:  # not at every batch, for trimming copies all
            self._trim()

    def _held(self) -> int:
        return sum(map(len, self._keys))

    def _trim(self) -> None:
        """Join the batches, and keep the rows with the smallest keys."""
        if len(self._keys) < 2 and self._held() == len(self):
            return
        keys = np.concatenate(self._keys)
        if len(keys) > self._most:
            self._limit = float(np.partition(keys, self._most - 1)[self._most - 1])
        kept = np.flatnonzero(keys <= self._limit)
        self._keys = [keys[kept]]
        names = self._batches[0]
        self._batches = [{name: np.concatenate([each[name] for each in self._batches])[kept] for name in names}]
