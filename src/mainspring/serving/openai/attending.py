"""What every request to a language model gets: a version that it leases, a clock, and errors in OpenAI's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias

from mainspring.errors import ContextError, MainspringError, OverloadedError, RequestError, UnsupportedError
from mainspring.runtimes.language.protocol import Capabilities, Engine, Generate, JsonSchema
from mainspring.serving.answering import business_key
from mainspring.serving.language import LanguageVersion
from mainspring.serving.language_metrics import LanguageMetrics, Stopwatch
from mainspring.serving.messages import Request
from mainspring.serving.noting import Traffic, noted
from mainspring.serving.openai.bodies import refuse
from mainspring.serving.openai.exchanges import Exchange
from mainspring.serving.problems import Problem
from mainspring.serving.retrieval.knowledge import Assistants
from mainspring.serving.slots import Slot, Slots

Note: TypeAlias = Callable[[Exchange], None]

_NAME = re.compile(r"\w+")


class Asked(Protocol):
    """A request's body, read."""

    @property
    def model(self) -> str:
        """Which model is asked: its name, or `name:version`."""

    @property
    def caller(self) -> str:
        """Who asks, as far as it is said: chooses between champion and canary."""

    def parameters(self) -> dict[str, str]:
        """What this request calls what an engine calls otherwise."""


@dataclass(frozen=True)
class Attended:
    """One request, the version that answers it, and its engine: of a chat model with knowledge, together with that."""

    request: Request
    slot: Slot
    loaded: LanguageVersion
    watch: Stopwatch
    engine: Engine

    @property
    def fingerprint(self) -> str:
        """One for each version on each engine: with the same one, and a seed, the same answer comes again."""
        info = self.engine.info
        parts = (self.loaded.model, self.loaded.name, info.engine, info.detail)
        return f"fp_{blake2b(repr(parts).encode(), digest_size=5).hexdigest()}"

    def check(self, generate: Generate) -> None:
        """Refuse what the engine says that it cannot do.

        Raises:
            UnsupportedError: naming the parameter.
        """
        able, model = self.engine.capabilities, self.loaded.model
        if not able.generates:
            raise UnsupportedError(str(self.loaded.wrong_kind()), "model")
        for param, can in _wanted(generate, able):
            if not can:
                raise UnsupportedError(f"{model}, as it is run here, cannot do this: leave it out", param)
        if (generate.sampling.logprobs or 0) > (able.logprobs or 0):
            given = f"tokens and {able.logprobs} in their place at most" if able.logprobs else "tokens only"
            raise UnsupportedError(f"{model}, as it is run here, gives those of the chosen {given}", "top_logprobs")


def _wanted(generate: Generate, able: Capabilities) -> Iterator[tuple[str, bool]]:
    """The parameters that not every engine knows, of those that are used, and whether this one does."""
    sampling = generate.sampling
    if generate.messages is not None:
        yield "messages", able.chat
    if generate.tools:
        yield "tools", able.tools
    if generate.structure is not None:
        kind = "json_schema" if isinstance(generate.structure, JsonSchema) else "json_object"
        yield "response_format", kind in able.structures
    if sampling.logprobs is not None:
        yield "logprobs", able.logprobs is not None
    if sampling.seed is not None:
        yield "seed", able.seed


class Attending:
    """Attends to the requests of all endpoints of `/v1`.

    Args:
        slots: the models.
        metrics: where times and tokens are counted.
        silence: the longest that an engine may give nothing, in seconds.
        assistants: chat models with what they answer from.
        note: told each request that was answered; for the prediction log.
        traffic: told each request that is over.
    """

    def __init__(
        self,
        slots: Slots,
        metrics: LanguageMetrics,
        silence: float,
        assistants: Assistants,
        note: Note,
        traffic: Traffic,
    ) -> None:
        self.silence = silence
        self.note = note
        self._slots = slots
        self._metrics = metrics
        self._assistants = assistants
        self._traffic = traffic

    @contextmanager
    def __call__(self, request: Request, asked: Asked, operation: str) -> Iterator[Attended]:
        """Keep the version that is asked in memory, and note how it went.

        Raises:
            Problem: there is none, or it is of another kind; or what an engine raised meanwhile.
        """
        name, pinned, version = asked.model.partition(":")
        slot = self._slots.find(name)
        request.model = name
        key = business_key(request) or asked.caller
        loaded = slot.lease(version if pinned else None, key)
        try:
            request.version = loaded.name
            if not isinstance(loaded, LanguageVersion):
                raise refuse("model", str(loaded.wrong_kind()))
            watch = self._metrics.begin(operation, name, loaded.name, request.started)
            parameters = asked.parameters()
            with noted(request, loaded, watch, self._traffic, lambda raised: problem_of(raised, parameters)):
                with self._assistants.engine(loaded, request, key) as engine:
                    yield Attended(request, slot, loaded, watch, engine)
                request.rows = 1
        finally:
            loaded.release()


def problem_of(error: MainspringError, parameters: dict[str, str]) -> Problem:
    """What an engine's error is answered. `parameters` are names of the request for those of the engine."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestError):
        place = _NAME.sub(lambda name: parameters.get(name[0], name[0]), error.place, count=1)
        code: dict[Any, str] = {ContextError: "context_length_exceeded", UnsupportedError: "unsupported_value"}
        return Problem(400, str(error), place, code=code.get(type(error), "invalid_value"))
    return Problem(429 if isinstance(error, OverloadedError) else 503, str(error))
