"""A language model for vLLM as a version: a Hugging Face folder, what vLLM is told, and proof that it ran here.

vLLM computes what its settings say, and tells only the likeliest of the next tokens: how near it is to 32-bit
arithmetic is not judged. It is started once on the files of the version, and what it is sure of then are the golden
examples, which it has to say again wherever the version is served.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mainspring.errors import WeightsError
from mainspring.evaluation.language import parity_texts
from mainspring.registry.versions import Golden
from mainspring.runtimes.language import vllm
from mainspring.runtimes.language.vllm import WEIGHTS, VllmSettings
from mainspring.spec import LanguageSpec
from mainspring.tasks.built import Built, Say
from mainspring.tasks.language import link, own_golden
from mainspring.weights import Weights
from mainspring.weights.huggingface import choose
from mainspring.weights.json_files import read_object

_STEP = 8  # words between two beginnings of a text


def build_for_vllm(spec: LanguageSpec, weights: Weights, staged: Path, *, say: Say) -> Built:
    """Put the weights into `staged` as a Hugging Face folder, and start vLLM on it once.

    Raises:
        MissingExtraError: there is no vLLM on this machine.
        WeightsError: the weights cannot be read, or do not say how long a text they can read.
        RuntimeLoadError: vLLM ends while it loads, as where there is no GPU, or too little of its memory.
        ParityError: it is sure of hardly anything that it says.
    """
    vllm.program()  # before gigabytes are written
    folder = staged / WEIGHTS
    if weights.kind == "gguf":
        from mainspring.weights.to_huggingface import convert

        say(f"writing {weights.name} as a Hugging Face folder")
        convert(weights.path.resolve(), folder, "BF16")
    else:
        folder.mkdir()
        _, names = choose(os.listdir(weights.path), weights.name)
        for name in names:
            link((weights.path / name).resolve(), folder / name)
    told = spec.vllm.model_dump(exclude_none=True)
    properties: dict[str, Any] = (
        told if "max_model_len" in told else {"max_model_len": _context(folder, weights)} | told
    )
    say("starting vLLM: the first time takes minutes")
    golden = asyncio.run(_golden(folder, vllm.read_settings(properties)))
    return Built(
        candidate=f"vllm, {spec.vllm.quantization or spec.vllm.dtype}",
        parameters={
            "engine": "vllm",
            "properties": properties,
            "why": "mainspring.toml asks for it",
            "weights": weights.name,
        },
        metric="agreement",
        metrics={},
        parity={},
        evidence="vLLM computes as it is told; how near that is to 32-bit arithmetic was not measured",
        golden=golden,
        report={"weights": asdict(weights) | {"path": None}, "context": properties["max_model_len"]},
    )


def _context(folder: Path, weights: Weights) -> int:
    """The most tokens that the weights were taught to read at once."""
    config = read_object(folder / "config.json")
    longest = config.get("text_config", config).get("max_position_embeddings")
    if not isinstance(longest, int) or longest < 1:
        raise WeightsError(f"{weights.name} does not say how many tokens it reads: set `max_model_len` in `vllm`")
    return longest


async def _golden(folder: Path, settings: VllmSettings) -> Golden:
    """Of the texts that parity is measured on elsewhere. It reads text, and so they are cut between words."""
    texts = [text.split() for text in parity_texts().texts]
    engine = await vllm.start(str(folder), settings)
    return await own_golden(
        engine, [[" ".join(text[:cut]) for cut in range(_STEP, len(text), _STEP)] for text in texts]
    )
