"""Identifiers that sort by time: UUID version 7 (RFC 9562), which Python 3.11 does not make yet.

A prediction id is one of these. Row k of a request with several records has the id `<id>-<k>`, with k from 0.
"""

from __future__ import annotations

import random
import time

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_RANDOM = ((1 << 76) - 1) & ~(0b11 << 62)  # the 74 bits that are neither time nor version nor variant


def new_id() -> str:
    """A new identifier: 48 bits of milliseconds since 1970, then 74 random bits."""
    # Ids are no secrets, and the random module seeds itself from the system, also after a fork.
    bits = time.time_ns() // 1_000_000 << 80 | _VERSION_AND_VARIANT | (random.getrandbits(76) & _RANDOM)
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
