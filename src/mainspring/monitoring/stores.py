"""Where the log's Parquet files are: a folder, or any file system that pyarrow or fsspec knows by a URL.

    <root>/MODEL/predictions/date=2026-11-24/<segment>.<version>.parquet
    <root>/MODEL/feedback/date=2026-11-24/<segment>.parquet
    <root>/MODEL/traffic/date=2026-11-24/<segment>.parquet

The date is that of the segment's beginning, so that other tools can read a folder as a data set in parts (as Hive
lays them out). Each file's name follows from its segment: writing it twice makes the same file.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from mainspring.errors import DataError, require
from mainspring.monitoring.retention import local_store
from mainspring.monitoring.segments import began
from mainspring.spec import Project

Content = Literal["predictions", "feedback", "traffic"]
CONTENTS: tuple[Content, ...] = get_args(Content)
_SUFFIX = ".parquet"


@dataclass(frozen=True)
class StoredFile:
    """One Parquet file: `stem` is its segment's; `version` is "" but for predictions."""

    path: str
    content: Content
    stem: str
    version: str
    size: int


class Store:
    """Reads and writes the Parquet files under `root` on `filesystem`. `where` is how messages call it.

    Every method raises DataError where the store does not answer, or what it has cannot be read.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, where: str) -> None:
        self._filesystem, self._root, self._where = filesystem, root.rstrip("/"), where
        self._local = isinstance(filesystem, fs.LocalFileSystem)

    @classmethod
    def of(cls, project: Project) -> Store:
        """The store that the project's `[log]` names; by default, the folder of the log itself.

        Raises:
            DataError: no file system knows the URL.
            MissingExtraError: fsspec may know it, and is not installed.
        """
        if folder := local_store(project):
            return cls(fs.LocalFileSystem(), str(folder), project.log.store or str(folder))
        place = str(project.log.store)
        try:
            known, root = fs.FileSystem.from_uri(place)
            return cls(known, root, place)
        except (pa.ArrowException, ValueError, OSError):
            pass  # pyarrow does not know it: fsspec knows many more
        fsspec = require("fsspec.core", "log")
        try:
            filesystem, root = fsspec.url_to_fs(place)
        except (ValueError, ImportError, OSError) as error:
            raise DataError(
                f"log.store {place!r} is no place that pyarrow or fsspec knows ({error}): expected a folder, or a URL "
                "such as s3://bucket/folder"
            ) from None
        return cls(fs.PyFileSystem(fs.FSSpecHandler(filesystem)), root, place)

    def write(self, model: str, content: Content, stem: str, table: pa.Table, version: str = "") -> None:
        """Write a file, whole or not at all: on a local disk by renaming, elsewhere as the store itself does it."""
        name = ".".join(part for part in (stem, version) if part) + _SUFFIX
        folder = f"{self._root}/{model}/{content}/date={began(stem):%Y-%m-%d}"
        with self._explained("written"):
            self._filesystem.create_dir(folder, recursive=True)
            if not self._local:
                pq.write_table(table, f"{folder}/{name}", filesystem=self._filesystem, compression="zstd")
                return
            temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
            try:
                with open(temporary, "wb") as file:
                    pq.write_table(table, file, compression="zstd")
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(f"{folder}/{name}")
            finally:
                Path(temporary).unlink(missing_ok=True)

    def read(self, path: str) -> pa.Table | None:
        """The table of one file; None if retention has deleted it."""
        with self._explained("read"), contextlib.suppress(FileNotFoundError):
            # A single file, not a data set: the date in its path is no column of it.
            return pq.ParquetFile(path, filesystem=self._filesystem).read()
        return None

    def newest(self, path: str, column: str) -> int:
        """The greatest time in `column` of a file, from its footer: microseconds since 1970 UTC; 0 if it is gone."""
        with self._explained("read"), contextlib.suppress(FileNotFoundError):
            metadata = pq.ParquetFile(path, filesystem=self._filesystem).metadata
            place = metadata.schema.to_arrow_schema().names.index(column)
            groups = [metadata.row_group(i).column(place).statistics.max_raw for i in range(metadata.num_row_groups)]
            return max(groups, default=0)
        return 0

    def files(self, model: str | None = None) -> list[StoredFile]:
        """The files of one model, or of all, oldest segment first."""
        base = f"{self._root}/{model}" if model else self._root
        with self._explained("listed"):
            selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
            found = [_stored(info) for info in self._filesystem.get_file_info(selector)]
        return sorted((file for file in found if file), key=lambda file: (file.stem, file.path))

    def delete(self, file: StoredFile) -> None:
        """Remove a file; nothing happens if it is gone already."""
        with self._explained("deleted from"), contextlib.suppress(FileNotFoundError):
            if self._filesystem.get_file_info(file.path).type is not fs.FileType.NotFound:
                self._filesystem.delete_file(file.path)

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"the log's store {self._where} cannot be {verb}: {error}: check [log] store and its credentials; "
                "nothing is lost, segments stay until they are stored"
            ) from None


def _stored(info: fs.FileInfo) -> StoredFile | None:
    """What a file is, by its path; None if it is none of ours."""
    parts = info.path.split("/")
    name = parts[-1]
    if info.type is not fs.FileType.File or not name.endswith(_SUFFIX) or name.startswith(".") or len(parts) < 3:
        return None
    stem, _, version = name.removesuffix(_SUFFIX).partition(".")
    content = next((content for content in CONTENTS if content == parts[-3]), None)
    try:
        began(stem)
    except ValueError:
        return None
    return StoredFile(info.path, content, stem, version, info.size) if content else None
