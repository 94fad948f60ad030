"""The user's cache folder: weights under their final names are whole and right, or are not there.

    weights/NAME/PRINT/files/…       the files, as the catalogue names them
    weights/NAME/PRINT/source.txt    where they came from
    weights/NAME/.lock               held by the one process that fetches
    weights/NAME/.partial-…/         what it has so far; swept by the next one if it was killed
    digests/DEVICE-INODE             the sha256 of a file of that size and time: large files are not read twice

PRINT is the beginning of the sha256 of all the files, so a new release of a name lies beside the old one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mainspring import files
from mainspring.errors import BusyError
from mainspring.weights.catalogue import Entry
from mainspring.weights.progress import Progress

_PRINT_DIGITS = 16
# As long as a slow line may need for gigabytes. Whoever holds the lock is alive, and pip gives up on a dead line.
_LONGEST_WAIT = 6 * 3600.0
# A file may change twice within one tick of its clock; until it has passed, its time says nothing.
_TICK_NS = 2_000_000_000


def folder() -> Path:
    """`$MAINSPRING_CACHE`, or `mainspring` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("MAINSPRING_CACHE"):
        return Path(own).absolute()
    if (shared := os.environ.get("XDG_CACHE_HOME")) and Path(shared).is_absolute():
        return Path(shared) / "mainspring"
    return Path.home() / ".cache" / "mainspring"


def kept(name: str, entry: Entry) -> tuple[Path, str] | None:
    """The folder of the files, and where they came from; None if they are not here, or not as they should be."""
    place = _place(name, entry)
    try:
        source = (place / "source.txt").read_text()
        for path, file in entry.files.items():
            at = place / "files" / path
            if at.stat().st_size != file.bytes or sha256(at) != file.sha256:
                return None
    except FileNotFoundError:
        return None
    return place / "files", source


def keep(
    name: str, entry: Entry, fetch: Callable[[Path], str], progress: Progress, *, force: bool = False
) -> tuple[Path, str]:
    """The same as `kept`, after `fetch` if need be; with `force` in any case.

    `fetch(folder)` must put the right files into `folder`/files, and say where they came from. Of several processes
    one fetches and the others wait for it.
    """
    if not force and (found := kept(name, entry)):
        return found
    place = _place(name, entry)
    what = f"fetching {name}"
    try:
        with files.lock(place.parent / ".lock", what=what):
            return _fetched(name, entry, fetch, force)
    except BusyError as error:
        progress.say(f"waiting: {error}")
    with files.lock(place.parent / ".lock", what=what, timeout=_LONGEST_WAIT):
        return _fetched(name, entry, fetch, force=False)  # what the other has just fetched is fresh enough


def _fetched(name: str, entry: Entry, fetch: Callable[[Path], str], force: bool) -> tuple[Path, str]:
    if not force and (found := kept(name, entry)):
        return found
    place = _place(name, entry)
    for left in place.parent.glob(".partial-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".partial-", dir=place.parent))
    try:
        ready = work / "ready"
        ready.mkdir()
        source = fetch(ready)
        (ready / "source.txt").write_text(source)
        for path in [ready / "source.txt", *(ready / "files" / path for path in entry.files)]:
            _sync(path)
        if place.exists():
            place.rename(work / "replaced")
        ready.rename(place)
        files.sync_folder(place.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place / "files", source


def sha256(path: Path) -> str:
    """The file's sha256, remembered for as long as the file has this size and time."""
    status = path.stat()
    memo = folder() / "digests" / f"{status.st_dev:x}-{status.st_ino:x}"
    stamp = f"{status.st_size} {status.st_mtime_ns} "
    try:
        if (line := memo.read_text()).startswith(stamp):
            return line.removeprefix(stamp)
    except OSError:
        pass
    digest = files.sha256(path)
    if time.time_ns() - status.st_mtime_ns > _TICK_NS:
        with suppress(OSError):  # a cache that cannot be written, as in a container's image, is read all the same
            files.write_atomically(memo, (stamp + digest).encode())
    return digest


def _place(name: str, entry: Entry) -> Path:
    return folder() / "weights" / name / entry.identity[:_PRINT_DIGITS]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
