"""The command for vLLM, and its process. In place of vLLM, which needs a GPU, stands a program that reads the same
flags and says the same over a socket."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest
from weights import small_models

from mainspring import spec
from mainspring.errors import EngineGoneError, MissingExtraError, RuntimeLoadError
from mainspring.lifecycle.fit import fit
from mainspring.registry import versions
from mainspring.runtimes.language import vllm
from mainspring.runtimes.language.protocol import Delta, Generate, Usage
from mainspring.runtimes.language.vllm import VllmSettings, command, read_settings
from mainspring.serving.engines import commands
from runtimes.language.conftest import read, until

# What `vllm serve --help` lists, of what we use: flag, how many values, and what they may be.
PROGRAM = """\
#!{python}
import argparse, json, os, signal, subprocess, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["serve"])
parser.add_argument("model")
for flag in ("uds", "served-model-name", "revision", "tokenizer", "chat-template", "tool-call-parser"):
    parser.add_argument("--" + flag)
for flag in ("max-model-len", "tensor-parallel-size", "max-num-seqs", "seed", "max-lora-rank"):
    parser.add_argument("--" + flag, type=int)
parser.add_argument("--gpu-memory-utilization", type=float)
parser.add_argument("--dtype", choices=["auto", "bfloat16", "float", "float16", "float32", "half"])
parser.add_argument("--quantization")
parser.add_argument("--kv-cache-dtype")
parser.add_argument("--runner", choices=["auto", "draft", "generate", "pooling"])
parser.add_argument("--lora-modules", nargs="+")
parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
for flag in ("auto-tool-choice", "lora", "prompt-tokens-details"):
    parser.add_argument("--enable-" + flag, action="store_true")
parser.add_argument("--disable-uvicorn-access-log", action="store_true")
arguments = parser.parse_args()
if arguments.model == "too/large":
    sys.exit("torch.OutOfMemoryError: CUDA out of memory")
if arguments.model == "too/slow":
    signal.pause()

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

child = subprocess.Popen(["sleep", "600"])  # as its engine core

async def health(request):
    return JSONResponse({{}})

async def chat(request):
    body = await request.json()
    if body["messages"][0]["content"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    def events():
        for text in (json.dumps(vars(arguments)), body["model"], str(child.pid)):
            yield "data: " + json.dumps({{"choices": [{{"index": 0, "delta": {{"content": text}}}}]}}) + "\\n\\n"
        yield 'data: {{"choices": [{{"index": 0, "delta": {{}}, "finish_reason": "stop"}}]}}\\n\\n'
        yield 'data: {{"choices": [], "usage": {{"prompt_tokens": 3, "completion_tokens": 3}}}}\\n\\ndata: [DONE]\\n\\n'
    return StreamingResponse(events(), media_type="text/event-stream")

async def complete(request):
    body = await request.json()
    word = " " + body["prompt"].split()[0]  # it repeats the first, and is sure of it after 8 words, 24, 40, …
    probabilities = {{"tokens": [word], "token_logprobs": [-0.01 if len(body["prompt"].split()) % 16 == 8 else -2.0]}}
    choice = {{"index": 0, "text": word, "finish_reason": "length", "logprobs": probabilities}}
    def events():
        yield "data: " + json.dumps({{"choices": [choice]}}) + "\\n\\n"
        yield 'data: {{"choices": [], "usage": {{"prompt_tokens": 3, "completion_tokens": 1}}}}\\n\\ndata: [DONE]\\n\\n'
    return StreamingResponse(events(), media_type="text/event-stream")

routes = [
    Route("/health", health),
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/v1/completions", complete, methods=["POST"]),
]
uvicorn.run(Starlette(routes=routes), uds=arguments.uds, log_level="error")
"""
FULL = {
    "max_model_len": 4096,
    "dtype": "half",
    "quantization": "awq",
    "gpu_memory_utilization": 0.5,
    "enable_prefix_caching": False,
    "tensor_parallel_size": 2,
    "max_num_seqs": 64,
    "kv_cache_dtype": "fp8",
    "seed": 7,
    "revision": "abc",
    "tokenizer": "/t",
    "chat_template": "/c.jinja",
    "tool_call_parser": "hermes",
    "lora_modules": {"tone": "/lora/tone", "law-2": "/lora/law"},
    "adapter": "tone",
    "max_lora_rank": 32,
    "embeds": 384,
}
ASKED = Generate(messages=[{"role": "user", "content": "hi"}])


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts the program on the path."""
    path = tmp_path / "bin" / "vllm"
    path.parent.mkdir()
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)


def test_the_command_of_the_defaults():
    assert command("org/model", VllmSettings(max_model_len=2048), Path("/s")) == [
        "vllm",
        "serve",
        "org/model",
        *("--uds", "/s"),
        *("--served-model-name", "model"),
        *("--max-model-len", "2048"),
        *("--dtype", "auto"),
        *("--gpu-memory-utilization", "0.9"),
        "--enable-prefix-caching",
        *("--tensor-parallel-size", "1"),
        *("--kv-cache-dtype", "auto"),
        *("--seed", "0"),
        "--enable-prompt-tokens-details",
        "--disable-uvicorn-access-log",
    ]


