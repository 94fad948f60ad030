"""The files that a folder or a glob names, inside the project's folder and nowhere else.

Hidden files and folders are left out, and with them `.mainspring`. A link is followed where it stays inside the
project, and each folder is entered once.
"""

from __future__ import annotations

import difflib
import fnmatch
import glob
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mainspring.errors import SpecError

_ANY_DEPTH = "**"


def find(folder: Path, data: str, suffixes: Collection[str], mistake: Callable[[str], SpecError]) -> list[Path]:
    """The files that `data` names, in order of their names.

    Args:
        folder: the project's.
        data: a file; a folder, of which all files with one of `suffixes` are meant; or a glob, in which `**` is any
            number of folders.
        suffixes: with the dot, in lower case.
        mistake: makes the error for a name that is not there.

    Raises:
        SpecError: `data` leads out of the project, or there is nothing.
    """
    root = folder.resolve()
    parts = Path(data).parts
    if Path(data).is_absolute() or ".." in parts:
        raise mistake(f"{data!r} may lead out of the project's folder; give a path inside of it, without '..'")
    path = root / data
    if path.is_file():
        if not _inside(path, root):
            raise mistake(f"{data!r} is hidden, or a link that leads out of the project's folder")
        return [path]
    if path.is_dir():
        pattern = (*(glob.escape(part) for part in parts), _ANY_DEPTH, "*")
        found = [file for file in _walk(root, pattern) if file.name.lower().endswith(tuple(suffixes))]
        if not found:
            raise mistake(f"the folder {data!r} holds no document; known: {', '.join(suffixes)}")
    else:
        found = list(_walk(root, parts))
        if not found:
            raise mistake(_nothing(root, data))
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())


def _walk(root: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """The files below `root` whose path matches `pattern`, of which each part is matched by itself."""
    fixed = 0
    while fixed < len(pattern) - 1 and not glob.has_magic(pattern[fixed]):
        fixed += 1
    start = root.joinpath(*pattern[:fixed])
    depth = None if _ANY_DEPTH in pattern else len(pattern) - fixed
    if any(part.startswith(".") for part in pattern[:fixed]) or not _inside(start, root):
        return
    entered: set[str] = set()
    waiting: list[tuple[Path, tuple[str, ...]]] = [(start, ())]
    while waiting:
        folder, below = waiting.pop()
        real = os.path.realpath(folder)
        if real in entered or not os.path.isdir(real):
            continue
        entered.add(real)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            name = (*below, entry.name)
            if entry.name.startswith(".") or (entry.is_symlink() and not _inside(Path(entry.path), root)):
                continue
            if entry.is_dir():
                if depth is None or len(name) < depth:
                    waiting.append((Path(entry.path), name))
            elif entry.is_file() and _matches(name, pattern[fixed:]):
                yield Path(entry.path)


def _inside(path: Path, root: Path) -> bool:
    """Whether what `path` really is lies in `root`, and not in something hidden."""
    real = Path(os.path.realpath(path))
    return real.is_relative_to(root) and not any(part.startswith(".") for part in real.relative_to(root).parts)


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == _ANY_DEPTH:
        if len(pattern) == 1:
            return True
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _nothing(root: Path, data: str) -> str:
    """Why there is no file, and what was perhaps meant."""
    if glob.has_magic(data):
        return f"no file matches {data!r} (hidden files, and links that lead out of the project, are left out)"
    parent = (root / data).parent
    if not parent.is_dir():
        return f"there is no file or folder {data!r}, nor {str(Path(data).parent)!r}"
    names = sorted(name for name in os.listdir(parent) if not name.startswith("."))
    close = difflib.get_close_matches(Path(data).name, names, n=3)
    if close:
        return f"there is no file or folder {data!r}; did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:10]) + ", …" * (len(names) > 10)
    return f"there is no file or folder {data!r}; beside it there is {shown or 'nothing'}"
