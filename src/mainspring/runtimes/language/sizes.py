"""What a model takes, by its GGUF header: its context, and the memory that a token's keys and values need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mainspring.errors import WeightsError
from mainspring.weights.gguf import Header

_CONTEXTS = 8  # that the cache has room for, if there is memory
_SHARE_OF_MEMORY = 4
_SCALE_BYTES = 8  # beside the numbers of a head, if they are rounded to bytes


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model. `head_width` is that of a key and of a value; they are equal in what is read here."""

    architecture: str
    context: int
    layers: int
    key_heads: int
    head_width: int

    def cache_tokens(self, *, bytes_each: int) -> int:
        """For how many tokens there is room, at `bytes_each` for a number, in a fair share of the memory."""
        room = available_memory() // _SHARE_OF_MEMORY // self.cache_bytes(1, bytes_each=bytes_each)
        return max(1, min(room, _CONTEXTS * self.context))

    def cache_bytes(self, tokens: int, *, bytes_each: int) -> int:
        """What the keys and values of `tokens` take, at `bytes_each` for a number."""
        head = self.head_width * bytes_each + (_SCALE_BYTES if bytes_each == 1 else 0)
        return tokens * 2 * self.layers * self.key_heads * head


def sizes(header: Header) -> Sizes:
    """Read them.

    Raises:
        WeightsError: the header does not say.
    """
    name = header.text("general.architecture")
    if name is None:
        raise WeightsError(f"{header.path} does not say which architecture it is of")

    def number(key: str, default: int | None = None) -> int:
        found = header.integer(f"{name}.{key}", default)
        if found is None or found < 1:
            raise WeightsError(f"{header.path}: {name}.{key} must be 1 or more, found {found}")
        return found

    heads = number("attention.head_count")
    return Sizes(
        architecture=name,
        context=number("context_length"),
        layers=number("block_count"),
        key_heads=number("attention.head_count_kv", heads),
        head_width=number("attention.key_length", number("embedding_length") // heads),
    )


def available_memory() -> int:
    """The bytes that this process may still take: of the machine, or of the container it is in."""
    free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        if limit != "max":
            free.append(int(limit) - used)
    except (OSError, ValueError):
        pass  # not Linux, or no such limit
    return max(0, min(free))
