"""Rotation: closed segments become Parquet files in the log's store, and what is too old or too much is deleted.

A segment is closed when its lock is free: its worker went on to the next one, or is dead. It is deleted only after its
files are written, and the names of those follow from its own. A kill between leaves both; readers then take the
segment, and the next rotation writes the same files again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mainspring.monitoring import log_tables, retention, segments
from mainspring.monitoring.log_tables import Part
from mainspring.monitoring.segments import FeedbackFrame, Frame, PredictionFrame, TrafficFrame
from mainspring.monitoring.stores import Content, Store
from mainspring.spec import Project

log = logging.getLogger("mainspring.monitoring")


@dataclass(frozen=True)
class Rotated:
    """What was done: segments stored, their rows of predictions, segments moved aside, files deleted by retention."""

    segments: int
    rows: int
    damaged: int
    deleted: int


def rotate(project: Project, *, now: float | None = None) -> Rotated:
    """Store all closed segments of the project, and keep what `[log]` says is to be kept.

    Args:
        now: seconds since 1970 UTC by which the age is counted; the present by default.

    Raises:
        DataError: the store does not answer, or cannot be written. What was not stored stays in its segment.
    """
    store = Store.of(project)
    now = time.time() if now is None else now
    done = rows = damaged = 0
    for folder in retention.folders(project):
        for path in segments.segments(folder):
            with segments.closed(path) as closed:
                if closed:
                    stored, sound = _store(store, folder.name, path)
                    done, rows, damaged = done + 1, rows + stored, damaged + (not sound)
    deleted = _retain(project, store, now)
    retention.note(project)
    return Rotated(done, rows, damaged, deleted)


def _store(store: Store, model: str, path: Path) -> tuple[int, bool]:
    """Store one segment; the rows of predictions in it, and whether all of it could be read."""
    try:
        found = segments.read(path)
        tables = _tables(found.frames)
    except (OSError, ValueError, pa.ArrowException) as error:
        _move_aside(path, str(error))
        return 0, False
    for content, version, table in tables:
        store.write(model, content, path.stem, table, version)
    retention.touch(path.parent)
    if found.corrupt:
        _move_aside(path, f"{found.corrupt} bytes from byte {found.end} on are no frames")
    else:
        path.unlink()  # with the torn frame of a killed worker, if there is one: nobody can read that
    return sum(table.num_rows for content, _, table in tables if content == "predictions"), not found.corrupt


def _tables(frames: list[Frame]) -> list[tuple[Content, str, pa.Table]]:
    """What the frames hold, as tables: the content, the version where there is one, and the rows."""
    versions: dict[str, list[Part]] = {}
    for frame in frames:
        if isinstance(frame, PredictionFrame):
            versions.setdefault(frame.version, []).append(log_tables.part_of_frame(frame))
    tables: list[tuple[Content, str, pa.Table]] = [
        ("predictions", version, log_tables.prediction_table(parts)) for version, parts in versions.items()
    ]
    if feedback := [frame for frame in frames if isinstance(frame, FeedbackFrame)]:
        tables.append(("feedback", "", log_tables.feedback_table(feedback)))
    if loads := [load for frame in frames if isinstance(frame, TrafficFrame) for load in frame.loads]:
        tables.append(("traffic", "", log_tables.traffic_table(loads)))
    return tables


def _move_aside(path: Path, why: str) -> None:
    log.error("the segment %s is damaged and was moved aside: %s", path, why)
    path.rename(path.with_name(path.name + retention.DAMAGED))


def _retain(project: Project, store: Store, now: float) -> int:
    """Delete what is too old or too much of what is stored. Segments are let alone: they are stored soon."""
    deleted = retention.surplus(store.files(), project.log, now)
    for file in deleted:
        store.delete(file)
    for folder in retention.folders(project):
        if any(f"/{folder.name}/{file.content}/" in file.path for file in deleted):
            retention.touch(folder)
    retention.forget_damaged(project, now)
    return len(deleted)
