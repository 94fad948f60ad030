"""History cut into periods and windows: stretches of time, each from its start up to, but not including, its end.

All bounds are times, never places between rows, so that rows of one time are never torn apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from mainspring.errors import DataError
from mainspring.spec import Window

MICROSECONDS = 1_000_000
_DAY = 86_400.0
_MONTHS_FROM = 180 * _DAY  # a span from which calendar months are what a reader expects
_PERIODS = 12

Every: TypeAlias = float | Literal["month"]


@dataclass(frozen=True)
class Period:
    """From `start` up to, not including, `end`: microseconds since 1970 UTC."""

    name: str
    start: int
    end: int

    def rows(self, times: np.ndarray) -> slice:
        """Its rows among `times`, which are sorted."""
        first, last = np.searchsorted(times, [self.start, self.end], side="left")
        return slice(int(first), int(last))


def default_every(times: np.ndarray) -> Every:
    """Months where there are half a year of them, else a twelfth of the span in seconds."""
    span = float(times[-1] - times[0]) / MICROSECONDS
    return "month" if span >= _MONTHS_FROM else max(1.0, float(np.ceil(span / _PERIODS)))


def cut(times: np.ndarray, every: Every) -> list[Period]:
    """The periods of sorted `times` (microseconds since 1970 UTC) that hold rows; the last one may be short.

    Args:
        times: (n,) int64, sorted.
        every: calendar months (UTC), or a length in seconds from the first row on.

    Raises:
        DataError: there are fewer than two periods, so that nothing follows the first.
    """
    if every == "month":
        first, last = times[[0, -1]].astype("datetime64[us]").astype("datetime64[M]")
        edges = np.arange(first, last + 2).astype("datetime64[us]").astype(np.int64)
    else:
        step = max(1, int(every * MICROSECONDS))
        edges = np.arange(times[0], times[-1] + step + 1, step)
    found = []
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        period = Period(_name(start, every), start, end)
        rows = period.rows(times)
        if rows.stop > rows.start:
            found.append(period)
    if len(found) < 2:
        raise DataError("the history is a single period, so that nothing follows it: choose a shorter --every")
    return found


def _name(start: int, every: Every) -> str:
    if every == "month":
        return moment(start)[:7]
    return moment(start)[:10] if every % _DAY == 0 or every > 3 * _DAY else moment(start)[:16]


def next_window(times: np.ndarray, start: int, end: int, window: Window) -> Period:
    """The monitoring window that begins at `start`: so many rows, or so much time, and never past `end`.

    A window of rows ends after its last row and all others of that row's time.
    """
    if window.seconds is not None:
        return Period("", start, min(end, start + max(1, int(window.seconds * MICROSECONDS))))
    assert window.rows is not None
    last = int(np.searchsorted(times, start, side="left")) + window.rows - 1
    return Period("", start, min(end, int(times[last]) + 1) if last < len(times) else end)


def moment(time: int) -> str:
    """Microseconds since 1970 UTC as ISO 8601, to the second: 2013-03-01T00:00:00Z."""
    return f"{np.datetime64(time, 'us').astype('datetime64[s]')}Z"
