"""vLLM on a GPU as a process of our own, asked through `remote`.

    engine's process ─┬─ RemoteEngine ── Unix socket ──┐
                      └─ vllm serve MODEL --uds … ─────┘

It listens at a Unix socket in a folder of this user alone, and not at a port, which anybody on the machine could ask:
vLLM's own API key guards only a part of its paths.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from mainspring.errors import MissingExtraError, RuntimeLoadError
from mainspring.processes import ending, in_child
from mainspring.runtimes.language.protocol import EngineInfo
from mainspring.runtimes.language.remote import RemoteEngine, RemoteSettings

WEIGHTS = "weights"  # the folder in a version that has the model
_NAME = "model"  # what the model is called between the two
_SOCKET = "vllm.sock"
_POLL_SECONDS = 0.25
_STOP_SECONDS = 20.0
_ADAPTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class VllmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `vllm serve` is told. The names are its own; a setting that is not here is vLLM's default.

    `lora_modules` are adapters, name to folder, and `adapter` is the one that answers; None is the model without any.
    `start_seconds` is how long it may load and compile. `embeds` is the width of the vectors that the model gives.
    """

    max_model_len: _Positive
    dtype: Literal["auto", "bfloat16", "float16", "float32", "half"] = "auto"
    quantization: (
        Literal["awq", "awq_marlin", "gptq", "gptq_marlin", "fp8", "compressed-tensors", "bitsandbytes"] | None
    ) = None
    gpu_memory_utilization: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.9
    enable_prefix_caching: bool = True
    tensor_parallel_size: _Positive = 1
    max_num_seqs: _Positive | None = None
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    revision: str | None = None
    tokenizer: str | None = None
    chat_template: str | None = None
    tool_call_parser: str | None = None
    lora_modules: dict[str, str] = {}
    adapter: str | None = None
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = 16
    embeds: _Positive | None = None
    start_seconds: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 120.0


def read_settings(properties: dict[str, Any]) -> VllmSettings:
    """The settings in a version's properties.

    Raises:
        RuntimeLoadError: one is unknown, or out of its range.
    """
    try:
        settings = msgspec.convert(properties, VllmSettings)
    except msgspec.ValidationError as error:
        known = ", ".join(VllmSettings.__struct_fields__)
        raise RuntimeLoadError(f"vLLM cannot be told this: {error}; there are {known}") from None
    for name in settings.lora_modules:
        if not _ADAPTER.fullmatch(name):
            raise RuntimeLoadError(f"{name!r} cannot be the name of an adapter: letters, digits, '.', '_' and '-' can")
    if settings.adapter is not None and settings.adapter not in settings.lora_modules:
        raise RuntimeLoadError(f"there is no adapter {settings.adapter!r} among lora_modules")
    return settings


def command(model: str, settings: VllmSettings, socket: Path) -> list[str]:
    """`vllm serve MODEL …`: a server of OpenAI's API at `socket`.

    Raises:
        RuntimeLoadError: `model` would be taken for an option.
    """
    if model.startswith("-") or not model:
        raise RuntimeLoadError(f"{model!r} is no model: expected a folder, or a hub id such as org/name")
    words = ["serve", model, "--uds", str(socket), "--served-model-name", _NAME]
    for name, flag in _FLAGS.items():
        words += flag(f"--{name.replace('_', '-')}", getattr(settings, name))
    if settings.tool_call_parser is not None:
        words.append("--enable-auto-tool-choice")
    if settings.lora_modules:
        words += ["--enable-lora", "--max-lora-rank", str(settings.max_lora_rank), "--lora-modules"]
        words += [f"{name}={folder}" for name, folder in settings.lora_modules.items()]
    if settings.embeds is not None:
        words += ["--runner", "pooling"]
    return ["vllm", *words, "--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]


def _value(flag: str, value: object) -> list[str]:
    return [] if value is None else [flag, str(value)]


def _switch(flag: str, value: object) -> list[str]:
    return [flag if value else flag.replace("--", "--no-", 1)]


_FLAGS: Mapping[str, Callable[[str, object], list[str]]] = {
    "max_model_len": _value,
    "dtype": _value,
    "quantization": _value,
    "gpu_memory_utilization": _value,
    "enable_prefix_caching": _switch,
    "tensor_parallel_size": _value,
    "max_num_seqs": _value,
    "kv_cache_dtype": _value,
    "seed": _value,
    "revision": _value,
    "tokenizer": _value,
    "chat_template": _value,
    "tool_call_parser": _value,
}


async def start(model: str, settings: VllmSettings) -> VllmEngine:
    """Start vLLM, and return what asks it once it answers.

    Raises:
        MissingExtraError: there is no vLLM.
        RuntimeLoadError: it ends while it loads, or takes too long for it.
    """
    vllm = program()
    folder = Path(tempfile.mkdtemp(prefix="mainspring-vllm-"))  # mode 0700
    try:
        words = command(model, settings, folder / _SOCKET)[1:]
        process = await asyncio.create_subprocess_exec(
            vllm,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
            preexec_fn=in_child(),
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1"},
        )
    except BaseException:
        shutil.rmtree(folder)
        raise
    engine = VllmEngine(process, folder, model, settings)
    try:
        await engine.loaded(settings.start_seconds)
    except BaseException:
        await engine.close()
        raise
    return engine


class VllmEngine(RemoteEngine):
    """The model of a vLLM that runs as `process`, with its socket in `folder`. Both go when it is closed."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, model: str, settings: VllmSettings) -> None:
        asked = RemoteSettings(
            url="http://vllm/v1",
            model=settings.adapter or _NAME,
            timeout=settings.timeout,
            context=settings.max_model_len,
            tools=settings.tool_call_parser is not None,
            embeds=settings.embeds,
        )
        detail = f"{model}, {settings.quantization or settings.dtype}"
        super().__init__(asked, EngineInfo("vllm", detail, "the version asks for it"), folder / _SOCKET)
        self._process = process
        self._folder = folder

    @property
    def broken(self) -> str | None:
        """How vLLM ended; None while it runs. This process is then to be started anew."""
        code = self._process.returncode
        return None if code is None else f"vLLM ended ({ending(code)})"

    async def loaded(self, seconds: float) -> None:
        """Wait until it answers.

        Raises:
            RuntimeLoadError: it ended, or did not within so many seconds.
        """
        try:
            async with asyncio.timeout(seconds):
                while not await self.is_there("/health"):
                    if self.broken:
                        raise RuntimeLoadError(f"{self.broken} while it loaded: what it said last tells why")
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise RuntimeLoadError(f"vLLM was not ready within {seconds:g} s: raise start_seconds") from None

    async def close(self) -> None:
        """See `Engine.close`. No process of vLLM's is left, for each holds memory of the GPU."""
        await super().close()
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def program() -> str:
    """vLLM's program: that of this Python, or else the first on the path.

    Raises:
        MissingExtraError: there is none.
    """
    found = shutil.which("vllm", path=str(Path(sys.executable).parent)) or shutil.which("vllm")
    if found is None:
        raise MissingExtraError("this needs vLLM, which is not installed: pip install vllm, on a machine with a GPU")
    return found
