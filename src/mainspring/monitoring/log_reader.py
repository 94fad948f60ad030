"""Reads what one model has logged, from segments and Parquet files, and remembers what it has read.

The controller asks every second what has come. So of each segment only the new frames are read, of the store's files
only those that may hold rows of the time asked for, and the store is listed only after a rotation changed it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa

from mainspring.monitoring import log_tables, retention, segments
from mainspring.monitoring.log_tables import Part
from mainspring.monitoring.segments import FeedbackFrame, Load, PredictionFrame
from mainspring.monitoring.stores import Content, Store, StoredFile
from mainspring.spec import Project

T = TypeVar("T")

_MOST_KEPT = 256_000_000  # bytes of tables, as Arrow counts them
_TIME_COLUMN: dict[Content, str] = {"predictions": "time", "feedback": "received", "traffic": "end"}


class _Segment:
    """What was read of a segment so far. `end` is the place to go on from."""

    def __init__(self) -> None:
        self.end = 0
        self.predictions: list[Part] = []
        self.feedback: list[FeedbackFrame] = []
        self.traffic: list[Load] = []

    def follow(self, path: Path) -> None:
        found = segments.read(path, self.end)
        self.end = found.end
        for frame in found.frames:
            if isinstance(frame, PredictionFrame):
                self.predictions.append(log_tables.part_of_frame(frame))
            elif isinstance(frame, FeedbackFrame):
                self.feedback.append(frame)
            else:
                self.traffic += frame.loads


class _Tables(Generic[T]):
    """The files of one content, the last used of which are kept in memory."""

    def __init__(self, content: Content, decode: Callable[[pa.Table], list[T]]) -> None:
        self.content = content
        self._decode = decode
        self._newest: dict[str, int] = {}
        self._kept: OrderedDict[str, tuple[int, list[T]]] = OrderedDict()
        self._bytes = 0

    def read(self, store: Store, file: StoredFile, since: int) -> list[T]:
        """What the file holds; nothing if all of it is older than `since`."""
        if file.path not in self._newest:
            self._newest[file.path] = store.newest(file.path, _TIME_COLUMN[self.content])
        if self._newest[file.path] < since:
            return []
        if file.path not in self._kept:
            table = store.read(file.path)
            size, found = (0, []) if table is None else (table.nbytes, self._decode(table))
            self._kept[file.path] = (size, found)
            self._bytes += size
        self._kept.move_to_end(file.path)
        found = self._kept[file.path][1]
        while self._bytes > _MOST_KEPT:
            self._bytes -= self._kept.popitem(last=False)[1][0]
        return found

    def forget(self, listed: set[str]) -> None:
        """Drop what is not listed any more."""
        self._newest = {path: newest for path, newest in self._newest.items() if path in listed}
        for path in [path for path in self._kept if path not in listed]:
            self._bytes -= self._kept.pop(path)[0]


class LogReader:
    """One model's log; may be used by several threads.

    Each method gives all that may be of the time from `since` on (microseconds since 1970 UTC), and perhaps some that
    is older, in no order. It raises DataError if the store cannot be read.
    """

    def __init__(self, project: Project, model: str) -> None:
        self._store = Store.of(project)
        self._model = model
        self._folder = segments.folder(project.state, model)
        self._segments: dict[str, _Segment] = {}
        self._files: list[StoredFile] | None = None
        self._mark: tuple[int, int] | None = None
        self._predictions = _Tables("predictions", log_tables.parts_of_table)
        self._feedback = _Tables("feedback", log_tables.frames_of_feedback)
        self._traffic = _Tables("traffic", log_tables.loads_of_table)
        self._lock = threading.Lock()

    def predictions(self, since: int, version: str | None = None) -> list[Part]:
        """Rows of predictions, of all versions or of one."""
        with self._lock:
            self._look()
            found = [part for segment in self._segments.values() for part in segment.predictions]
            found += self._stored(self._predictions, since, version)
        return [part for part in found if part.newest >= since and version in (None, part.version)]

    def feedback(self, since: int) -> list[FeedbackFrame]:
        """Labels."""
        with self._lock:
            self._look()
            found = [frame for segment in self._segments.values() for frame in segment.feedback]
            found += self._stored(self._feedback, since)
        return [frame for frame in found if frame.received >= since]

    def traffic(self, since: int) -> list[Load]:
        """Counts of traffic."""
        with self._lock:
            self._look()
            found = [load for segment in self._segments.values() for load in segment.traffic]
            found += self._stored(self._traffic, since)
        return [load for load in found if load.end >= since]

    def _look(self) -> None:
        """Take up what is new. Segments come first: one that goes while we look is found in the store afterwards."""
        there = {}
        for path in segments.segments(self._folder):
            segment = self._segments.get(path.stem) or _Segment()
            try:
                segment.follow(path)
            except FileNotFoundError:
                continue
            there[path.stem] = segment
        self._segments = there
        mark = retention.mark(self._folder)
        if self._files is None or mark != self._mark:
            self._files, self._mark = self._store.files(self._model), mark
            listed = {file.path for file in self._files}
            for tables in (self._predictions, self._feedback, self._traffic):
                tables.forget(listed)

    def _stored(self, tables: _Tables[T], since: int, version: str | None = None) -> list[T]:
        return [
            item
            for file in self._files or ()
            # A segment that is still there has all of it; its files may be only half of them.
            if file.content == tables.content and file.stem not in self._segments
            if version is None or file.version == version
            for item in tables.read(self._store, file, since)
        ]


_readers: dict[tuple[Path, str | None, str], LogReader] = {}


def reader(project: Project, model: str) -> LogReader:
    """The reader of this model's log, the same one each time, for it remembers."""
    place = (project.folder, project.log.store, model)
    if place not in _readers:
        _readers[place] = LogReader(project, model)
    return _readers[place]
