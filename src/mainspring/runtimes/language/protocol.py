"""What every engine takes and gives.

A request is a `Generate`; its answer is a stream of `Delta`, each a piece of one of the `n` choices, and one `Usage` at
the end. Whoever stops reading the stream (closes the generator) cancels the request: the engine stops working on it.

What an engine cannot do it says in its `Capabilities`, and refuses with `errors.UnsupportedError`: nothing is ever
accepted and ignored.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
import numpy as np

Finish: TypeAlias = Literal["stop", "length", "tool_calls"]
Message: TypeAlias = dict[str, Any]  # {"role": "user", "content": "..."}, as in OpenAI's API


class Structure(msgspec.Struct, frozen=True, tag_field="kind", tag="json_object"):
    """The answer is a JSON object, whatever is in it."""


class JsonSchema(Structure, frozen=True, tag="json_schema"):
    """The answer is JSON that fits `schema`."""

    schema: dict[str, Any]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How tokens are chosen, and when to end. The defaults are those of OpenAI's API.

    `temperature` 0 is greedy. `max_tokens` None is as many as the context has room for. `logprobs` None gives none; k
    gives those of the chosen token and of the k most likely ones. `stop` ends an answer before the first of these
    strings, which is not part of it.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: int | None = None
    ignore_end: bool = False  # go on after the model's end token; for benchmarks


class Generate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request: `messages` through the model's chat template, or else a `prompt` as it is.

    `tools` are functions as in OpenAI's API, `tool_choice` "auto", "none", "required", or a function's name. `lookup`
    asks for prompt-lookup speculation (Saxena, 2023), which changes the speed and, under greedy decoding, nothing else;
    None leaves it to the engine.
    """

    messages: list[Message] | None = None
    prompt: str | list[int] | None = None
    tools: list[dict[str, Any]] = []
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    structure: Structure | JsonSchema | None = None
    sampling: Sampling = Sampling()
    lookup: bool | None = None


class Likely(msgspec.Struct, frozen=True):
    """A token and the natural logarithm of its probability. `bytes_` is what it stands for, which need not be UTF-8."""

    token: str
    logprob: float
    bytes_: bytes


class Chosen(Likely, frozen=True):
    """A token that was chosen, and the most likely ones in its place."""

    top: tuple[Likely, ...] = ()


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the call `index` of an answer: the first has `id` and `name`, each a part of `arguments` (JSON)."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Citation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the answer says at `[begin, end)` of its text, and where a document says so.

    The mark after it in the answer is `[number]`; passages are numbered from 1 as they are first cited. `passage` is
    its id, `source` and `title` are its document's. `quote` is what stands at `place`, [begin, end) of the document's
    text; where that is a row of a table, `header` is where the names of its columns stand. `supported` is how likely
    the quote supports the claim, from 0 to 1.
    """

    begin: int
    end: int
    number: int
    passage: str
    source: str
    title: str
    place: tuple[int, int]
    quote: str
    supported: float
    page: int | None = None
    anchor: str | None = None
    header: tuple[int, int] | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an answer from passages came about.

    `question` is what was searched for, the conversation's words in it where it needs them. `passages` are the ids of
    those that the answer was made of, best first; `left_out` how many did not fit into the model's context.
    `abstained`: they don't hold the answer, as `answerable` (a probability; None where nothing tells) or the model
    itself says. `quoted`: every sentence is the documents' own. `removed` is how many sentences of the model's the
    passages did not support; `conflicts` how many contradictions of documents are told.
    """

    question: str
    passages: tuple[str, ...] = ()
    left_out: int = 0
    abstained: bool = False
    answerable: float | None = None
    threshold: float | None = None
    quoted: bool = False
    removed: int = 0
    conflicts: int = 0


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="delta"):
    """A piece of the choice `index`. `tokens` is how many tokens it took; the last piece of a choice has `finish`, and,
    where the answer is from passages, its `citations` and how it was `answered`.
    """

    index: int = 0
    text: str = ""
    tokens: int = 0
    logprobs: tuple[Chosen, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    citations: tuple[Citation, ...] = ()
    answered: Answered | None = None


class Usage(msgspec.Struct, frozen=True, tag="usage"):
    """What a request took, in tokens; `cached` of the prompt's were known from an earlier one, as far as is known."""

    prompt: int
    completion: int
    cached: int | None = None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do.

    `context` is the most tokens of prompt and answer together. `logprobs` is the greatest k that `Sampling.logprobs`
    may be, or None. `embeds` is the width of the vectors that `embed` gives, or None.
    """

    context: int
    generates: bool = True
    chat: bool = True
    logprobs: int | None = None
    structures: tuple[Literal["json_object", "json_schema"], ...] = ()
    tools: bool = False
    lookup: bool = False
    seed: bool = False
    embeds: int | None = None


class EngineInfo(msgspec.Struct, frozen=True):
    """Which engine runs, on what, and why: what `mainspring status` tells."""

    engine: str
    detail: str
    why: str


class Engine(Protocol):
    """A loaded model. Its methods are called on one event loop, from many tasks at the same time."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def info(self) -> EngineInfo:
        """Which engine it is, and why this one."""

    def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        """Answer `request`, piece by piece; `Usage` comes last. Closing the iterator cancels.

        Raises:
            UnsupportedError, ContextError: before the first piece.
            OverloadedError, EngineGoneError: now, or between pieces.
        """

    async def count(self, request: Generate) -> int:
        """How many tokens the prompt of `request` has."""

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        """The vectors of `texts`, (n, width) float32, of length 1; and how many tokens they were.

        Raises:
            UnsupportedError: this model gives none.
            ContextError: a text is too long.
        """

    async def close(self) -> None:
        """Let go of the model. What runs is cancelled."""
