"""One version in memory: verified, loaded, warmed, and proven with its golden examples before anyone may ask it."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from mainspring.errors import RequestError
from mainspring.prompts.model_tools import ask_table
from mainspring.registry import versions
from mainspring.registry.versions import Manifest
from mainspring.runtimes import golden, onnx
from mainspring.runtimes.onnx import OnnxRuntime, Outputs, Stop
from mainspring.runtimes.records import RecordCodec
from mainspring.schema import Columns
from mainspring.serving.language import LANGUAGE_TASKS, LanguageVersion
from mainspring.serving.live import LiveVersion
from mainspring.serving.programs import PromptVersion
from mainspring.serving.retrieval.version import RetrievalVersion
from mainspring.serving.slots import Slots

_WARM_RUNS = 3
_INLINE_SECONDS = 0.003  # the longest that one request may hold up all others
_INLINE_BYTES = 65_536


class NoFiniteAnswerError(RequestError):
    """The record fits the schema, but the model's arithmetic overflows on it: the model fails here, not the client."""


class LoadedVersion(LiveVersion):
    """A model of a table.

    `takes` is what its columns are like: what is decoded for one version can be given to another that takes the same.
    `inline_bytes` is the size up to which a request is answered on the event loop: larger ones take too long for it.
    """

    def __init__(self, manifest: Manifest, runtime: OnnxRuntime, codec: RecordCodec, example: dict[str, Any]) -> None:
        super().__init__(manifest)
        self.runtime = runtime
        self.codec = codec
        self.example = example
        self.takes = tuple((column.name, column.kind, column.nullable) for column in manifest.schema.features)
        self.inline_bytes = 0

    def predict(self, columns: Columns, stop: Stop | None = None) -> Outputs:
        """Answer for the rows of `columns`.

        Raises:
            NoFiniteAnswerError: a row has none, as when a number is too large for the model's arithmetic.
        """
        outputs = self.runtime.predict(columns, stop)
        numbers = outputs.numbers
        # A sum is finite only if every term is, and costs a third of looking at each.
        if not math.isfinite(np.add.reduce(numbers, axis=None)) and not (finite := np.isfinite(numbers)).all():
            row = int(np.argmin(finite.reshape(len(outputs), -1).all(axis=1)))
            raise NoFiniteAnswerError(
                "the model has no finite answer for this record: a number in it is too large", f"$[{row}]"
            )
        return outputs

    def answer(self, body: bytes) -> bytes:
        """What the work of a request for JSON records comes to; to warm up, and to see how long it takes."""
        columns, _ = self.codec.decode(body)
        return msgspec.json.encode(self.codec.outputs(self.predict(columns)))

    async def prove(self) -> None:
        """See `LiveVersion`."""
        self.predict(self.codec.convert([self.example])[0])

    async def tell(self, arguments: dict[str, Any]) -> str:
        """See `LiveVersion`."""
        return ask_table(self.codec, self.predict, arguments)


def load(state: Path, model: str, version: str, slots: Slots, silence: float = 600.0) -> LiveVersion:
    """Read a version from its folder and, if it is of a table, prove it. Takes a while: for a worker thread.

    A language model, and the embedder of an index, runs in a process of its own, and is proven when it is opened. If
    that process says nothing for `silence` seconds, it is taken for gone. A prompt program asks what is in `slots`.

    Raises:
        RegistryError: it is missing or damaged.
        RuntimeLoadError: it cannot be loaded, or answers its golden examples otherwise than when it was made.
    """
    found = versions.load(state, model, version)
    if found.manifest.task in LANGUAGE_TASKS:
        return LanguageVersion.load(state, found, silence)
    if found.manifest.task == "retrieval":
        return RetrievalVersion.load(state, found, silence)
    if found.manifest.task == "prompt":
        return PromptVersion.load(found, slots)
    found.verify()
    examples = found.golden()
    schema = found.manifest.schema
    runtime, codec = OnnxRuntime(found.file(onnx.FILE_NAME), schema), RecordCodec(schema)
    golden.check(runtime, codec, examples.records, examples.answers, examples.tolerance)
    loaded = LoadedVersion(found.manifest, runtime, codec, examples.records[0])
    loaded.inline_bytes = _inline_bytes(loaded, examples.records)
    give_back_memory()
    return loaded


def give_back_memory() -> None:
    """Return free memory to the system: a graph that was loaded or dropped leaves as much as it needs behind.

    glibc keeps it otherwise; other C libraries have no such call, and get none.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _inline_bytes(loaded: LoadedVersion, records: list[dict[str, Any]]) -> int:
    """How large a request may be to be answered within `_INLINE_SECONDS`, by how long these records take; 0 if none."""
    one, all_ = msgspec.json.encode(records[:1]), msgspec.json.encode(records)
    if min(_timed(loaded, one) for _ in range(_WARM_RUNS)) > _INLINE_SECONDS:
        return 0
    seconds_a_byte = min(_timed(loaded, all_) for _ in range(_WARM_RUNS)) / len(all_)
    return min(_INLINE_BYTES, int(_INLINE_SECONDS / seconds_a_byte))


def _timed(loaded: LoadedVersion, body: bytes) -> float:
    started = perf_counter()
    loaded.answer(body)
    return perf_counter() - started
