"""Segments: the append-only files in which the gateway notes what it answered, and what came back.

A segment is a row of *frames*. Each frame is written with one call, and is whole or not there:

    magic "MSL1" │ length of the payload, uint32 │ its CRC-32, uint32 │ payload: msgpack

What is in the page cache outlives its process, so that a killed worker loses only what it had not yet written. A
reader takes all frames up to the first that is torn (cut off by a kill) or corrupt. The writer holds a lock (`flock`)
on its open segment, which the kernel drops with the process: so others can tell a segment that still grows from one
that is closed. The same idea is in the write-ahead logs of databases and in the segments of Apache Kafka.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from mainspring.files import sync_folder
from mainspring.schema import Label

SUFFIX = ".seg"
LOG_FOLDER = "log"
AGE = 600.0  # seconds
_MAGIC = b"MSL1"
_HEADER = struct.Struct("<4sII")
_STEM = re.compile(r"(\d{8}T\d{12})Z-\d+-\d+")
_TIME = "%Y%m%dT%H%M%S%f"
_serial = itertools.count()
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class PredictionFrame(msgspec.Struct, tag="predictions", array_like=True):
    """Many rows of one version in one role, as columns.

    A request is one id, one time (`times`: int64 microseconds since 1970 UTC, as bytes) and `rows` (int32, as bytes).
    `keys` has one entry a row, or none at all. Inputs are by name `numbers` (float64), `instants` (int64) or `texts`.
    Outputs are `labels` and `probabilities` (float64, row after row), or `values` (float64).
    """

    version: str
    role: str
    ids: list[str]
    times: bytes
    rows: bytes
    keys: list[str]
    numbers: dict[str, bytes]
    instants: dict[str, bytes]
    texts: dict[str, list[str]]
    labels: list[str] | None = None
    probabilities: bytes | None = None
    values: bytes | None = None

    @property
    def row_ids(self) -> np.ndarray:
        """(n,) object: the id of a request with one row, and `<id>-<k>` for row k of several."""
        counts = np.frombuffer(self.rows, np.int32).tolist()
        if len(self.ids) == sum(counts) and all(count == 1 for count in counts):
            return np.array(self.ids, object)
        pairs = zip(self.ids, counts, strict=True)
        ids = [name for id_, n in pairs for name in ([id_] if n == 1 else [f"{id_}-{k}" for k in range(n)])]
        return np.array(ids, object)

    @property
    def row_times(self) -> np.ndarray:
        """(n,) int64 microseconds since 1970 UTC."""
        return np.repeat(np.frombuffer(self.times, np.int64), np.frombuffer(self.rows, np.int32))


class Load(msgspec.Struct, array_like=True, frozen=True):
    """What one version answered from `start` to `end` (microseconds since 1970 UTC).

    `errors` are the requests that got no answer by a fault of ours (5xx), or because there was no finite one.
    `seconds` is the sum of the times that requests took; `log_seconds` and `log_squares` are the sums of their natural
    logarithms, and of the squares of these.
    """

    version: str
    start: int
    end: int
    requests: int
    errors: int
    seconds: float
    log_seconds: float
    log_squares: float
    rows: int


class TrafficFrame(msgspec.Struct, tag="traffic", array_like=True):
    """Counts by version."""

    loads: list[Load]


class FeedbackFrame(msgspec.Struct, tag="feedback", array_like=True):
    """True labels, `received` at one time (microseconds since 1970 UTC). Each has an id or a key; the other is ""."""

    received: int
    ids: list[str]
    keys: list[str]
    labels: list[Label | float]


Frame: TypeAlias = PredictionFrame | TrafficFrame | FeedbackFrame

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def folder(state: Path, model: str) -> Path:
    """Where the segments of `model` are; `state` is the project's."""
    return state / LOG_FOLDER / model


def segments(log_folder: Path) -> list[Path]:
    """The segments in a folder, oldest first."""
    return sorted(path for path in log_folder.glob(f"*{SUFFIX}") if _STEM.fullmatch(path.stem))


