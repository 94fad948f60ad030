"""One engine: `python -m mainspring.runtimes.language --gguf PATH --socket PATH`. The engine room runs one a version.

It answers at the socket once the model is loaded, until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from mainspring.errors import MainspringError
from mainspring.runtimes.language.host import serve
from mainspring.runtimes.language.protocol import Engine


def main() -> None:
    """Read the arguments, load the engine, and serve it."""
    parser = argparse.ArgumentParser(prog="python -m mainspring.runtimes.language", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--gguf", type=Path, help="a language model's file")
    which.add_argument("--embedding", type=Path, help="the folder of an encoder that gives vectors")
    which.add_argument("--remote", type=Path, help="a file that says where an endpoint is: see remote.RemoteSettings")
    which.add_argument("--vllm", metavar="MODEL", help="a folder or hub id for vLLM: see vllm.VllmSettings")
    parser.add_argument("--socket", type=Path, required=True, help="where to answer")
    parser.add_argument("--engine", choices=("auto", "openvino", "llamacpp"), default="auto", help="for --gguf")
    parser.add_argument("--properties", type=_properties, default={}, help="the engine's settings, as a JSON object")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds that what is under way has at the end")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(arguments))
    except MainspringError as error:
        sys.exit(f"mainspring: {error}")


async def _run(arguments: argparse.Namespace) -> None:
    await serve(await _load(arguments), arguments.socket, grace_seconds=arguments.grace)


async def _load(arguments: argparse.Namespace) -> Engine:
    if arguments.gguf is not None:
        from mainspring.runtimes.language.local import load_local

        return load_local(arguments.gguf, engine=arguments.engine, properties=arguments.properties)
    if arguments.embedding is not None:
        from mainspring.runtimes.language.embedding import load_embedding

        return load_embedding(arguments.embedding, properties=arguments.properties)
    if arguments.remote is not None:
        from mainspring.runtimes.language import remote

        return remote.RemoteEngine(remote.read_settings(arguments.remote))
    from mainspring.runtimes.language import vllm

    return await vllm.start(arguments.vllm, vllm.read_settings(arguments.properties))


def _properties(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"not a JSON object: {error}") from None


main()
