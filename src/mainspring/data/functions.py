"""Rows from a function of the project's own: `data = "prepare:customers"` calls `customers()` in `prepare.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from mainspring import functions
from mainspring.errors import DataError, SpecError


def call(name: str, folder: Path, mistake: Callable[[str], SpecError]) -> pa.Table:
    """The table that the function `name` gives: see `functions.call`.

    It may give a pandas or polars data frame, an Arrow table, anything else with `__arrow_c_stream__`, or a list of
    dicts.

    Raises:
        SpecError: there is no such function.
        DataError: it raised, or what it gave is not a table.
    """
    found = functions.call(name, folder, mistake)
    try:
        return _to_table(found, name)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{name} gave a table that cannot be read: {type(error).__name__}: {error}") from error


def _to_table(found: Any, name: str) -> pa.Table:
    if isinstance(found, pa.Table):
        return found
    if type(found).__module__.split(".")[0] == "pandas":
        return pa.Table.from_pandas(found, preserve_index=False)
    if hasattr(found, "__arrow_c_stream__"):
        return pa.table(found)
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        names = dict.fromkeys(key for row in found for key in row)
        return pa.table({key: pa.array([row.get(key) for row in found]) for key in names})
    raise DataError(
        f"{name} gave {type(found).__name__}; expected a pandas or polars DataFrame, an Arrow table, or a list of dicts"
    )
