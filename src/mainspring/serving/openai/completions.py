"""`POST /v1/completions`: texts in, their continuations out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from mainspring.runtimes.language.protocol import Delta, Generate, Sampling, Usage
from mainspring.serving.messages import Reply, Request, StreamedReply
from mainspring.serving.openai.answers import Head, Offsets, TextChoice, TextCompletion, TokenUsage
from mainspring.serving.openai.asking import Asking
from mainspring.serving.openai.bodies import read, refuse
from mainspring.serving.openai.generation import Answer
from mainspring.serving.openai.sampling import Common
from mainspring.serving.predict import require_json

_MOST_ANSWERS = 128
_DEFAULT_TOKENS = 16  # OpenAI's

_Token: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Texts: TypeAlias = str | Annotated[list[str | _Token | list[_Token]], Meta(min_length=1, max_length=2048)]


class CompletionRequest(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body. `echo` and `suffix` would need what an engine does not give; `best_of` may be `n`, which is nothing."""

    prompt: Texts
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: Annotated[str, Meta(max_length=0)] | None = None

    def generates(self) -> list[Generate]:
        """What is asked of the engine, a request a prompt.

        Raises:
            Problem: 400; parameters contradict each other.
        """
        self.check_stream()
        if self.echo:
            raise refuse("echo", "the prompt is not given back: leave it out")
        if self.best_of not in (None, self.n or 1):
            raise refuse("best_of", "choosing among more answers than are given is not supported: leave it out")
        prompts = texts(self.prompt, "prompt")
        if len(prompts) * (self.n or 1) > _MOST_ANSWERS:
            raise refuse("prompt", f"{len(prompts)} prompts with n = {self.n or 1} are over {_MOST_ANSWERS} answers")
        sampling = Sampling(**{"max_tokens": _DEFAULT_TOKENS, **self.chosen()}, logprobs=self.logprobs)
        return [Generate(prompt=prompt, sampling=sampling) for prompt in prompts]

    def parameters(self) -> dict[str, str]:
        """What this request calls what an engine calls otherwise."""
        return {"messages": "prompt", "top_logprobs": "logprobs"}


def texts(given: Texts, param: str) -> list[str] | list[list[int]]:
    """The texts, or lists of tokens, that are meant.

    Raises:
        Problem: 400; they are mixed, or one is empty.
    """
    if isinstance(given, str):
        found: list[str | list[int]] = [given]
    elif all(isinstance(item, int) for item in given):
        found = [given]  # type: ignore[list-item]
    else:
        found = given  # type: ignore[assignment]
    if len({type(item) for item in found}) > 1 or isinstance(found[0], int):
        raise refuse(param, "texts, tokens and lists of tokens are mixed: expected one of them", "invalid_type")
    for place, item in enumerate(found):
        if not item:
            raise refuse(param if found == [given] else f"{param}[{place}]", "it is empty: it takes a token at least")
    return found  # type: ignore[return-value]


_decoder = msgspec.json.Decoder(CompletionRequest)


class Completions:
    """The endpoint."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def __call__(self, request: Request) -> Reply | StreamedReply:
        """Answer one request."""
        require_json(request)
        asked = read(request.body, _decoder)
        return await self._asking(request, asked, asked.generates(), TextForm)


class TextForm:
    """How the answer to one request is written."""

    operation = "text_completion"
    prefix = "cmpl-"

    def __init__(self, head: Head, generates: list[Generate], *, with_usage: bool) -> None:
        self._head = head
        self._logprobs = generates[0].sampling.logprobs
        self._usage = None if with_usage else UNSET
        self._offsets: dict[int, Offsets] = {}

    def chunks(self, index: int, delta: Delta) -> Iterator[TextCompletion]:
        """The events for a piece; the last of an answer alone says why it ends."""
        if delta.text or delta.logprobs:
            logprobs = None
            if self._logprobs is not None:
                offsets = self._offsets.setdefault(index, Offsets())
                logprobs = offsets.logprobs(delta.logprobs, self._logprobs)
            yield self._object(TextChoice(delta.text, index, logprobs, None))
        if delta.finish:
            yield self._object(TextChoice("", index, None, delta.finish))

    def last(self, usage: Usage) -> TextCompletion:
        """The event that says how many tokens it were."""
        return msgspec.structs.replace(self._object(), usage=TokenUsage.of(usage))

    def whole(self, found: list[Answer], usage: Usage) -> TextCompletion:
        """All in one."""
        choices = [self._choice(index, answer) for index, answer in enumerate(found)]
        return msgspec.structs.replace(self._object(*choices), usage=TokenUsage.of(usage))

    def _choice(self, index: int, answer: Answer) -> TextChoice:
        wanted = self._logprobs
        logprobs = None if wanted is None else Offsets().logprobs(answer.chosen, wanted)
        return TextChoice(answer.text, index, logprobs, answer.finish or "stop")

    def _object(self, *choices: TextChoice) -> TextCompletion:
        head = self._head
        return TextCompletion(
            id=head.id,
            created=head.created,
            model=head.model,
            choices=list(choices),
            usage=self._usage,
            system_fingerprint=head.fingerprint,
        )
