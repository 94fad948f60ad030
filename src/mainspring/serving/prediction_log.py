"""The prediction log, as the gateway writes it: what was asked and answered, noted in segments by a thread of its own.

A request costs one entry in a list, and a few times a second the thread joins the entries into columns, a frame for up
to 500 requests, or for a few megabytes of long texts. A request of one row, which is most of them, is packed into a few
bytes at once: keeping its twenty small arrays alive until then would cost the event loop more, for the next request
could not reuse their memory. The thread shares Python's interpreter lock with the event loop, and so it pauses after
every frame. The log may lose rows (a full disk, a kill), and counts what it loses; it never holds up or breaks a
request.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from prometheus_client import Counter

from mainspring.errors import RegistryError
from mainspring.monitoring import segments
from mainspring.monitoring.privacy import Private, conceal
from mainspring.monitoring.segments import Load, PredictionFrame, SegmentWriter, TrafficFrame
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns
from mainspring.serving.writing import Writing
from mainspring.spec import Project

log = logging.getLogger("mainspring.serving")

# bytes, roughly, of what waits and of what is being written. A disk that hangs may cost us rows, but never memory
# without end. (A frame on its way to the disk is there a few times over, which is not counted: see `_FRAME_BYTES`.)
_MOST_HELD = 128_000_000
_REQUEST_BYTES = 600  # an entry with its id, its lists and its array objects, roughly
_ARRAY_BYTES = 200
_FRAME_REQUESTS = 500
_FRAME_ROWS = 5_000
_FRAME_BYTES = 4_000_000  # of long texts: a frame is copied a few times on its way to the disk
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


class _Layout(msgspec.Struct, frozen=True):
    """The inputs of a version by the form of their values; a version's requests all have the same."""

    numbers: tuple[str, ...]
    instants: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, columns: Columns) -> _Layout:
        kinds = {name: values.dtype.name for name, values in columns.items()}
        return cls(*(tuple(name for name in kinds if kinds[name] == kind) for kind in ("float64", "int64", "object")))


class _Row(msgspec.Struct, gc=False):
    """A request of one row, packed: `numbers`, `instants` and `scores` are the bytes of its arrays."""

    prediction: str
    seen: float
    key: str
    numbers: bytes
    instants: bytes
    texts: list[str]
    label: str | None
    scores: bytes
    text_bytes: int


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
        self._rows: dict[tuple[str, str, str], list[_Row]] = {}
        self._layouts: dict[tuple[str, str], _Layout] = {}
        self._waiting_bytes = self._writing_bytes = 0
        self._loads: dict[tuple[str, str], list[float]] = {}
        self._loads_since = time.time()
        self._writing = Writing("prediction-log")
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
        rows = len(outputs.numbers)
        if not rows:
            return
        if rows > 1:
            entry = Entry(model, version, role, prediction, seen, keys, columns, outputs, rows)
            if self._has_room(model, rows, _size(entry)):
                self._entries.append(entry)
            return
        layout = self._layouts.get((model, version))
        if layout is None:
            layout = self._layouts[model, version] = _Layout.of(columns)
        texts = [columns[name].item() for name in layout.texts]
        row = _Row(
            prediction,
            seen,
            keys[0] if keys else "",
            b"".join([columns[name] for name in layout.numbers]),  # type: ignore[misc]
            b"".join([columns[name] for name in layout.instants]),  # type: ignore[misc]
            texts,
            None if outputs.labels is None else outputs.labels.item(),
            outputs.numbers.tobytes(),
            _text_bytes(texts),
        )
        if not self._has_room(model, 1, _REQUEST_BYTES + len(row.numbers) + len(row.scores) + row.text_bytes):
            return
        waiting = self._rows.get((model, version, role))
        if waiting is None:
            waiting = self._rows[model, version, role] = []
        waiting.append(row)

    def _has_room(self, model: str, rows: int, size: int) -> bool:
        """Count `size` more bytes; or, where they are too many, the rows as dropped."""
        held = self._waiting_bytes + (self._writing_bytes if self._writing.busy else 0)
        if held + size > _MOST_HELD:
            self._dropped.labels(model).inc(rows)
            return False
        self._waiting_bytes += size
        return True

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
        if not self._models or self._writing.busy:
            return
        entries, self._entries = self._entries, []
        rows, self._rows = self._rows, {}
        self._writing_bytes, self._waiting_bytes = self._waiting_bytes, 0
        now = time.time()
        loads: dict[str, list[Load]] = {}
        for (model, version), (requests, errors, seconds, logs, squares, count) in self._loads.items():
            stretch = (int(self._loads_since * 1e6), int(now * 1e6))
            load = Load(version, *stretch, int(requests), int(errors), seconds, logs, squares, int(count))
            loads.setdefault(model, []).append(load)
        self._loads, self._loads_since = {}, now
        self._writing.begin(partial(self._write, entries, rows, loads))

    async def close(self, seconds: float = 2.0) -> None:
        """Write the rest, and give up on a disk that has hung for `seconds`."""
        await self._writing.close(self.flush, seconds)
        if not self._writing.busy:
            for writer in self._writers.values():
                writer.close()

    def _write(
        self, entries: list[Entry], rows: dict[tuple[str, str, str], list[_Row]], loads: dict[str, list[Load]]
    ) -> None:
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
                count = sum(entry.rows for entry in part)
                self._append(model, count, partial(frame, part, self._private[model]))
        for (model, version, role), packed in rows.items():
            layout = self._layouts[model, version]
            for some_rows in _parts_of_rows(packed):
                make = partial(_frame_of_rows, some_rows, layout, version, role, self._private[model])
                self._append(model, len(some_rows), make)
        for writer in self._writers.values():
            writer.roll()

    def _append(self, model: str, count: int, make: Callable[[], PredictionFrame]) -> None:
        try:
            self._writers[model].append(make())
            self._written.labels(model).inc(count)
        except Exception as error:  # what goes wrong with one frame must not cost the others
            self._lost(model, count, error)
        time.sleep(_PAUSE)

    def _lost(self, model: str, rows: int, error: Exception) -> None:
        self._dropped.labels(model).inc(rows)
        if time.monotonic() - self._complained >= _COMPLAIN_EVERY:
            self._complained = time.monotonic()
            known = isinstance(error, OSError | RegistryError)
            log.error("the prediction log of %s cannot be written: %s", model, error, exc_info=None if known else error)


