"""The structs of an answer, field by field as OpenAI's API writes them. What is `UNSET` is left out, None is null."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from mainspring.runtimes.language.protocol import Chosen, Citation, Likely, Usage

_URL_CHARACTERS = "/:?#[]@!$&'()*+,;=%-._~"  # an address is left as it is
_LEAST = -9999.0  # what OpenAI's API gives for a logarithm of nothing, which JSON cannot write


class PromptDetails(msgspec.Struct, frozen=True):
    """How many tokens of the prompts were known from earlier requests."""

    cached_tokens: int


class TokenUsage(msgspec.Struct, frozen=True):
    """How many tokens a request was."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | UnsetType = UNSET

    @classmethod
    def of(cls, usage: Usage) -> TokenUsage:
        """As an engine counted them."""
        details = UNSET if usage.cached is None else PromptDetails(usage.cached)
        return cls(usage.prompt, usage.completion, usage.prompt + usage.completion, details)


class Head(msgspec.Struct, frozen=True):
    """What every object of one answer begins with. `tier` is written where the client named one."""

    id: str
    created: int
    model: str
    fingerprint: str
    tier: Literal["default"] | UnsetType = UNSET


class TopLogprob(msgspec.Struct, frozen=True):
    """A token that might have been."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of the answer, and the most likely ones in its place."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChatLogprobs(msgspec.Struct, frozen=True):
    """Those of an answer, or of a piece of it."""

    content: list[TokenLogprob]
    refusal: None = None

    @classmethod
    def of(cls, chosen: Iterable[Chosen]) -> ChatLogprobs:
        """Of the tokens that an engine chose."""
        return cls(
            [
                TokenLogprob(one.token, _finite(one), list(one.bytes_), [_top(likely) for likely in one.top])
                for one in chosen
            ]
        )


class TextLogprobs(msgspec.Struct, frozen=True):
    """The older form of them. `text_offset` is where in the answer's text each token begins, in characters."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]] | None
    text_offset: list[int]


class Offsets:
    """Where tokens begin in a text that comes in pieces. A token may end within a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0

    def logprobs(self, chosen: Iterable[Chosen], wanted: int) -> TextLogprobs:
        """The logprobs of the next tokens, with `wanted` rivals each."""
        tokens, values, tops, offsets = [], [], [], []
        for one in chosen:
            tokens.append(one.token)
            values.append(_finite(one))
            tops.append({likely.token: _finite(likely) for likely in (*one.top, one)})
            offsets.append(self._characters)
            self._characters += len(self._decoder.decode(one.bytes_))
        return TextLogprobs(tokens, values, tops if wanted else None, offsets)


class CalledFunction(msgspec.Struct, frozen=True):
    """The function that is called; its arguments are JSON, or in a stream a part of it."""

    arguments: str
    name: str | UnsetType = UNSET


class Call(msgspec.Struct, frozen=True):
    """A call of an answer that is whole."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of the call `index`; the first has id and name."""

    index: int
    function: CalledFunction
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class UrlCitation(msgspec.Struct, frozen=True):
    """What the answer says at `[start_index, end_index)`, in characters, stands at `url`: an address, or the path of a
    document in the project; after # the nearest heading.
    """

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(msgspec.Struct, frozen=True):
    """A citation of the answer. Of the kinds of annotations, this is the one that OpenAI's API has in chats.

    `passage` is not OpenAI's: it has the place in the document, and what stands there.
    """

    url_citation: UrlCitation
    passage: Citation
    type: Literal["url_citation"] = "url_citation"

    @classmethod
    def of(cls, citation: Citation) -> Annotation:
        """As an assistant with knowledge gave it."""
        url = quote(citation.source, safe=_URL_CHARACTERS)
        if citation.anchor and "#" not in citation.source:
            url += f"#{quote(citation.anchor)}"
        return cls(UrlCitation(citation.begin, citation.end, url, citation.title), citation)


class ChatMessage(msgspec.Struct, frozen=True):
    """What the model says. `annotations` are there where it answers from documents."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    tool_calls: list[Call] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET


class ChatChoice(msgspec.Struct, frozen=True):
    """One of the `n` answers."""

    index: int
    message: ChatMessage
    finish_reason: str
    logprobs: ChatLogprobs | None = None


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a conversation."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    service_tier: Literal["default"] | UnsetType = UNSET
    system_fingerprint: str


class ChatDelta(msgspec.Struct, frozen=True):
    """What a chunk adds to an answer. `annotations` come with the last, all of them."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: UnsetType | None = UNSET
    tool_calls: list[CallDelta] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET


class ChatChunkChoice(msgspec.Struct, frozen=True):
    """The answer that a chunk adds to."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream. `usage` is null in all but the last, and left out where it was not asked for."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    service_tier: Literal["default"] | UnsetType = UNSET
    system_fingerprint: str
    choices: list[ChatChunkChoice]
    usage: TokenUsage | UnsetType | None = UNSET


class TextChoice(msgspec.Struct, frozen=True):
    """One of the answers, or a piece of it."""

    text: str
    index: int
    logprobs: TextLogprobs | None
    finish_reason: str | None


class TextCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The continuations of texts, whole or a piece of them: the two have the same form."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[TextChoice]
    usage: TokenUsage | UnsetType | None = UNSET
    system_fingerprint: str


def _finite(one: Likely) -> float:
    return max(one.logprob, _LEAST)


def _top(one: Likely) -> TopLogprob:
    return TopLogprob(one.token, _finite(one), list(one.bytes_))