def test_every_setting_is_in_the_command():
    found = command("/models/desk/3", read_settings(FULL), Path("/s"))
    text = " ".join(found)
    for words in (
        "vllm serve /models/desk/3 ",
        "--dtype half",
        "--quantization awq",
        "--gpu-memory-utilization 0.5",
        "--no-enable-prefix-caching",
        "--tensor-parallel-size 2",
        "--max-num-seqs 64",
        "--kv-cache-dtype fp8",
        "--seed 7",
        "--revision abc",
        "--tokenizer /t",
        "--chat-template /c.jinja",
        "--tool-call-parser hermes --enable-auto-tool-choice",
        "--enable-lora --max-lora-rank 32 --lora-modules tone=/lora/tone law-2=/lora/law",
        "--runner pooling",
    ):
        assert words in text
    assert set(FULL) | {"start_seconds", "timeout"} == set(VllmSettings.__struct_fields__)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_model_len": 0}, "max_model_len"),
        ({"max_model_len": None}, "max_model_len"),
        ({"dtype": "int3"}, "dtype"),
        ({"quantization": "zip"}, "quantization"),
        ({"gpu_memory_utilization": 0.0}, "gpu_memory_utilization"),
        ({"gpu_memory_utilization": 1.1}, "gpu_memory_utilization"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size"),
        ({"max_lora_rank": 9}, "max_lora_rank"),
        ({"trust_remote_code": True}, "unknown field `trust_remote_code`; there are max_model_len, dtype"),
        ({"lora_modules": {"a=b": "/x"}}, "cannot be the name of an adapter"),
        ({"lora_modules": {"--port": "/x"}}, "cannot be the name of an adapter"),
        ({"adapter": "none"}, "no adapter 'none'"),
    ],
)
def test_settings_out_of_their_range_are_refused(changes, said):
    with pytest.raises(RuntimeLoadError, match=said):
        read_settings(FULL | changes)


@pytest.mark.parametrize("model", ["", "--trust-remote-code", "-q"])
def test_a_model_is_never_taken_for_an_option(model):
    with pytest.raises(RuntimeLoadError, match="is no model"):
        command(model, VllmSettings(max_model_len=8), Path("/s"))


def test_where_there_is_none_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtraError, match="pip install vllm"):
        asyncio.run(vllm.start("m", VllmSettings(max_model_len=8)))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_is_started_asked_and_stopped(program):
    settings = read_settings({name: value for name, value in FULL.items() if name != "embeds"})

    async def task():
        engine = await vllm.start("org/model", settings)
        try:
            assert stat.S_IMODE(engine._folder.stat().st_mode) == 0o700
            pieces = await read(engine.generate(ASKED))
            assert engine.broken is None
        finally:
            await engine.close()
        assert not engine._folder.exists()
        await until(lambda: not alive(int(pieces[2].text)), "what it started to be gone, too")
        return engine, pieces

    engine, pieces = asyncio.run(task())
    assert engine.capabilities.context == 4096
    assert engine.capabilities.tools
    assert engine.info.engine == "vllm"
    assert pieces[1] == Delta(text="tone", tokens=1)  # the adapter is what is asked
    assert pieces[-1] == Usage(3, 3)
    assert '"lora_modules": ["tone=/lora/tone", "law-2=/lora/law"]' in pieces[0].text


def test_a_model_for_it_is_fitted_and_run(program, tmp_path):
    (tmp_path / "small").mkdir()
    small_models.make("smollm 2", tmp_path / "small")
    (tmp_path / "mainspring.toml").write_text(
        '[project]\nname = "talk"\n\n[models.desk]\ntask = "chat"\nbase = "small"\n'
        'engine = "vllm"\nvllm = { dtype = "bfloat16", tool_call_parser = "hermes" }\n'
    )
    project = spec.load(tmp_path)
    [result] = fit(project)
    assert result.outcome == "promoted", result.message
    assert "was not measured" in result.message
    version = versions.load(project.state, "desk", "1")
    assert version.manifest.parameters["properties"] == {
        "max_model_len": 256,  # of the weights
        "dtype": "bfloat16",
        "kv_cache_dtype": "auto",
        "gpu_memory_utilization": 0.9,
        "tensor_parallel_size": 1,
        "tool_call_parser": "hermes",
    }
    golden = version.golden()
    assert len(golden.records) >= 3
    for record, answer in zip(golden.records, golden.answers, strict=True):
        words = record["prompt"].split()
        assert len(words) % 16 == 8  # of the others it is not sure
        assert answer == {"text": f" {words[0]}", "tokens": 1}
    weights = Path(commands.command(project.state, "desk", "1", tmp_path / "s", grace_seconds=1.0)[8])
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert (weights / name).read_bytes() == (tmp_path / "small" / name).read_bytes()


def test_where_vllm_is_not_a_fit_for_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "mainspring.toml").write_text(
        '[project]\nname = "talk"\n\n[models.desk]\ntask = "chat"\nbase = "smollm2-135m-instruct"\nengine = "vllm"\n'
    )
    [result] = fit(spec.load(tmp_path))
    assert result.outcome == "failed"
    assert "pip install vllm, on a machine with a GPU" in result.message


def test_one_that_dies_is_known_to_be_broken(program):
    async def task():
        engine = await vllm.start("org/model", VllmSettings(max_model_len=8))
        try:
            with pytest.raises(EngineGoneError):
                await read(engine.generate(Generate(messages=[{"role": "user", "content": "die"}])))
            await until(lambda: engine.broken, "it to be known")
            return engine.broken
        finally:
            await engine.close()

    assert asyncio.run(task()) == "vLLM ended (signal SIGKILL)"


@pytest.mark.parametrize(
    ("model", "seconds", "said"),
    [("too/large", 20, r"vLLM ended \(exit code 1\) while it loaded"), ("too/slow", 0.5, "not ready within 0.5 s")],
)
def test_one_that_does_not_come_up_says_why(program, model, seconds, said):
    with pytest.raises(RuntimeLoadError, match=said):
        asyncio.run(vllm.start(model, VllmSettings(max_model_len=8, start_seconds=seconds)))
