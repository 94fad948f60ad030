"""Rows from a function of the project's own: `data = "prepare:customers"` calls `customers()` in `prepare.py`."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from mainspring.errors import DataError, SpecError


def call(name: str, folder: Path, mistake: Callable[[str], SpecError]) -> pa.Table:
    """The table that the function `name` ("module:function") gives; modules in `folder` come first.

    It may give a pandas or polars data frame, an Arrow table, anything else with `__arrow_c_stream__`, or a list of
    dicts. `mistake` makes the error for a name that is not there.

    Raises:
        SpecError: there is no such function.
        DataError: it raised, or what it gave is not a table.
    """
    module_name, function_name = name.split(":")
    with _modules_of(folder):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != module_name.split(".")[0] and error.name != module_name:
                raise DataError(f"{name}: the module {module_name!r} needs {error.name!r}, which is missing") from error
            raise mistake(f"there is no module {module_name!r} in {folder}, nor installed") from None
        except Exception as error:
            raise DataError(f"{name}: importing it raised {type(error).__name__}: {error}") from error
        function = getattr(module, function_name, None)
        if not callable(function):
            close = difflib.get_close_matches(function_name, dir(module), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise mistake(f"there is no function {function_name!r} in {module.__file__}{hint}")
        try:
            return _to_table(function(), name)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{name} raised {type(error).__name__}: {error}") from error


@contextmanager
def _modules_of(folder: Path) -> Iterator[None]:
    """Import from `folder` first. Its modules are forgotten afterwards: two projects may each have a `prepare.py`.

    What is installed inside the folder, as in its `.venv`, stays: a library such as NumPy cannot be imported twice.
    """
    path, known = list(sys.path), set(sys.modules)
    installed = [entry for entry in map(Path, path) if entry != folder and entry.is_relative_to(folder)]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            file = Path(getattr(sys.modules[name], "__file__", None) or "/")
            if file.is_relative_to(folder) and not any(file.is_relative_to(entry) for entry in installed):
                del sys.modules[name]


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
