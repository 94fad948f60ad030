"""Retention: of the prediction log, what `[log]` says is too old or too much is deleted.

The controller of `mainspring up` does it with each rotation (see `rotation`), also in a store elsewhere. Where a
service runs without one, its gateways do it (`retain`), for segments and for a store on this machine; or a disk would
fill up. They find out by a file whose time is that of the last retention, whoever did it: while that is fresh they
leave all to others. So a segment that the controller is about to store is never deleted before; and where its store
does not answer for long, the segments that pile up are bounded all the same.

This module needs no Arrow, for a gateway has none.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mainspring.errors import BusyError
from mainspring.files import lock, write_atomically
from mainspring.monitoring import segments
from mainspring.spec import LogSpec, Project

MARK = ".rotated"
DAMAGED = ".damaged"
_DONE = ".retained"
_FRESH_SECONDS = 300.0  # a controller does it every minute


class Dated(Protocol):
    """A file of the log."""

    @property
    def stem(self) -> str:
        """The name of its segment, which says when that began."""

    @property
    def size(self) -> int:
        """Bytes."""


T = TypeVar("T", bound=Dated)


@dataclass(frozen=True)
class _File:
    """A file on this machine. `model`: whose folder it is in."""

    path: Path
    model: str
    stem: str
    size: int


def surplus(files: Iterable[T], settings: LogSpec, now: float) -> list[T]:
    """Those that are too old, and then the oldest until the rest is small enough."""
    files = sorted(files, key=lambda file: file.stem)
    left = sum(file.size for file in files)
    found = []
    for file in files:
        # A segment lasts minutes: its beginning tells the age of all its rows well enough.
        if segments.began(file.stem).timestamp() < now - settings.keep or left > settings.keep_size:
            left -= file.size
            found.append(file)
    return found


def retain(project: Project, *, now: float | None = None) -> int:
    """Keep what is on this machine within `[log]`, unless that was done lately or another process is at it.

    Open segments count, and are let alone.

    Args:
        now: seconds since 1970 UTC by which the age is counted; the present by default.

    Returns:
        How many files were deleted.

    Raises:
        OSError: the disk does not let us.
    """
    log_folder, now = project.state / segments.LOG_FOLDER, time.time() if now is None else now
    if not log_folder.is_dir():
        return 0
    try:
        with lock(log_folder / ".retention.lock", what="the retention of the log"):
            if _is_fresh(project):
                return 0
            deleted = [file for file in surplus(_files(project), project.log, now) if _delete(file)]
            for model in {file.model for file in deleted}:
                touch(log_folder / model)
            forget_damaged(project, now)
            note(project)
            return len(deleted)
    except BusyError:
        return 0


def note(project: Project) -> None:
    """The whole log was kept within `[log]` just now."""
    done = project.state / segments.LOG_FOLDER / _DONE
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()


def forget_damaged(project: Project, now: float) -> None:
    """Delete segments that were moved aside, when they are too old."""
    for folder in folders(project):
        for path in folder.glob(f"*{segments.SUFFIX}{DAMAGED}"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < now - project.log.keep:
                    path.unlink()


def folders(project: Project) -> list[Path]:
    """Those of all models that have ever logged, also of ones that are no longer declared."""
    return sorted(path for path in (project.state / segments.LOG_FOLDER).glob("*") if path.is_dir())


def local_store(project: Project) -> Path | None:
    """The folder of the store, by default that of the log itself; None where it is a URL."""
    place = project.log.store
    if place is None:
        return project.state / segments.LOG_FOLDER
    return None if "://" in place else project.folder / place


def mark(folder: Path) -> tuple[int, int] | None:
    """Changes whenever the store has changed for the model of this folder; None before the first time."""
    try:
        found = (folder / MARK).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def touch(folder: Path) -> None:
    """The store has changed for the model of this folder."""
    write_atomically(folder / MARK, uuid.uuid4().bytes)


def _is_fresh(project: Project) -> bool:
    try:
        done = (project.state / segments.LOG_FOLDER / _DONE).stat().st_mtime
    except FileNotFoundError:
        return False
    return abs(time.time() - done) < _FRESH_SECONDS


def _files(project: Project) -> list[_File]:
    """The segments, and what a store on this machine has."""
    paths = [(folder.name, path) for folder in folders(project) for path in segments.segments(folder)]
    store = local_store(project)
    if store is not None:
        paths += [(path.parts[-4], path) for path in store.glob("*/*/date=*/*.parquet")]
    found = []
    for model, path in paths:
        stem = path.name.partition(".")[0]
        with contextlib.suppress(FileNotFoundError, ValueError):  # gone meanwhile; none of ours
            segments.began(stem)
            found.append(_File(path, model, stem, path.stat().st_size))
    return found


def _delete(file: _File) -> bool:
    if file.path.suffix != segments.SUFFIX:
        file.path.unlink(missing_ok=True)
        return True
    with segments.closed(file.path) as closed:
        if closed:
            file.path.unlink()
        return closed
