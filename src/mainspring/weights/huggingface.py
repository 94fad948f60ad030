"""Which files of a Hugging Face repository or folder are taken, and what they are.

Safetensors, JSON, text and templates are data. A pickle (`pytorch_model.bin`, `*.pt`) is a program that runs when it is
loaded, so a repository that has nothing else is refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from mainspring.errors import WeightsError
from mainspring.weights.catalogue import Kind

_TAKEN = ("*.safetensors", "*.json", "*.txt", "*.jinja", "tokenizer.model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# A module of a sentence encoder: 1_Pooling/config.json. Other folders are copies in other formats.
_MODULE = re.compile(r"\d+_\w+/[^/]+")


def choose(names: Iterable[str], what: str) -> tuple[Kind, list[str]]:
    """Of all files of a repository or folder those that make up its weights, and their kind.

    Raises:
        WeightsError: there are none, only pickles, or several GGUF files to choose from.
    """
    names = sorted(names)
    top = [name for name in names if "/" not in name]
    tensors = _matching(top, "*.safetensors")
    if tensors and "config.json" in top:
        taken = _matching([*top, *filter(_MODULE.fullmatch, names)], *_TAKEN)
        if _matching(tensors, "model*.safetensors"):  # Mistral's repositories have the same once more in another layout
            taken = [name for name in taken if not name.startswith("consolidated")]
        return "huggingface", sorted(taken)
    ggufs = _matching(names, "*.gguf")
    if len(ggufs) == 1:
        return "gguf", ggufs
    if ggufs:
        raise WeightsError(f"{what} has {len(ggufs)} GGUF files: name one of them, as in {what}/{ggufs[0]}")
    if tensors:
        raise WeightsError(f"{what} has {tensors[0]} but no config.json, which says what the weights belong to")
    if pickles := _matching(names, *_PICKLES):
        raise WeightsError(
            f"{what} has its weights only as a pickle ({pickles[0]}), which runs whatever code is in it when it is "
            "loaded: take a repository with *.safetensors, or convert it on a machine that may be lost"
        )
    raise WeightsError(f"{what} has no weights: neither config.json with *.safetensors, nor a *.gguf")


def _matching(names: Iterable[str], *patterns: str) -> list[str]:
    return [
        name for name in names if any(fnmatch.fnmatchcase(name.rpartition("/")[2], pattern) for pattern in patterns)
    ]
