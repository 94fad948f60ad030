"""How an encoder computes many texts the fastest on this machine: it is tried, shortly, and the result is kept.

What is fastest depends on the processor and on how long the texts are, so that some of the texts at hand are computed
in each way. All ways give the same vectors within the gate that the embedder has passed (see
`tasks.language.build_encoder`), so that the choice is no part of its identity.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np

from mainspring.files import write_atomically
from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings

FEWEST = 1000  # texts for which trying pays
_TRIED = 48  # texts
_ROUNDS = 2  # of which the better counts: others use this machine, too


class Tried(msgspec.Struct, frozen=True):
    """A way to compute, and how many of the texts it did in a second."""

    settings: BulkSettings
    rate: float


class Choice(msgspec.Struct, frozen=True):
    """The fastest way on `machine`, and all that were tried, fastest first; none, where there were too few texts."""

    machine: str
    settings: BulkSettings
    tried: list[Tried] = []


def choose(folder: Path, texts: Sequence[np.ndarray], kept: Path) -> Choice:
    """How the encoder in `folder` is to compute `texts`, given as tokens.

    Args:
        folder: the embedder's.
        texts: those that are to be computed.
        kept: the file that has the choice, once it was made.
    """
    machine = _machine()
    try:
        known = msgspec.json.decode(kept.read_bytes(), type=Choice)
        if known.machine == machine:
            return known
    except (OSError, msgspec.DecodeError):
        pass
    cores = os.cpu_count() or 1
    usual = BulkSettings(streams=cores)
    if len(texts) < FEWEST:
        return Choice(machine, usual)
    by_length = sorted(texts, key=len)
    sample = [by_length[at] for at in np.linspace(0, len(by_length) - 1, _TRIED).astype(int)]
    ways = [usual, BulkSettings(streams=cores, exact=True)]
    if cores > 1:
        ways += [BulkSettings(streams=1), BulkSettings(streams=cores // 2)] if cores > 3 else [BulkSettings(streams=1)]
    tried = sorted((Tried(way, _rate(folder, way, sample)) for way in ways), key=lambda one: -one.rate)
    choice = Choice(machine, tried[0].settings, tried)
    write_atomically(kept, msgspec.json.format(msgspec.json.encode(choice)))
    return choice


def _rate(folder: Path, settings: BulkSettings, texts: list[np.ndarray]) -> float:
    encoder = BulkEncoder(folder, settings)
    encoder.vectors(texts[:4])
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        encoder.vectors(texts)
        best = min(best, time.perf_counter() - begun)
    return len(texts) / best


def _machine() -> str:
    """What the speed depends on, beside the texts."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    try:
        engine = f"openvino {version('openvino')}"
    except PackageNotFoundError:
        engine = "onnxruntime"
    return f"{processor}, {os.cpu_count() or 1} cores, {engine}"
