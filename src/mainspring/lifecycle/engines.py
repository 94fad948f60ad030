"""The engine of a version: that of the running service, or one that is loaded into this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainspring.errors import EngineGoneError
from mainspring.registry.versions import Version
from mainspring.runtimes.language.client import EngineClient, socket_path
from mainspring.runtimes.language.protocol import Engine


async def engine_of(state: Path, version: Version) -> Engine:
    """The engine of the running service of the project whose state is in `state`, or else one of this process.

    Raises:
        RegistryError: a file of the version is missing or damaged.
        RuntimeLoadError: the engine cannot load it.
        MissingExtraError: the engine is not installed.
    """
    served = EngineClient(socket_path(state, version.manifest.model, version.manifest.version))
    try:
        await served.connect()
        return served
    except EngineGoneError:
        await asyncio.to_thread(version.verify)
        return await open_files(version.folder, version.manifest.parameters)


async def open_files(folder: Path, parameters: Mapping[str, Any]) -> Engine:
    """Load what lies in `folder`, as the manifest's `parameters` say.

    Raises:
        RuntimeLoadError: the engine cannot load it.
        MissingExtraError: the engine is not installed.
    """
    if parameters["engine"] == "vllm":
        from mainspring.runtimes.language import vllm

        return await vllm.start(str(folder / vllm.WEIGHTS), vllm.read_settings(parameters["properties"]))
    return await asyncio.to_thread(_load, folder, parameters)


def _load(folder: Path, parameters: Mapping[str, Any]) -> Engine:
    match parameters["engine"]:
        case "onnx":
            from mainspring.runtimes.language.embedding import load_embedding

            return load_embedding(folder)
        case "remote":
            from mainspring.runtimes.language import remote

            return remote.RemoteEngine(remote.read_settings(folder / "remote.json"))
    from mainspring.runtimes.language.local import load_local

    return load_local(folder / "model.gguf", engine=parameters["engine"], properties=parameters["properties"])
