"""Real weights for tests. They come by the way that a user's come: from the cache folder, or fetched into it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mainspring.weights import resolve


@cache
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct, Q4_1: the GGUF file."""
    return resolve("smollm2-135m-instruct", Path()).path


@cache
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2: the Hugging Face folder."""
    return resolve("all-minilm-l6-v2", Path()).path