def _size(entry: Entry) -> int:
    """What it takes in memory, roughly."""
    arrays = entry.columns.values()
    texts = sum(_text_bytes(values.tolist()) for values in arrays if values.dtype == object)
    numbers = sum(values.nbytes + _ARRAY_BYTES for values in arrays) + entry.outputs.numbers.nbytes
    return _REQUEST_BYTES + numbers + texts + _text_bytes(entry.keys)


def _text_bytes(texts: Iterable[str]) -> int:
    """A prompt may have megabytes."""
    return sum(map(sys.getsizeof, texts))


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


def _parts_of_rows(rows: list[_Row]) -> Iterator[list[_Row]]:
    """The same of requests of one row each; one with a very long text is a frame of its own."""
    begin = size = 0
    for place, row in enumerate(rows):
        size += row.text_bytes
        if place > begin and (place - begin >= _FRAME_REQUESTS or size > _FRAME_BYTES):
            yield rows[begin:place]
            begin, size = place, row.text_bytes
    yield rows[begin:]


def frame(entries: Sequence[Entry], private: Private) -> PredictionFrame:
    """Requests of one version in one role, as columns and without what is private.

    Raises:
        OSError, RegistryError: the secret for hashing is not to be had.
    """
    first = entries[0]
    keys: list[str] = []
    if any(entry.keys for entry in entries):
        keys = list(chain.from_iterable(entry.keys or [""] * entry.rows for entry in entries))
    return _frame(
        version=first.version,
        role=first.role,
        ids=[entry.prediction for entry in entries],
        seen=[entry.seen for entry in entries],
        rows=np.array([entry.rows for entry in entries], np.int32),
        keys=keys,
        columns={name: np.concatenate([entry.columns[name] for entry in entries]) for name in first.columns},
        labels=None if first.outputs.labels is None else _texts([entry.outputs.labels for entry in entries]),
        scores=b"".join([entry.outputs.numbers.tobytes() for entry in entries]),
        private=private,
    )


def _frame_of_rows(rows: list[_Row], layout: _Layout, version: str, role: str, private: Private) -> PredictionFrame:
    """The same of requests of one row each."""
    numbers = np.frombuffer(b"".join([row.numbers for row in rows]), np.float64).reshape(len(rows), -1)
    instants = np.frombuffer(b"".join([row.instants for row in rows]), np.int64).reshape(len(rows), -1)
    columns: Columns = {name: numbers[:, place] for place, name in enumerate(layout.numbers)}
    columns |= {name: instants[:, place] for place, name in enumerate(layout.instants)}
    for name, texts in zip(layout.texts, zip(*[row.texts for row in rows], strict=True), strict=bool(layout.texts)):
        columns[name] = np.array(texts, object)
    return _frame(
        version=version,
        role=role,
        ids=[row.prediction for row in rows],
        seen=[row.seen for row in rows],
        rows=np.ones(len(rows), np.int32),
        keys=[row.key for row in rows] if any(row.key for row in rows) else [],
        columns=columns,
        labels=None if rows[0].label is None else [row.label for row in rows],
        scores=b"".join([row.scores for row in rows]),
        private=private,
    )


def _frame(
    *,
    version: str,
    role: str,
    ids: list[str],
    seen: list[float],
    rows: np.ndarray,
    keys: list[str],
    columns: Columns,
    labels: list[Any] | None,
    scores: bytes,
    private: Private,
) -> PredictionFrame:
    kept = conceal(columns, private)

    def packed(kind: str) -> dict[str, bytes]:
        return {name: values.tobytes() for name, values in kept.items() if values.dtype.name == kind}

    return PredictionFrame(
        version=version,
        role=role,
        ids=ids,
        times=(np.array(seen) * 1e6).astype(np.int64).tobytes(),
        rows=rows.tobytes(),
        keys=keys,
        numbers=packed("float64"),
        instants=packed("int64"),
        texts={name: values.tolist() for name, values in kept.items() if values.dtype.name == "object"},
        labels=labels,
        probabilities=None if labels is None else scores,
        values=scores if labels is None else None,
    )


def _texts(arrays: list[np.ndarray | None]) -> list[str]:
    return list(chain.from_iterable([values.tolist() for values in arrays if values is not None]))
