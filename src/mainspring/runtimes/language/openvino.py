"""Backend: OpenVINO GenAI, the fastest at many streams on a processor. It reads Llama, Qwen2 and Qwen3 as GGUF.

Its `ContinuousBatchingPipeline` keeps keys and values in blocks of 32 tokens (PagedAttention, Kwon et al., 2023),
shares the blocks of equal beginnings, and mixes prompts and answers in one step (`dynamic_split_fuse`). What it is not
left to do: several answers in one request, which would not stream and would share penalties and grammar; stop strings
and text, which are the same here for all backends.

Penalties are OpenAI's, as `openvino_graph` gives logits that OpenVINO's sampler takes them from. The likeliest tokens,
which it does not tell, come from a second reading: see `openvino_rivals`.

Prompt lookup (see `quoting`): a pipeline does it for all of its requests or for none, and pads every guess to its full
length, which costs time where guesses are wrong. So there are two pipelines, each with a cache of its own, and a job
says which. The second one is loaded when it is first wanted, in a thread beside the work. The same tokens come out,
but where rounding decides between two: a step over several tokens adds up in another order than a step over one.

An exception in `step` leaves its scheduler with half a step done, from which there is no way back. So what might raise
there, a grammar above all, is sound before it goes in.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import EngineGoneError, OverloadedError, RuntimeLoadError, require
from mainspring.runtimes.language.backend import Abilities, Event, Grammar, Job
from mainspring.runtimes.language.openvino_graph import GRAPH, write_graph
from mainspring.runtimes.language.openvino_rivals import MOST, Rivals
from mainspring.runtimes.language.quoting import GUESSED, LONGEST
from mainspring.runtimes.language.settings import Precision, Settings
from mainspring.runtimes.language.sizes import Sizes, available_memory

log = logging.getLogger("mainspring.engine")

ARCHITECTURES = ("llama", "qwen2", "qwen3")
_BLOCK = 32  # tokens
# OpenVINO's own choice quantises activations, and keeps the cache in 8 bits. Of keys it has one scale for a channel of
# several tokens, so that what prompt lookup guessed, and took back, rounds the tokens beside it: each token its own.
PROPERTIES: dict[Precision, dict[str, Any]] = {
    "8-bit": {"KEY_CACHE_QUANT_MODE": "BY_TOKEN"},
    "16-bit": {
        "INFERENCE_PRECISION_HINT": "bf16",
        "KV_CACHE_PRECISION": "bf16",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    },
    "32-bit": {
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    },
}
_CACHE_BYTES: dict[Precision, int] = {"8-bit": 1, "16-bit": 2, "32-bit": 4}
_PLAIN: dict[str, Any] = {}  # the ways to load a pipeline
_LOOKUP = {"prompt_lookup": True}
_SHARE_OF_MEMORY = 8  # for the keys and values of answers whose rivals are told
_GREEDY_BELOW = 1e-5  # a temperature that is as good as none, and whose inverse would overflow


@dataclass
class _Running:
    pipeline: Any
    handle: Any
    logprobs: bool


class OpenVinoBackend:
    """A GGUF file on OpenVINO, on this machine's processor.

    Raises:
        RuntimeLoadError: OpenVINO cannot read it.
        MissingExtraError: OpenVINO is not installed.
    """

    def __init__(self, gguf: Path, sizes: Sizes, settings: Settings) -> None:
        self._genai = require("openvino_genai", "language")
        self._tensor = require("openvino", "language").Tensor
        tokens = settings.cache_tokens or sizes.cache_tokens(bytes_each=_CACHE_BYTES[settings.precision])
        scheduler = self._genai.SchedulerConfig()
        scheduler.num_kv_blocks = max(2, tokens // _BLOCK)
        scheduler.max_num_seqs = settings.sequences
        scheduler.max_num_batched_tokens = settings.step_tokens
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = True
        self._scheduler = scheduler
        self._properties = _properties(settings)
        self._gguf = gguf
        self._token_room = sizes.cache_bytes(1, bytes_each=_CACHE_BYTES[settings.precision])
        self._folder = tempfile.TemporaryDirectory(prefix="mainspring-graph-")
        try:
            self._graph = gguf.with_name(GRAPH)  # where a version has it beside its weights
            if not self._graph.is_file():
                self._graph = write_graph(gguf, Path(self._folder.name))
            self._pipeline, self._second = (
                self._load(_PLAIN, _LOOKUP) if settings.lookup else (*self._load(_PLAIN), None)
            )
        except BaseException:
            self._folder.cleanup()
            raise
        self._loading: threading.Thread | None = None
        self._closed = False
        self._gate = threading.Lock()  # nothing begins to load once it is closed
        self._running: dict[int, _Running] = {}
        self._next_id = 0
        self._abilities = Abilities(
            context=min(sizes.context, (scheduler.num_kv_blocks - 1) * _BLOCK),
            sequences=settings.sequences,
            piece=settings.piece_tokens,
            remembers=scheduler.num_kv_blocks * _BLOCK,
            logprobs=MOST,
            lookup=settings.lookup is not False,
        )
        self._rivals = Rivals(self._graph, self._properties, self._room_for_rivals)

    @property
    def abilities(self) -> Abilities:
        """What it can do."""
        return self._abilities

    def can_look_up(self) -> bool:
        """See `Backend`."""
        with self._gate:
            if self._abilities.lookup and not (self._second or self._loading or self._closed):
                self._loading = threading.Thread(target=self._load_second, name="lookup", daemon=True)
                self._loading.start()
            return self._second is not None

    def _load_second(self) -> None:
        needed = self._gguf.stat().st_size + self._abilities.remembers * self._token_room
        if needed > available_memory() // 2:
            log.warning("prompt lookup would pay, and %d bytes for it are more than half of the memory left", needed)
            return
        try:
            (self._second,) = self._load(_LOOKUP)
        except (RuntimeLoadError, OSError):
            log.exception("prompt lookup would pay, and cannot be loaded")

    def _room_for_rivals(self) -> int:
        """For how many tokens `Rivals` may keep keys and values."""
        each = 2 * self._token_room  # OpenVINO takes as much again when they grow
        needed = self._gguf.stat().st_size + self._abilities.context * each
        if needed > (left := available_memory()) // 2:
            raise OverloadedError(
                f"top_logprobs take {needed} bytes, and {left} of memory are left: try again later, or leave them out"
            )
        return max(self._abilities.context, left // _SHARE_OF_MEMORY // each)

    def _load(self, *ways: dict[str, Any]) -> list[Any]:
        """A pipeline for each of `ways`."""
        try:
            tokenizer = self._genai.Tokenizer(str(self._gguf))  # grammars are compiled for it
            return [
                self._genai.ContinuousBatchingPipeline(
                    str(self._graph.parent), tokenizer, self._scheduler, "CPU", **self._properties, **way
                )
                for way in ways
            ]
        except RuntimeError as error:
            raise RuntimeLoadError(f"OpenVINO cannot load {self._gguf}: {error}") from None

    def submit(self, number: int, job: Job) -> None:
        """Begin `job`."""
        prompt = self._tensor(np.array([job.prompt], np.int64))
        pipeline = self._second if job.lookup and self._second else self._pipeline
        handle = pipeline.add_request(self._next_id, prompt, self._config(job))
        self._next_id += 1
        self._running[number] = _Running(pipeline, handle, job.sampling.logprobs == 0)
        if job.sampling.logprobs:
            self._rivals.begin(number, job.prompt, job.sampling.logprobs)

    def step(self) -> list[Event]:
        """Move all jobs on by about one token."""
        for pipeline in {running.pipeline for running in self._running.values()}:
            pipeline.step()
        events = []
        for number, running in list(self._running.items()):
            if event := self._read(number, running):
                if number in self._rivals:
                    self._rivals.add(event)
                else:
                    events.append(event)
                if event.finish or event.error:
                    del self._running[number]
        told = self._rivals.step(idle=not self._running)
        for event in told:
            if event.error:
                self.cancel(event.job)
        return events + told

    def cancel(self, number: int) -> None:
        """Forget a job; its cache is free after the next step."""
        self._rivals.forget(number)
        if running := self._running.pop(number, None):
            running.handle.cancel()
            if all(other.pipeline is not running.pipeline for other in self._running.values()):
                running.pipeline.step()

    def close(self) -> None:
        """Let go of the model."""
        for number in list(self._running):
            self.cancel(number)
        with self._gate:
            self._closed = True
        if self._loading is not None:
            self._loading.join()
        self._rivals.close()
        self._pipeline = self._second = None
        self._folder.cleanup()

    def _read(self, number: int, running: _Running) -> Event | None:
        tokens: list[int] = []
        logprobs: list[float] = []
        finish = None
        while running.handle.can_read():
            (output,) = running.handle.read().values()
            tokens += output.generated_ids
            logprobs += output.generated_log_probs
            finish = _finish(output.finish_reason.name) or finish
        if running.handle.get_status() == self._genai.GenerationStatus.IGNORED:
            return Event(number, error=EngineGoneError("the cache has no room for this answer: give the engine more"))
        if not (tokens or finish):
            return None
        top: list[list[tuple[int, float]]] = []
        return Event(number, tokens, logprobs if running.logprobs else [], top, finish)

    def _config(self, job: Job) -> Any:
        sampling = job.sampling
        config = self._genai.GenerationConfig()
        config.max_new_tokens = job.max_tokens
        config.stop_token_ids = set(job.end_ids)
        config.ignore_eos = sampling.ignore_end
        config.presence_penalty = sampling.presence_penalty
        config.frequency_penalty = sampling.frequency_penalty
        config.do_sample = sampling.temperature >= _GREEDY_BELOW and sampling.top_p > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            config.rng_seed = job.seed
            if sampling.top_k is not None:
                config.top_k = sampling.top_k
        if job.lookup and self._second:
            config.num_assistant_tokens, config.max_ngram_size = GUESSED, LONGEST
        config.logprobs = int(sampling.logprobs == 0)
        if job.grammar:
            config.structured_output_config = self._structure(job.grammar)
        return config

    def _structure(self, grammar: Grammar) -> Any:
        structure = self._genai.StructuredOutputConfig
        if not grammar.begin:
            return structure(grammar=grammar.text)
        tag = structure.Tag(grammar.begin, structure.EBNF(grammar.text), grammar.end)
        return structure(structural_tags_config=structure.TriggeredTags([grammar.begin], [tag]))


def _finish(name: str) -> Any:
    return {"STOP": "stop", "LENGTH": "length"}.get(name)


def _properties(settings: Settings) -> dict[str, Any]:
    threads = {} if settings.threads is None else {"INFERENCE_NUM_THREADS": settings.threads}
    return threads | PROPERTIES[settings.precision]
