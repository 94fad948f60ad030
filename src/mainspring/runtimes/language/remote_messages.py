"""OpenAI's API from the asking side: a `Generate` as the body of a request, and what comes back as `Delta` and `Usage`.

Written after OpenAI's reference of chat completions, completions and embeddings, and what vLLM, TGI and llama.cpp's
server make of it: what they leave out is taken for absent, what they add is not looked at.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from mainspring.errors import EngineGoneError, UnsupportedError
from mainspring.runtimes.language.protocol import (
    Capabilities,
    Chosen,
    Citation,
    Delta,
    Finish,
    Generate,
    JsonSchema,
    Likely,
    Sampling,
    ToolCall,
    Usage,
)

_FINISHES: dict[str, Finish] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}  # anything else, such as "content_filter", is an end of the endpoint's choosing: "stop"
_BEYOND = 9999.0  # what OpenAI's API gives for a logarithm of nothing


def check(request: Generate, able: Capabilities) -> None:
    """UnsupportedError if the endpoint is said not to be able to do what is asked."""
    structure = request.structure
    kind = None if structure is None else "json_schema" if isinstance(structure, JsonSchema) else "json_object"
    most = request.sampling.logprobs
    for place, wanted, can in (
        ("messages", request.messages is not None, able.chat),
        ("tools", bool(request.tools), able.tools),
        ("response_format", kind is not None, kind in able.structures),
        ("logprobs", most is not None, able.logprobs is not None),
        ("seed", request.sampling.seed is not None, able.seed),
        ("lookup", bool(request.lookup), able.lookup),
    ):
        if wanted and not can:
            raise UnsupportedError(f"the endpoint of this model takes no {place}: leave it out", place)
    if most is not None and able.logprobs is not None and most > able.logprobs:
        raise UnsupportedError(f"the endpoint of this model gives at most {able.logprobs} logprobs", "top_logprobs")
    if not able.generates:
        raise UnsupportedError("this model gives vectors, and writes nothing", "model")


def body(request: Generate, model: str, limit_name: str) -> dict[str, Any]:
    """The body of a request for a stream. `limit_name` is what the endpoint calls the most tokens of an answer."""
    sampling = request.sampling
    found: dict[str, Any] = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    if request.messages is not None:
        found["messages"] = request.messages
        if sampling.logprobs is not None:
            found |= {"logprobs": True} | ({"top_logprobs": sampling.logprobs} if sampling.logprobs else {})
    else:
        found["prompt"] = request.prompt
        if sampling.logprobs is not None:
            found["logprobs"] = sampling.logprobs
    if sampling.max_tokens is not None:
        found[limit_name] = sampling.max_tokens
    found |= _sampling(sampling)
    if request.tools:
        found |= {"tools": request.tools, "tool_choice": _tool_choice(request.tool_choice)}
        if not request.parallel_tool_calls:
            found["parallel_tool_calls"] = False
    if isinstance(request.structure, JsonSchema):
        schema = {"name": "answer", "schema": request.structure.schema, "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif request.structure is not None:
        found["response_format"] = {"type": "json_object"}
    return found


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """What differs from the defaults, which are the endpoint's, too: some refuse what they do not know."""
    default = Sampling()
    found: dict[str, Any] = {
        name: getattr(sampling, name)
        for name in ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "n")
        if getattr(sampling, name) != getattr(default, name)
    }
    if sampling.stop:
        found["stop"] = list(sampling.stop)
    if sampling.ignore_end:
        found["ignore_eos"] = True  # vLLM's name for it
    return found


def _tool_choice(choice: str) -> Any:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "function": {"name": choice}}


