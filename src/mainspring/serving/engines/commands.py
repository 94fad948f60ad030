"""What is run for a version: read from its manifest.

parameters.engine      files                        what runs
openvino, llamacpp     model.gguf                   the engine, in the process itself
onnx                   the encoder's                the encoder, likewise
remote                 remote.json                  what asks the endpoint
vllm                   weights/                     vLLM beside, and what asks it
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from mainspring.errors import RegistryError
from mainspring.registry import versions
from mainspring.registry.versions import Version

GGUF = "model.gguf"
REMOTE = "remote.json"
WEIGHTS = "weights"


def command(state: Path, model: str, version: str, socket: Path, *, grace_seconds: float) -> list[str]:
    """What to run for the engine of a version, whose files are verified first.

    Raises:
        RegistryError: a file is missing or damaged, or the manifest does not say what to run.
    """
    found = versions.load(state, model, version)
    found.verify()
    program = [sys.executable, "-m", "mainspring.runtimes.language"]
    return [*program, "--socket", str(socket), "--grace", f"{grace_seconds:g}", *_arguments(found)]


def _arguments(version: Version) -> list[str]:
    parameters = version.manifest.parameters
    engine = parameters.get("engine")
    properties = ["--properties", msgspec.json.encode(parameters.get("properties", {})).decode()]
    match engine:
        case "openvino" | "llamacpp":
            return ["--gguf", str(version.file(GGUF)), "--engine", engine, *properties]
        case "onnx":
            return ["--embedding", str(version.folder)]
        case "remote":
            return ["--remote", str(version.file(REMOTE))]
        case "vllm":
            return ["--vllm", str(version.folder / WEIGHTS), *properties]
    raise RegistryError(
        f"the manifest of version {version.name} of {version.manifest.model} names the engine {engine!r}; there are "
        "openvino, llamacpp, onnx, remote and vllm: restore it, or fit the model again"
    )
