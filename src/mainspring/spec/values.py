"""What one value in `mainspring.toml` may be: a duration, a size, a name, and numbers that may also be durations.

A converter raises ValueError with what it expected, in the words in which the user is told it (see `mistakes`).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+)\s*(B|kB|KB|MB|GB)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3}


class Strict(BaseModel):
    """No unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Budget(Strict):
    """How long candidates are tried: a number of trials (the same result anywhere) or seconds (as many as fit)."""

    trials: int | None = None
    seconds: float | None = None


class Window(Strict):
    """A stretch of live traffic that is looked at as one: so many rows, or so much time."""

    rows: int | None = None
    seconds: float | None = None


def _seconds(value: object) -> float:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())) and float(match[1]):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError('a duration such as "60s", "5m" or "1h"')


def _bytes(value: object) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())) and int(match[1]):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError('a size such as "500kB" or "4MB"')


def _budget(value: object) -> Budget:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Budget(trials=value)
    try:
        return Budget(seconds=_seconds(value))
    except ValueError:
        raise ValueError('a number of trials such as 40, or a duration such as "60s"') from None


def _window(value: object) -> Window:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Window(rows=value)
    try:
        return Window(seconds=_seconds(value))
    except ValueError:
        raise ValueError('a number of rows such as 5000, or a duration such as "1d"') from None


Seconds = Annotated[float, BeforeValidator(_seconds)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
WrittenBudget = Annotated[Budget, BeforeValidator(_budget)]  # in the file 40 or "10m"
WrittenWindow = Annotated[Window, BeforeValidator(_window)]  # in the file 5000 or "1d"