class _Top(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Token(_Top):
    top_logprobs: list[_Top] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None  # of chat completions
    tokens: list[str] | None = None  # of completions, with the next two
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Said(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    annotations: Any = None  # of an assistant with knowledge; others put anything there


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None  # of chat completions
    text: str | None = None  # of completions
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class Chunk(msgspec.Struct):
    """One event of a stream. `error` is not in the reference; servers send it when they fail in the middle."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None

    def deltas(self) -> list[Delta]:
        """The pieces in it. How many tokens one took is known where it has logprobs, and else taken for one."""
        return [delta for choice in self.choices if (delta := _delta(choice)) is not None]

    def counted(self) -> Usage | None:
        """The usage in it, if there is any."""
        if self.usage is None:
            return None
        details = self.usage.prompt_tokens_details
        return Usage(self.usage.prompt_tokens, self.usage.completion_tokens, details.cached_tokens if details else None)


class Embedding(msgspec.Struct):
    """One vector, and which text it belongs to."""

    index: int
    embedding: list[float]


class Embeddings(msgspec.Struct):
    """The answer to a request for vectors."""

    data: list[Embedding]
    usage: _Usage


_chunks = msgspec.json.Decoder(Chunk)
_embeddings = msgspec.json.Decoder(Embeddings)


def chunk(data: bytes) -> Chunk:
    """The event with this content.

    Raises:
        EngineGoneError: it is none.
    """
    try:
        return _chunks.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = data[:80].decode(errors="replace")
        raise EngineGoneError(f"the endpoint sent {shown!r}, which is not of OpenAI's API: {error}") from None


def embeddings(content: bytes) -> Embeddings:
    """The answer with this content.

    Raises:
        EngineGoneError: it is none.
    """
    try:
        return _embeddings.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineGoneError(f"the endpoint's answer is not of OpenAI's API: {error}") from None


def _delta(choice: _Choice) -> Delta | None:
    said = choice.delta or _Said()
    text = choice.text or said.content or ""
    calls = tuple(
        ToolCall(call.index, call.id, call.function.name, call.function.arguments or "")
        for call in said.tool_calls or ()
    )
    logprobs = _logprobs(choice.logprobs) if choice.logprobs else ()
    finish = None if choice.finish_reason is None else _FINISHES.get(choice.finish_reason, "stop")
    citations = _citations(said.annotations)
    if not (text or calls or logprobs or finish or citations):
        return None  # the first event names the role only
    tokens = len(logprobs) or int(bool(text or calls))
    return Delta(
        index=choice.index,
        text=text,
        tokens=tokens,
        logprobs=logprobs,
        tool_calls=calls,
        finish=finish,
        citations=citations,
    )


def _citations(annotations: Any) -> tuple[Citation, ...]:
    """Those of another gateway, which names the passages; what others annotate has no place in a document."""
    found = []
    for one in annotations if isinstance(annotations, list) else ():
        if isinstance(one, dict) and "passage" in one:
            with contextlib.suppress(msgspec.ValidationError):
                found.append(msgspec.convert(one["passage"], Citation))
    return tuple(found)


def _logprobs(found: _Logprobs) -> tuple[Chosen, ...]:
    if found.content is not None:
        return tuple(
            Chosen(token.token, token.logprob, _bytes(token), tuple(map(_likely, token.top_logprobs)))
            for token in found.content
        )
    tokens, values = found.tokens or [], found.token_logprobs or []
    tops = found.top_logprobs or [None] * len(tokens)
    return tuple(
        Chosen(
            token,
            -_BEYOND if value is None else value,
            token.encode(errors="replace"),
            tuple(Likely(name, logprob, name.encode(errors="replace")) for name, logprob in (top or {}).items()),
        )
        for token, value, top in zip(tokens, values, tops, strict=False)
    )


def _likely(top: _Top) -> Likely:
    return Likely(top.token, top.logprob, _bytes(top))


def _bytes(token: _Top) -> bytes:
    """The token's bytes; its text's where the endpoint gives none."""
    try:
        return token.token.encode(errors="replace") if token.bytes is None else bytes(token.bytes)
    except ValueError:
        return token.token.encode(errors="replace")
