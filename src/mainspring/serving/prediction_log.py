"""The prediction log, as the gateway writes it: what was asked and answered, noted in segments by a thread of its own.

A request costs one entry in a list. A few times a second the thread joins the entries into columns, a frame for up to
a thousand requests. It shares Python's interpreter lock with the event loop, and so it pauses after every frame. The
log may lose rows (a full disk, a kill), and counts what it loses; it never holds up or breaks a request.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import msgspec
import numpy as np
from prometheus_client import Counter

from mainspring.errors import RegistryError
from mainspring.monitoring import segments
from mainspring.monitoring.privacy import Private, conceal
from mainspring.monitoring.segments import Load, PredictionFrame, SegmentWriter, TrafficFrame
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns
from mainspring.spec import Project

log = logging.getLogger("mainspring.serving")

_MOST_WAITING = 128_000_000  # bytes, roughly. A disk that hangs may cost us rows, but never memory without end
_ARRAY_BYTES = 128
_VALUE_BYTES = 16
_FRAME_REQUESTS = 500
_FRAME_ROWS = 5_000
_PAUSE = 0.0005  # seconds
_LEAST_SECONDS = 1e-6
_COMPLAIN_EVERY = 60.0  # seconds


class Entry(msgspec.Struct, gc=False):
    """One request."""

    model: str
    version: str
    role: str
    prediction: str
    seen: float
    keys: Sequence[str]
    columns: Columns
    outputs: Outputs
    rows: int


class PredictionLog:
    """Collects predictions and counts of traffic; `flush`, a few times a second, has them written.

    Models that the project does not declare are not logged, and none is while `log.enabled` is false.

    Args:
        project: what is logged, what of it is private, and where.
        dropped: counts the rows that could not be written, by model.
        written: counts those that were, by model.
    """

    def __init__(self, project: Project, dropped: Counter, written: Counter) -> None:
        self._models = frozenset(project.models) if project.log.enabled else frozenset()
        self._private = {model: Private.of(project, model) for model in self._models}
        self._writers = {model: SegmentWriter(segments.folder(project.state, model)) for model in self._models}
        self._dropped, self._written = dropped, written
        self._entries: list[Entry] = []
        self._waiting_bytes = 0
        self._loads: dict[tuple[str, str], list[float]] = {}
        self._loads_since = time.time()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prediction-log")
        self._writing: asyncio.Future[None] | None = None
        self._complained = -_COMPLAIN_EVERY

    def add(
        self,
        model: str,
        version: str,
        prediction: str,
        seen: float,
        keys: Sequence[str],
        columns: Columns,
        outputs: Outputs,
        *,
        role: str = "live",
    ) -> None:
        """Note the answers to one request. The arrays are kept, and must not change any more.

        Args:
            prediction: the prediction id of the request.
            seen: when it came, in seconds since 1970 UTC.
            keys: a business key a row, or none at all.
            role: "live" if the client got these answers, "shadow" if they were made beside.
        """
        answers = outputs.values if outputs.labels is None else outputs.labels
        rows = len(answers)  # type: ignore[arg-type]
        if not rows or model not in self._models:
            return
        size = len(columns) * (_ARRAY_BYTES + _VALUE_BYTES * rows)
        if self._waiting_bytes + size > _MOST_WAITING:
            self._dropped.labels(model).inc(rows)
            return
        self._waiting_bytes += size
        self._entries.append(Entry(model, version, role, prediction, seen, keys, columns, outputs, rows))

    def traffic(self, model: str, version: str, seconds: float, rows: int, error: bool) -> None:
        """Count a request that is over, however it ended.

        Args:
            seconds: how long it took.
            rows: how many it had.
            error: whether it failed by a fault of ours (5xx), or because there was no finite answer.
        """
        if model not in self._models:
            return
        load = self._loads.get((model, version))
        if load is None:
            load = self._loads[model, version] = [0, 0, 0.0, 0.0, 0.0, 0]
        load[0] += 1
        load[1] += error
        load[2] += seconds
        logarithm = math.log(max(seconds, _LEAST_SECONDS))
        load[3] += logarithm
        load[4] += logarithm * logarithm
        load[5] += rows

    def flush(self) -> None:
        """Begin to write what there is, unless the last write is still under way."""
        if not self._models or (self._writing is not None and not self._writing.done()):
            return
        entries, self._entries, self._waiting_bytes = self._entries, [], 0
        now = time.time()
        loads: dict[str, list[Load]] = {}
        for (model, version), (requests, errors, seconds, logs, squares, rows) in self._loads.items():
            stretch = (int(self._loads_since * 1e6), int(now * 1e6))
            load = Load(version, *stretch, int(requests), int(errors), seconds, logs, squares, int(rows))
            loads.setdefault(model, []).append(load)
        self._loads, self._loads_since = {}, now
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, entries, loads)

    async def close(self, seconds: float = 2.0) -> None:
        """Write the rest, and give up on a disk that has hung for `seconds`."""
        for _ in range(2):  # what is being written, and what came since
            if self._writing is not None:
                await asyncio.wait([self._writing], timeout=seconds)
            self.flush()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=seconds)
            if self._writing.done():
                for writer in self._writers.values():
                    writer.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _write(self, entries: list[Entry], loads: dict[str, list[Load]]) -> None:
        for model, some in loads.items():
            try:
                self._writers[model].append(TrafficFrame(some))
            except OSError as error:
                self._lost(model, 0, error)
        groups: dict[tuple[str, str, str], list[Entry]] = {}
        for entry in entries:
            groups.setdefault((entry.model, entry.version, entry.role), []).append(entry)
        for (model, *_), group in groups.items():
            for part in _parts(group):
                rows = sum(entry.rows for entry in part)
                try:
                    self._writers[model].append(frame(part, self._private[model]))
                    self._written.labels(model).inc(rows)
                except Exception as error:  # what goes wrong with one frame must not cost the others
                    self._lost(model, rows, error)
                time.sleep(_PAUSE)
        for writer in self._writers.values():
            writer.roll()

    def _lost(self, model: str, rows: int, error: Exception) -> None:
        self._dropped.labels(model).inc(rows)
        if time.monotonic() - self._complained >= _COMPLAIN_EVERY:
            self._complained = time.monotonic()
            known = isinstance(error, OSError | RegistryError)
            log.error("the prediction log of %s cannot be written: %s", model, error, exc_info=None if known else error)


def _parts(group: list[Entry]) -> list[list[Entry]]:
    """The entries in parts that are small enough for one frame; one request is never divided."""
    parts: list[list[Entry]] = []
    rows = _FRAME_ROWS
    for entry in group:
        if rows + entry.rows > _FRAME_ROWS or len(parts[-1]) >= _FRAME_REQUESTS:
            parts.append([])
            rows = 0
        parts[-1].append(entry)
        rows += entry.rows
    return parts


def frame(entries: Sequence[Entry], private: Private) -> PredictionFrame:
    """Requests of one version in one role, as columns and without what is private.

    Raises:
        OSError, RegistryError: the secret for hashing is not to be had.
    """
    first = entries[0]
    requests = [entry.columns for entry in entries]
    kinds = {name: values.dtype.name for name, values in first.columns.items()}
    if private.rules:
        joined = {name: np.concatenate([columns[name] for columns in requests]) for name in kinds}
        requests = [conceal(joined, private)]
        kinds = {name: values.dtype.name for name, values in requests[0].items()}
    outputs = [entry.outputs for entry in entries]
    classified = first.outputs.labels is not None
    scores = _bytes([some.numbers for some in outputs])
    keys: list[str] = []
    if any(entry.keys for entry in entries):
        keys = list(chain.from_iterable(entry.keys or [""] * entry.rows for entry in entries))
    return PredictionFrame(
        version=first.version,
        role=first.role,
        ids=[entry.prediction for entry in entries],
        times=(np.array([entry.seen for entry in entries]) * 1e6).astype(np.int64).tobytes(),
        rows=np.array([entry.rows for entry in entries], np.int32).tobytes(),
        keys=keys,
        numbers={name: _bytes([some[name] for some in requests]) for name, kind in kinds.items() if kind == "float64"},
        instants={name: _bytes([some[name] for some in requests]) for name, kind in kinds.items() if kind == "int64"},
        texts={name: _texts([some[name] for some in requests]) for name, kind in kinds.items() if kind == "object"},
        labels=_texts([some.labels for some in outputs if some.labels is not None]) if classified else None,
        probabilities=scores if classified else None,
        values=None if classified else scores,
    )


def _bytes(arrays: list[np.ndarray]) -> bytes:
    """The numbers of all arrays, one after the other: for many small ones, in a third of the time of concatenating."""
    try:
        return b"".join(arrays)  # type: ignore[arg-type]
    except TypeError:  # one is a view with gaps
        return np.concatenate(arrays).tobytes()


def _texts(arrays: list[np.ndarray]) -> list[str]:
    return list(chain.from_iterable([values.tolist() for values in arrays]))