def began(stem: str) -> datetime:
    """When the segment of this name began; ValueError if it is no segment's name."""
    match = _STEM.fullmatch(stem)
    if match is None:
        raise ValueError(f"{stem!r} is no segment's name")
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)


@contextlib.contextmanager
def closed(path: Path) -> Iterator[bool]:
    """Whether no one writes the segment; if so it is locked, so that no one else who asks this takes it, either."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # another one was first
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


class SegmentWriter:
    """Appends frames to one segment after the other. For one thread at a time.

    Args:
        folder: where; it is made with the first frame.
        size: bytes after which the next segment begins.
        age: seconds after which it does, so that rows do not wait for ever to be taken up.
    """

    def __init__(self, folder: Path, *, size: int = 64_000_000, age: float = AGE) -> None:
        self._folder, self._size, self._age = folder, size, age
        self._file: int | None = None
        self._path = folder
        self._written = 0
        self._opened = 0.0

    def append(self, *frames: Frame, durable: bool = False) -> None:
        """Write frames; with `durable` they are on the disk, and not only in memory, when this returns.

        Raises:
            OSError: they could not be written. The next call begins a new segment.
        """
        parts = []
        for frame in frames:
            payload = _encoder.encode(frame)
            parts += [_HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)), payload]
        content = b"".join(parts)
        self.roll()
        if self._file is None:
            self._file = self._open(durable)
        try:
            if os.write(self._file, content) < len(content):
                raise OSError(errno.ENOSPC, "a frame was written in part: no space left")
            if durable:
                _sync(self._file)
        except OSError:
            self._give_up()
            raise
        self._written += len(content)

    def roll(self) -> None:
        """End the segment if it is large or old enough, or was deleted by someone."""
        if self._file is None:
            return
        old = time.monotonic() - self._opened >= self._age
        if self._written >= self._size or old or not os.fstat(self._file).st_nlink:
            self.close()

    def close(self) -> None:
        """End the segment, and with it the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _give_up(self) -> None:
        """Leave no half of a frame in the way of what follows."""
        assert self._file is not None
        with contextlib.suppress(OSError):  # then readers stop at the torn frame, which is the last of its segment
            os.ftruncate(self._file, self._written)
            if not self._written:  # or a full disk would fill up with empty segments
                self._path.unlink()
        self.close()

    def _open(self, durable: bool) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{datetime.now(UTC).strftime(_TIME)}Z-{os.getpid()}-{next(_serial)}{SUFFIX}"
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            except FileExistsError:
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                break
            os.close(file)  # between opening and locking it was taken for a dead worker's, and deleted
        if durable:
            sync_folder(self._folder)
        self._path, self._written, self._opened = path, 0, time.monotonic()
        return file


@dataclass(frozen=True)
class Read:
    """The frames of a segment from some place on; `end` is where the last whole one ends.

    `torn` is how many bytes follow that are the beginning of a frame: it is being written, or was cut off by a kill.
    `corrupt` is how many follow that are no frame at all.
    """

    frames: list[Frame]
    end: int
    torn: int
    corrupt: int


def read(path: Path, start: int = 0) -> Read:
    """All whole frames of the segment, from the byte `start` on.

    Raises:
        OSError: the file cannot be read; FileNotFoundError where it is gone.
    """
    with path.open("rb") as file:
        file.seek(start)
        content = memoryview(file.read())
    frames: list[Frame] = []
    place, sound = 0, True
    while len(content) - place >= _HEADER.size:
        magic, length, checksum = _HEADER.unpack_from(content, place)
        if sound := magic == _MAGIC:
            payload = content[place + _HEADER.size : place + _HEADER.size + length]
            if len(payload) < length:
                break
            sound = zlib.crc32(payload) == checksum
        if not sound:
            break
        try:
            frames.append(_decoder.decode(payload))
        except msgspec.DecodeError:  # whole, but of another make
            sound = False
            break
        place += _HEADER.size + length
    rest = len(content) - place
    return Read(frames, start + place, rest if sound else 0, 0 if sound else rest)
