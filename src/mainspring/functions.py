"""Functions of the project's own, which a spec names as "module:function"."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainspring.errors import DataError, SpecError

_importing = threading.RLock()  # the path of a process is one, and versions are loaded side by side
_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_function(name: str) -> bool:
    """Whether `name` is that of a function."""
    return _NAME.fullmatch(name) is not None


def call(name: str, folder: Path, mistake: Callable[[str], SpecError]) -> Any:
    """What the function `name` ("module:function") gives; modules in `folder` come first.

    `mistake` makes the error for a name that is not there.

    Raises:
        SpecError: there is no such function.
        DataError: it raised, or its module did.
    """
    module_name, function_name = name.split(":")
    with _importing, _modules_of(folder):
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
            return function()
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{name} raised {type(error).__name__}: {error}") from error


def code_of(name: str, folder: Path) -> bytes:
    """The module of the function `name`, where it lies in `folder`; nothing, where it is installed, or no function."""
    path = folder / (name.partition(":")[0].replace(".", "/") + ".py")
    return path.read_bytes() if is_function(name) and path.is_file() else b""


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
