"""An encoder as a version: an ONNX graph, and the proof that its vectors are those of its weights."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mainspring.errors import ContextError, ParityError, WeightsError
from mainspring.evaluation.language import parity_texts
from mainspring.evaluation.vector_parity import LEAST_COSINE, VectorParity
from mainspring.registry.versions import Golden
from mainspring.runtimes.language.embedding import EmbeddingEngine, load_embedding
from mainspring.tasks.built import Built, Say
from mainspring.tasks.export_encoder import export_encoder
from mainspring.weights import Weights

_WORDS = 30  # of a text, at most


def build_encoder(weights: Weights, staged: Path, *, say: Say) -> Built:
    """Write the encoder into `staged` as an ONNX graph, and see that it is computed as it should be.

    Raises:
        WeightsError: there is no encoder in the weights.
        ParityError: the graph, or the engine that runs it, gives other vectors.
    """
    if weights.kind != "huggingface":
        raise WeightsError(f"{weights.name} is a {weights.kind} file: an embedding model is a Hugging Face folder")
    say(f"exporting {weights.name} as an ONNX graph")
    export_encoder(weights.path, staged)
    exact, served = (load_embedding(staged, properties=each) for each in ({"exact": True}, {}))
    texts, expected = asyncio.run(_texts_and_vectors(exact, [text.split() for text in parity_texts().texts]))
    found = asyncio.run(_vectors(served, texts))
    parity = VectorParity.of(expected, found)
    if not parity.passed:
        raise ParityError(f"the engine's vectors differ from 32-bit ones: {parity}")
    cosines = parity.cosines
    figure = {"value": float(cosines.mean()), "low": float(cosines.min()), "high": float(cosines.max())}
    return Built(
        candidate=f"{served.info.engine}, {expected.shape[1]} wide",
        parameters={"engine": "onnx", "properties": {}, "why": served.info.why, "weights": weights.name},
        metric="cosine",
        metrics={"cosine": figure | {"method": "least and greatest of the texts"}},
        parity={"passed": True, "cosine": figure, "same_nearest": parity.same},
        evidence=f"vectors as in 32-bit arithmetic: {parity}",
        golden=Golden(
            [{"text": text} for text in texts[:4]],
            [{"vector": row.tolist()} for row in expected[:4]],
            1 - LEAST_COSINE.value,
        ),
        report={
            "weights": asdict(weights) | {"path": None},
            "context": served.capabilities.context,
            "cosines": cosines.tolist(),
        },
    )


async def _texts_and_vectors(engine: EmbeddingEngine, texts: list[list[str]]) -> tuple[list[str], np.ndarray]:
    """Texts, given as words, in pieces of which the longest is one that the model takes; and their vectors."""
    most = _WORDS
    while True:
        some = [" ".join(words[at : at + most]) for words in texts for at in range(0, len(words), most)]
        try:
            vectors, _ = await engine.embed(some)
        except ContextError:
            if most == 1:
                raise
            most //= 2
            continue
        await engine.close()
        return some, vectors


async def _vectors(engine: EmbeddingEngine, texts: list[str]) -> np.ndarray:
    vectors, _ = await engine.embed(texts)
    await engine.close()
    return vectors
