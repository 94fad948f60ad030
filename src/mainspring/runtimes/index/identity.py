"""Which embedder an index was made with: vectors of two different ones have nothing to say to each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from mainspring.errors import RuntimeLoadError

DESCRIPTION = "embedder.json"  # beside the embedder's own files: who it is


class Embedder(msgspec.Struct, frozen=True, kw_only=True):
    """The identity that is stamped into an index.

    `revision` is the sha256 of the weights, or, of an endpoint, of its address and model. `width` is that of a vector,
    `context` the most tokens of a text, its special ones among them. The prefixes stand in front of what is embedded,
    as some models want it ("query: "). `precision` is how it is computed. Vectors are of length 1.
    """

    name: str
    revision: str
    width: int
    pooling: str
    context: int
    query_prefix: str = ""
    passage_prefix: str = ""
    precision: str = "float32"

    @property
    def digest(self) -> str:
        """The sha256 of all of it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def must_be(self, other: Embedder) -> None:
        """RuntimeLoadError, with what differs and what to do, unless `other` is the same."""
        if self == other:
            return
        differs = [name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)]
        told = ", ".join(f"{name} {getattr(self, name)!r} and {getattr(other, name)!r}" for name in differs)
        raise RuntimeLoadError(
            f"the index was made with another embedder than the one that would ask it ({told}): fit it again"
        )


class _Described(msgspec.Struct):
    identity: Embedder


def read_embedder(folder: Path) -> Embedder | None:
    """Who the embedder in `folder` is; None, where nothing there says it.

    Raises:
        RuntimeLoadError: what says it is damaged.
    """
    path = folder / DESCRIPTION
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Described).identity if path.is_file() else None
    except (OSError, msgspec.DecodeError) as error:
        raise RuntimeLoadError(f"{path} cannot be read: {error}") from None
