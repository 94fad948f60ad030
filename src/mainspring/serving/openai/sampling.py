"""The parameters that chat and text completions share: how tokens are chosen, how the answer comes, who asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mainspring.serving.openai.bodies import refuse

_Label: TypeAlias = Annotated[str, Meta(max_length=1024)] | None


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`include_usage` asks for a last chunk that says how many tokens it were.

    `include_obfuscation` may be false only: chunks are never padded.
    """

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request for an answer may have, whichever it is. Null stands for the default, as in OpenAI's API.

    Taken, though the answer does not depend on them:
    `user`, `safety_identifier` and `prompt_cache_key` say who asks: the same one is answered by the same version while
    a canary is live. `metadata` is what the client calls its request. `service_tier` may name the one that there is.

    `top_k` and `ignore_eos` are not OpenAI's: they have the names and the meaning that vLLM gives them.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=4)]
        | None
    ) = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    logit_bias: Annotated[dict[str, float], Meta(max_length=0)] | None = None
    user: _Label = None
    safety_identifier: _Label = None
    prompt_cache_key: _Label = None
    metadata: (
        Annotated[dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]
        | None
    ) = None
    service_tier: Literal["auto", "default"] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None
    ignore_eos: bool | None = None

    @property
    def caller(self) -> str:
        """Who asks, as far as it is said."""
        return self.prompt_cache_key or self.safety_identifier or self.user or ""

    @property
    def include_usage(self) -> bool:
        """Whether the last chunk is to say how many tokens it were."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def check_stream(self) -> None:
        """Problem if there are options for a stream that is none, or for more than there is."""
        if self.stream_options is not None and not self.stream:
            raise refuse("stream_options", "it is allowed where stream is true only")
        if self.stream_options and self.stream_options.include_obfuscation:
            raise refuse("stream_options.include_obfuscation", "chunks are not padded: leave it out")

    def chosen(self) -> dict[str, Any]:
        """What `Sampling` takes of these, under its names."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        same = ("n", "seed", "temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "top_k")
        given = {name: value for name in same if (value := getattr(self, name)) is not None}
        return {**given, "stop": stop, "ignore_end": bool(self.ignore_eos)}
