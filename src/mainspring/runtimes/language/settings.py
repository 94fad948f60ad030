"""How a local engine is run: what may stand under `properties`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from mainspring.errors import RuntimeLoadError

Precision: TypeAlias = Literal["8-bit", "16-bit", "32-bit"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a local engine.

    Args:
        threads: of the computation; None leaves it to the backend, which takes the processor's cores.
        sequences: the most answers that are written at the same time.
        queue: the most that may wait for it.
        cache_tokens: how many tokens' keys and values are kept; None takes eight contexts, or what a quarter of the
            memory has room for.
        step_tokens: the most tokens that one step computes. More is faster for long prompts, and holds up the others.
        piece_tokens: the most tokens of one prompt that go in at once: see `turns`.
        precision: of the numbers between the layers, and of the cache. At "8-bit", activations become 8-bit integers
            for each multiplication; "32-bit" rounds nothing any further than the weights are. Coarser is faster.
        lookup: whether there is prompt lookup, for which the model is loaded a second time, and so is the cache: at
            once if true, never if false; None loads it when earlier answers say that it pays, and memory allows it.
    """

    threads: int | None = None
    sequences: int = 32
    queue: int = 512
    cache_tokens: int | None = None
    step_tokens: int = 512
    piece_tokens: int = 512
    precision: Precision = "8-bit"
    lookup: bool | None = None


def read_settings(properties: dict[str, Any]) -> Settings:
    """The settings in `properties`.

    Raises:
        RuntimeLoadError: one is unknown, or out of range.
    """
    try:
        settings = msgspec.convert(properties, Settings)
    except msgspec.ValidationError as error:
        raise RuntimeLoadError(f"the properties of the engine are wrong: {error}") from None
    for name in ("threads", "sequences", "queue", "cache_tokens", "step_tokens", "piece_tokens"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise RuntimeLoadError(f"the properties of the engine are wrong: {name} is {value}; it is 1 or more")
    return settings
