"""The engines that are compared: what each is called, what it loads, and how it is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import MODEL
from model_files import THREADS, ModelFiles
from peers import HERE, LLAMA_SERVER, WORK, python_of
from running import Start, in_process, mainspring_gateway, over_http

from mainspring.registry.versions import Version
from mainspring.runtimes.language.openvino import PROPERTIES
from mainspring.runtimes.language.settings import Settings, read_settings
from mainspring.runtimes.language.sizes import sizes
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights.gguf import Header, read_header

GATEWAY = "Mainspring's gateway"
LIMIT = "OpenVINO GenAI, the same graph"
MOST_STREAMS = 32
CONTEXT = 768  # tokens of a prompt and its answer, and some more
_BLOCK = 32  # tokens in a block of OpenVINO's cache
_CACHE_BYTES = {"8-bit": 1, "16-bit": 2, "32-bit": 4}


@dataclass(frozen=True)
class Engine:
    """One of them.

    `kind`: "ours"; "limit", the bare runtime that ours stands on; "server", over HTTP; or "library", in process.
    `weights`: their format. `file`: makes what it loads, and gives the path. `needs`: peers to be installed.
    `most_streams`: how many prompts it is asked at the same time at most, where more would take too long.
    """

    name: str
    kind: str
    weights: str
    file: Callable[[], Path]
    start: Callable[[Path], Start]
    needs: tuple[str, ...] = ()
    most_streams: int = MOST_STREAMS


def engines(version: Version, files: ModelFiles, tokenizer: Tokenizer) -> list[Engine]:
    """All of them, for the version that the gateway serves."""
    properties: dict[str, Any] = version.manifest.parameters["properties"]
    served = version.manifest.candidate.split(", ")[1].removesuffix(" weights")

    def plain(script: str, python: str, **settings: Any) -> Callable[[Path], Start]:
        return lambda path: in_process(script, python, settings | {"model": str(path), "threads": THREADS}, tokenizer)

    def openvino(**settings: Any) -> Callable[[Path], Start]:
        own = read_settings(properties)
        same = {"scheduler": _scheduler(own, read_header(files.gguf)), "properties": _openvino(own)}
        return plain("engine_openvino.py", sys.executable, **same, **settings)

    as_fitted = {"engine": version.manifest.parameters["engine"], "properties": properties | {"threads": THREADS}}
    ours = plain("engine_mainspring.py", sys.executable, **as_fitted)
    gguf = str(files.gguf)  # whose tokenizer a graph is used with
    return [
        Engine(GATEWAY, "ours", served, lambda: files.gguf, lambda _: mainspring_gateway),
        Engine("Mainspring's engine, in process", "ours", served, lambda: files.gguf, ours),
        Engine(LIMIT, "limit", served, files.graph, openvino(gguf=gguf)),
        Engine("OpenVINO GenAI, GGUF", "library", "Q8_0", lambda: files.requantized("Q8_0"), openvino()),
        Engine("OpenVINO GenAI, NNCF", "library", "int8", files.int8_graph, openvino(gguf=gguf), ("nncf",)),
        *(
            Engine(f"llama.cpp's server, {type_}", "server", type_, file, llama_server, ("llamacpp",))
            for type_, file in (
                (served, lambda: files.gguf),
                ("Q4_0", lambda: files.requantized("Q4_0")),
                ("Q8_0", lambda: files.requantized("Q8_0")),
            )
        ),
        Engine(f"xllamacpp, {served}", "server", served, lambda: files.gguf, _xllamacpp, most_streams=8),
        Engine("xllamacpp, Q4_0", "server", "Q4_0", lambda: files.requantized("Q4_0"), _xllamacpp, most_streams=8),
        Engine(
            "ONNX Runtime GenAI",
            "library",
            "int4",
            files.ortgenai,
            plain("engine_ortgenai.py", python_of("ortgenai")),
            ("ortgenai",),
        ),
        Engine(
            "CTranslate2",
            "library",
            "int8",
            files.ctranslate2,
            plain("engine_ctranslate2.py", python_of("ctranslate2"), compute_type="int8"),
            ("ctranslate2",),
            most_streams=8,
        ),
        Engine(
            "transformers",
            "library",
            "bf16",
            lambda: files.huggingface("BF16"),
            plain("engine_transformers.py", python_of("transformers")),
            ("transformers",),
            most_streams=8,
        ),
        Engine("vLLM", "server", "bf16", lambda: files.huggingface("BF16"), _vllm, ("vllm",)),
    ]


def _openvino(settings: Settings) -> dict[str, Any]:
    return {"INFERENCE_NUM_THREADS": THREADS} | PROPERTIES[settings.precision]


def _scheduler(settings: Settings, header: Header) -> dict[str, Any]:
    """As Mainspring sets it."""
    tokens = sizes(header).cache_tokens(bytes_each=_CACHE_BYTES[settings.precision])
    return {
        "num_kv_blocks": tokens // _BLOCK,
        "max_num_seqs": settings.sequences,
        "max_num_batched_tokens": settings.step_tokens,
        "dynamic_split_fuse": True,
        "enable_prefix_caching": True,
    }


def llama_server(file: Path, context: int = CONTEXT) -> Start:
    """llama.cpp's own server, built on this machine, with a model's file and `context` tokens for each answer."""

    def command(port: int) -> list[str]:
        places = ["-np", str(MOST_STREAMS), "-c", str(MOST_STREAMS * context), "--cache-ram", "0"]
        threads = ["-t", str(THREADS), "-tb", str(THREADS)]
        return [str(LLAMA_SERVER), "-m", str(file), "--host", "127.0.0.1", "--port", str(port), *places, *threads]

    return over_http(f"llama-server-{file.stem}", command)


def _xllamacpp(file: Path) -> Start:
    def command(port: int) -> list[str]:
        given = {"streams": MOST_STREAMS, "context": MOST_STREAMS * CONTEXT, "threads": THREADS}
        given |= {"model": str(file), "port": port}
        return [sys.executable, str(HERE / "server_xllamacpp.py"), json.dumps(given)]

    return over_http(f"xllamacpp-{file.stem}", command)


def _vllm(folder: Path) -> Start:
    def command(port: int) -> list[str]:
        serve = [python_of("vllm"), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        limits = ["--dtype", "bfloat16", "--max-model-len", str(CONTEXT), "--max-num-seqs", str(MOST_STREAMS)]
        return [*serve, *limits, "--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port)]

    environment = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{THREADS - 1}",  # by itself it leaves a core to its own server
        "VLLM_CACHE_ROOT": str(WORK / "vllm/cache"),
        "VLLM_NO_USAGE_STATS": "1",
    }
    return over_http("vllm", command, **environment)
