"""`POST /v1/chat/completions`: a conversation in, the assistant's answer out, whole or as it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mainspring.runtimes.language.protocol import Answered, Citation, Delta, Generate, Sampling, ToolCall, Usage
from mainspring.serving.messages import Reply, Request, StreamedReply
from mainspring.serving.openai import answers
from mainspring.serving.openai.answers import Head, TokenUsage
from mainspring.serving.openai.asking import Asking
from mainspring.serving.openai.bodies import read, refuse
from mainspring.serving.openai.generation import Answer
from mainspring.serving.openai.messages import (
    AnyFormat,
    AnyMessage,
    FunctionTool,
    ToolChoice,
    choice_of,
    conversation,
    structure_of,
)
from mainspring.serving.openai.sampling import Common
from mainspring.serving.predict import require_json


class ChatRequest(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. What only null may stand for is of OpenAI's API and not of ours: see `bodies`."""

    messages: Annotated[list[AnyMessage], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: AnyFormat | None = None
    tools: Annotated[list[FunctionTool], Meta(min_length=1, max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    modalities: list[Annotated[str, Meta(pattern="^text$")]] | None = None
    audio: None = None
    functions: None = None
    function_call: None = None
    moderation: None = None
    prediction: None = None
    prompt_cache_options: None = None
    prompt_cache_retention: None = None
    reasoning_effort: None = None
    verbosity: None = None
    web_search_options: None = None

    def generate(self) -> Generate:
        """What is asked of the engine.

        Raises:
            Problem: 400; parameters contradict each other.
        """
        self.check_stream()
        if self.store:
            raise refuse("store", "answers are not stored to be fetched later: leave it out")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise refuse("max_tokens", "it is the older name of max_completion_tokens: give one of the two")
        if self.top_logprobs is not None and not self.logprobs:
            raise refuse("top_logprobs", "it is allowed where logprobs is true only")
        chosen = self.chosen()
        if self.max_completion_tokens is not None:
            chosen["max_tokens"] = self.max_completion_tokens
        return Generate(
            messages=conversation(self.messages),
            tools=msgspec.to_builtins(self.tools or []),
            tool_choice=choice_of(self.tools, self.tool_choice, self.parallel_tool_calls),
            parallel_tool_calls=self.parallel_tool_calls is not False,
            structure=structure_of(self.response_format),
            sampling=Sampling(**chosen, logprobs=(self.top_logprobs or 0) if self.logprobs else None),
        )

    def parameters(self) -> dict[str, str]:
        """What this request calls what an engine calls otherwise."""
        return {"max_tokens": "max_completion_tokens"} if self.max_completion_tokens is not None else {}


_decoder = msgspec.json.Decoder(ChatRequest)


class Chat:
    """The endpoint."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def __call__(self, request: Request) -> Reply | StreamedReply:
        """Answer one request."""
        require_json(request)
        asked = read(request.body, _decoder)
        return await self._asking(request, asked, [asked.generate()], ChatForm)


class ChatForm:
    """How the answer to one request is written."""

    operation = "chat"
    prefix = "chatcmpl-"

    def __init__(self, head: Head, generates: list[Generate], *, with_usage: bool) -> None:
        self._head = head
        self._logprobs = generates[0].sampling.logprobs is not None
        self._usage = None if with_usage else UNSET
        self._begun: set[int] = set()

    def chunks(self, index: int, delta: Delta) -> Iterator[answers.ChatChunk]:
        """The events for a piece: the first of an answer says who speaks, the last alone why it ends."""
        logprobs = answers.ChatLogprobs.of(delta.logprobs) if delta.logprobs else None
        if index not in self._begun:
            self._begun.add(index)
            calls_only = bool(delta.tool_calls) and not delta.text
            first = answers.ChatDelta(role="assistant", content=None if calls_only else "", refusal=None)
            yield self._chunk(answers.ChatChunkChoice(index, first))
        if delta.text or delta.tool_calls or logprobs:
            more = answers.ChatDelta(
                content=delta.text if delta.text or logprobs else UNSET,
                tool_calls=[_call_delta(call) for call in delta.tool_calls] if delta.tool_calls else UNSET,
            )
            yield self._chunk(answers.ChatChunkChoice(index, more, logprobs))
        if delta.finish:
            last = answers.ChatDelta(annotations=_annotations(delta.answered, delta.citations))
            yield self._chunk(answers.ChatChunkChoice(index, last, None, delta.finish))

    def last(self, usage: Usage) -> answers.ChatChunk:
        """The event that says how many tokens it were."""
        return msgspec.structs.replace(self._chunk(), usage=TokenUsage.of(usage))

    def whole(self, found: list[Answer], usage: Usage) -> answers.ChatCompletion:
        """All in one."""
        head = self._head
        return answers.ChatCompletion(
            id=head.id,
            created=head.created,
            model=head.model,
            choices=[self._choice(index, answer) for index, answer in enumerate(found)],
            usage=TokenUsage.of(usage),
            service_tier=head.tier,
            system_fingerprint=head.fingerprint,
        )

    def _choice(self, index: int, answer: Answer) -> answers.ChatChoice:
        calls = [
            answers.Call(call.id, answers.CalledFunction(call.arguments, call.name))
            for _, call in sorted(answer.calls.items())
        ]
        message = answers.ChatMessage(
            None if calls and not answer.text else answer.text,
            tool_calls=calls or UNSET,
            annotations=_annotations(answer.answered, answer.citations),
        )
        logprobs = answers.ChatLogprobs.of(answer.chosen) if self._logprobs else None
        return answers.ChatChoice(index, message, answer.finish or "stop", logprobs)

    def _chunk(self, *choices: answers.ChatChunkChoice) -> answers.ChatChunk:
        head = self._head
        return answers.ChatChunk(
            id=head.id,
            created=head.created,
            model=head.model,
            service_tier=head.tier,
            system_fingerprint=head.fingerprint,
            choices=list(choices),
            usage=self._usage,
        )


def _annotations(answered: Answered | None, citations: Iterable[Citation]) -> list[answers.Annotation] | UnsetType:
    """Those of an answer from documents, which may have none; of another they are left out."""
    return UNSET if answered is None else [answers.Annotation.of(citation) for citation in citations]


def _call_delta(piece: ToolCall) -> answers.CallDelta:
    function = answers.CalledFunction(piece.arguments, UNSET if piece.name is None else piece.name)
    if piece.id is None:
        return answers.CallDelta(piece.index, function)
    return answers.CallDelta(piece.index, function, piece.id, "function")
