"""The likeliest tokens in each place of an answer, which OpenVINO GenAI keeps to itself.

Its pipeline tells of the chosen token alone. So where more is asked for, the same graph, compiled once more, reads the
prompt and what has been written of the answer, and from its logits come the chosen token's logprob and its rivals'.
They are the model's own: before temperature, penalties and grammar.

Of an answer a few tokens are read together, between two of the pipeline's steps, which takes hardly longer than one:
the first is told at once, then they come by fours, or by more where many answers are read. A long prompt is read
beside the steps, which are slower meanwhile; other readings wait for it. (By pieces it takes several times as
long: OpenVINO's kernel for many tokens after many others is slow, but in paged attention.) An answer's keys and values
stay with it until it ends. There is room for a limited number of them; beyond it the answer that came last gives its
own up, and is read again when there is room.

The graph is compiled when it is first wanted, in a thread beside the work; answers are written meanwhile, and told
then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import EngineGoneError, MainspringError, require
from mainspring.runtimes.language.backend import Event

log = logging.getLogger("mainspring.engine")

MOST = 20  # rivals; OpenAI's limit
_PIECE = 32  # tokens of an answer that are read between two steps
_SHORT = 256  # tokens of a prompt that are
_TOGETHER = 4  # tokens of an answer that are waited for
_MARGIN = 512  # tokens that an answer must have room to grow by when its reading begins
_IDLE_MS = 10  # for which to wait where there is nothing to do but to load, or to read a long prompt


@dataclass(eq=False)
class _Reading:
    """An answer that is read.

    `tokens` has the `prompt` first ones of the prompt, then those of the answer; up to `told` they have been told.
    """

    tokens: list[int]
    prompt: int
    told: int
    most: int
    read: int = 0  # tokens whose keys and values `request` has
    request: Any = None
    finish: Any = None
    last: int = 0  # when it had its turn
    error: MainspringError | None = None

    @property
    def over(self) -> bool:
        """Whether nothing of it is to be told any more, but that it ended."""
        return self.error is not None or (self.finish is not None and self.told == len(self.tokens))

    @property
    def waits(self) -> int:
        """How many tokens may be read. The last one of an answer says nothing of itself."""
        return len(self.tokens) - 1 - self.read

    @property
    def long(self) -> bool:
        """Whether what comes next is a long text of which nothing is to be told."""
        return self.read == 0 and self.told - 1 > _SHORT

    @property
    def piece(self) -> int:
        """How many tokens to read next."""
        return max(self.told - 1 if self.read == 0 else 0, min(self.waits, _PIECE))

    @property
    def ready(self) -> bool:
        """Whether it is worth a piece."""
        begun = self.told > self.prompt
        return self.waits >= (_TOGETHER if begun and self.finish is None else 1)

    def let_go(self) -> None:
        """Give the keys and values up."""
        self.request, self.read = None, 0


class Rivals:
    """Adds the likeliest tokens to the events of answers.

    Args:
        graph: the file of the model's graph.
        properties: how it is compiled.
        room: gives, when it is compiled, for how many tokens' keys and values there is room. It is at least what the
            longest answer needs.

    An error that `room` raises is told to those who wait, and the next request tries again.
    """

    def __init__(self, graph: Path, properties: dict[str, Any], room: Callable[[], int]) -> None:
        self._graph, self._properties, self._find_room = graph, properties, room
        self._room = 0
        self._compiled: Any = None
        self._loading: threading.Thread | None = None
        self._failed: MainspringError | None = None
        self._readings: dict[int, _Reading] = {}
        self._turns = 0
        self._busy: _Reading | None = None  # whose long prompt is read; it may be forgotten already

    def __contains__(self, number: int) -> bool:
        return number in self._readings

    def begin(self, number: int, prompt: list[int], most: int) -> None:
        """Read `prompt`, and from now on the events of the answer `number`, for its `most` likeliest tokens."""
        if self._compiled is None and self._loading is None:
            self._loading = threading.Thread(target=self._load, name="rivals", daemon=True)
            self._loading.start()
        self._readings[number] = _Reading(list(prompt), len(prompt), len(prompt), most)

    def add(self, event: Event) -> None:
        """Take an event of an answer that is read. What there is to tell of it, `step` will."""
        reading = self._readings[event.job]
        reading.tokens += event.tokens
        reading.finish, reading.error = event.finish, event.error

    def forget(self, number: int) -> None:
        """An answer is not wanted any more."""
        self._readings.pop(number, None)

    def close(self) -> None:
        """Let go of everything."""
        if self._loading is not None:
            self._loading.join()
        if self._busy is not None:
            self._busy.request.wait()
        self._readings.clear()
        self._busy = self._compiled = None

    def step(self, *, idle: bool) -> list[Event]:
        """Read on, in one answer, and tell what is known then. If others are `idle`, it may wait for a moment."""
        events = [
            Event(number, finish=one.finish, error=one.error) for number, one in self._readings.items() if one.over
        ]
        if self._compiled is None and self._readings:
            assert self._loading is not None
            if idle and not events:
                self._loading.join(_IDLE_MS / 1000)
            if not self._loading.is_alive() and self._compiled is None:
                self._loading = None
                events = [Event(number, error=self._failed) for number in self._readings]
        elif self._compiled is not None and self._has_read(idle) and (number := self._next()) is not None:
            try:
                events += self._read(number)
            except RuntimeError as error:
                events.append(Event(number, error=_unread(error)))
        for event in events:
            if event.error or event.finish:
                self._readings.pop(event.job, None)
        return [event for event in events if event.error or event.tokens or event.finish]

    def _has_read(self, idle: bool) -> bool:
        """Whether no long prompt is being read any more."""
        if self._busy is not None:
            try:
                if not self._busy.request.wait_for(_IDLE_MS if idle else 0):
                    return False
            except RuntimeError as error:
                self._busy.error = _unread(error)
            self._busy = None
        return True

    def _next(self) -> int | None:
        """Whose turn it is: of those that have something to read, and room for it, the one that waits longest."""
        able = [number for number, one in self._readings.items() if one.ready and not one.over]
        for number in sorted(able, key=lambda number: self._readings[number].last):
            if self._make_room(self._readings[number]):
                return number
        return None

    def _make_room(self, reading: _Reading) -> bool:
        """Whether there is room for its next piece, if those that came later make it."""
        oldest = next(iter(self._readings.values()))
        more = reading.piece if reading.read or reading is oldest else len(reading.tokens) + _MARGIN
        held = sum(other.read for other in self._readings.values()) + more
        for other in reversed(self._readings.values()):
            if held <= self._room or other is reading:
                break
            held -= other.read
            other.let_go()
        return held <= self._room

    def _read(self, number: int) -> list[Event]:
        """Read the next piece of an answer, and tell the tokens of which all is known then."""
        reading = self._readings[number]
        self._turns += 1
        reading.last = self._turns
        begin, end = reading.read, reading.read + reading.piece
        first = min(max(begin, reading.told - 1), end - 1)  # whose next token is to be told; one at the least
        if reading.request is None:
            reading.request = self._compiled.create_infer_request()
        inputs = {
            "input_ids": np.array([reading.tokens[begin:end]], np.int64),
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(begin, end, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
            "wanted": np.arange(first - begin, end - begin, dtype=np.int64),
        }
        if reading.long:
            reading.request.start_async(inputs)
            reading.read, self._busy = end, reading
            return []
        reading.request.infer(inputs)
        reading.read = end
        tokens = reading.tokens[reading.told : end + 1]
        if not tokens:
            return []
        rows = log_softmax(reading.request.get_tensor("logits").data[0])
        logprobs = [float(row[token]) for token, row in zip(tokens, rows, strict=True)]
        top = [_likeliest(row, reading.most) for row in rows]
        reading.told += len(tokens)
        finish = reading.finish if reading.told == len(reading.tokens) else None
        return [Event(number, tokens, logprobs, top, finish)]

    def _load(self) -> None:
        openvino = require("openvino", "language")
        try:
            self._room = self._find_room()
            model = openvino.Core().read_model(str(self._graph))
            _choose_places(model)
            self._compiled = openvino.Core().compile_model(model, "CPU", self._properties)
        except MainspringError as error:
            self._failed = error
        except Exception as error:
            log.exception("the graph that tells the likeliest tokens cannot be loaded")
            self._failed = EngineGoneError(f"what tells the likeliest tokens cannot be loaded: {error}")


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The natural logarithms of probabilities, (…, vocabulary) float32."""
    shifted = logits.astype(np.float32)
    shifted -= shifted.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _unread(error: RuntimeError) -> EngineGoneError:
    """What to tell of an answer that OpenVINO could not read; there may be no memory."""
    log.error("an answer cannot be read: %s", error)
    return EngineGoneError(f"the likeliest tokens cannot be told: {error}")


def _likeliest(row: np.ndarray, most: int) -> list[tuple[int, float]]:
    """The `most` likeliest tokens of (vocabulary,) logprobs, the likeliest first."""
    found = np.argpartition(-row, most)[:most] if most < len(row) else np.arange(len(row))
    found = found[np.argsort(-row[found], kind="stable")]
    return [(int(token), float(row[token])) for token in found]


def _choose_places(model: Any) -> None:
    """Give the graph an input, `wanted`, of the places whose logits it computes, (places,) int64.

    The vocabulary is wide, and nobody asks for the logits of a prompt.
    """
    from openvino import opset13

    node = model.output("logits").get_node()
    while node.get_type_name() != "MatMul":
        node = node.input_value(0).get_node()
    wanted = opset13.parameter([-1], np.int64, name="wanted")
    wanted.output(0).get_tensor().set_names({"wanted"})
    places = opset13.gather(node.input_value(0), wanted, opset13.constant(1))
    node.input(0).replace_source_output(places.output(0))
    model.add_parameters([wanted])
    model.validate_nodes_and_infer_types()
