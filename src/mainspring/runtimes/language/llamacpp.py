"""Backend: llama.cpp, the widest reader of GGUF. Its server runs in this process, by way of `xllamacpp`.

It batches continuously, and computes the beginning that a place has in common with its last prompt only once. Of a
character that takes several tokens it tells only the last one's logprobs.

Penalties are taken by `llamacpp_tokens`, token by token. A grammar would begin anew with each, so it goes without them.

The server insists on listening. It does so on a Unix socket in a folder that no other user can enter, under a key that
nobody is told.
"""

from __future__ import annotations

import queue
import secrets
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainspring.errors import EngineGoneError, MainspringError, RuntimeLoadError, UnsupportedError, require
from mainspring.runtimes.language import gbnf
from mainspring.runtimes.language.backend import Abilities, Event, Grammar, Job
from mainspring.runtimes.language.llamacpp_tokens import tokens
from mainspring.runtimes.language.settings import Settings
from mainspring.runtimes.language.sizes import Sizes

_MOST_LOGPROBS = 20
_WAIT = 0.05  # seconds for which a step waits for tokens
_QUIET = -1  # of what llama.cpp says of itself
_TRIGGER_WORD = 1  # COMMON_GRAMMAR_TRIGGER_TYPE_WORD


@dataclass(eq=False)
class _Running:
    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)


class LlamaCppBackend:
    """A GGUF file on llama.cpp, on this machine's processor.

    Raises:
        RuntimeLoadError: llama.cpp cannot read it.
        MissingExtraError: it is not installed.
    """

    def __init__(self, gguf: Path, sizes: Sizes, settings: Settings) -> None:
        library = require("xllamacpp", "llamacpp")
        room = settings.cache_tokens or sizes.cache_tokens(bytes_each=2)
        self._folder = tempfile.TemporaryDirectory(prefix="mainspring-llamacpp-")
        params = library.CommonParams()
        params.model.path = str(gguf)
        self._socket, self._key = str(Path(self._folder.name) / "llama.sock"), secrets.token_hex(32)
        params.hostnames, params.api_keys = [self._socket], [self._key]
        params.n_parallel = settings.sequences
        params.n_ctx = room
        params.kv_unified = True
        params.n_batch = params.n_ubatch = settings.step_tokens
        params.warmup = False
        params.verbosity = _QUIET
        if settings.threads is not None:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
        try:
            self._server = library.Server(params)
        except (RuntimeError, ValueError) as error:
            self._folder.cleanup()
            raise RuntimeLoadError(f"llama.cpp cannot load {gguf}: {error}") from None
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running: dict[int, _Running] = {}
        self._threads: set[threading.Thread] = set()
        self._abilities = Abilities(
            context=min(sizes.context, room),
            sequences=settings.sequences,
            piece=None,
            remembers=0,
            logprobs=_MOST_LOGPROBS,
            lookup=False,
        )

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        return self._abilities

    def can_look_up(self) -> bool:
        """See `Backend`: never."""
        return False

    def submit(self, number: int, job: Job) -> None:
        """Begin `job`.

        Raises:
            UnsupportedError: it has penalties and a grammar.
        """
        if job.grammar and (penalty := _penalty(job)):
            raise UnsupportedError("llama.cpp has no penalties in answers that follow a schema, or have tools", penalty)
        running = self._running[number] = _Running(job)
        thread = threading.Thread(target=self._answer, args=(number, running), name="llama.cpp", daemon=True)
        self._threads = {other for other in self._threads if other.is_alive()} | {thread}
        thread.start()

    def step(self) -> list[Event]:
        """Wait for tokens of any job, for a moment."""
        events = []
        try:
            events.append(self._events.get(timeout=_WAIT))
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        events = [event for event in events if event.job in self._running]
        for event in events:
            if event.finish or event.error:
                self._running.pop(event.job, None)
        return events

    def cancel(self, number: int) -> None:
        """Forget a job."""
        if running := self._running.pop(number, None):
            running.cancelled.set()

    def close(self) -> None:
        """Let go of the model."""
        for number in list(self._running):
            self.cancel(number)
        for thread in self._threads:
            thread.join()
        del self._server
        self._folder.cleanup()

    def _answer(self, number: int, running: _Running) -> None:
        """What the thread of one job does: the server calls back at each token, and is told whether to stop."""

        def take(chunk: dict[str, Any]) -> bool:
            if not running.cancelled.is_set():
                self._events.put(_event(number, running, chunk))
            return running.cancelled.is_set()

        try:
            if _penalty(running.job):
                for event in tokens(self._socket, self._key, number, running.job, _request(running.job)):
                    if running.cancelled.is_set():
                        break
                    self._events.put(event)
            else:
                self._server.handle_completions(_request(running.job), take)
        except Exception as error:
            self._events.put(Event(number, error=EngineGoneError(f"llama.cpp failed: {error}")))


def _penalty(job: Job) -> str | None:
    """The name of a penalty that it has."""
    names = ("presence_penalty", "frequency_penalty")
    return next((name for name in names if getattr(job.sampling, name)), None)


def _request(job: Job) -> dict[str, Any]:
    sampling = job.sampling
    request: dict[str, Any] = {
        "prompt": job.prompt,
        "stream": True,
        "n_predict": job.max_tokens,
        "cache_prompt": True,
        "n_probs": max(1, sampling.logprobs or 0),  # without them it tells no token ids
        "samplers": ["top_k", "temperature", "top_p"],
        "temperature": sampling.temperature if sampling.top_p > 0 else 0,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or 0,
        "seed": job.seed,
        "ignore_eos": sampling.ignore_end,
    }
    if job.grammar:
        request["grammar"] = _grammar(job.grammar)
        if job.grammar.begin:
            request["grammar_lazy"] = True
            request["grammar_triggers"] = [{"type": _TRIGGER_WORD, "value": job.grammar.begin}]
    return request


def _grammar(grammar: Grammar) -> str:
    if not grammar.begin:
        return grammar.text
    begin, end = gbnf.write(gbnf.Text(grammar.begin), {}), gbnf.write(gbnf.Text(grammar.end), {})
    begin, end = (text.removeprefix("root ::= ").strip() for text in (begin, end))
    whole = f'root ::= call ("\\n" call)*\ncall ::= {begin} body {end}\n'
    return whole + "body ::=" + grammar.text.removeprefix("root ::=")


def _event(number: int, running: _Running, chunk: dict[str, Any]) -> Event:
    if "error" in chunk:
        return Event(number, error=_error(chunk["error"]))
    choice = chunk["choices"][0]
    told = (choice.get("logprobs") or {}).get("content", [])
    most = running.job.sampling.logprobs
    usage = chunk.get("usage", {})
    return Event(
        number,
        tokens=[one["id"] for one in told],
        logprobs=[] if most is None else [one["logprob"] for one in told],
        top=[[(other["id"], other["logprob"]) for other in one["top_logprobs"][:most]] for one in told],
        finish=choice["finish_reason"],
        cached=usage.get("prompt_tokens_details", {}).get("cached_tokens"),
        text=choice["text"],
        total=usage.get("completion_tokens"),
    )


def _error(error: dict[str, Any]) -> MainspringError:
    message = f"llama.cpp refuses: {error.get('message')}"
    return UnsupportedError(message, "messages") if error.get("code") == 400 else EngineGoneError(message)
