"""vLLM on a GPU behind Mainspring: what does the gateway cost, and what happens when vLLM is killed?

    python benchmarks/language_gpu.py [--rounds 3] [--streams 1 8 32 128] [--out FILE]

For a machine with a GPU and vLLM. `mainspring fit` of a chat model with `engine = "vllm"`, then `mainspring serve`. The
same vLLM process is asked through the gateway, over HTTP, and at its own Unix socket, in turn: answers of 128 tokens
after prompts of 512, greedily, no two of which begin alike. Ratios are medians over the rounds of ratios within a
round. Then vLLM's process is killed, and the next answer waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from asking import ask, ask_all
from gateway import BASE, MODEL, Gateway, fitted, gateway
from peers import WORK, BenchmarkError, say
from prompts import SURE, Prompt, prompts

from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights import resolve

FOLDER = WORK / "gpu"
PROMPT_TOKENS, NEW_TOKENS, WARM_TOKENS = 512, 128, 16
_BACK_SECONDS = 300.0


class Side:
    """One of the two ways to the same vLLM. `socket` is its own; None is the gateway's."""

    def __init__(self, url: str, model: str, socket: Path | None = None) -> None:
        self.url, self.model, self.socket = url, model, socket

    def ask(self, texts: list[str], new: int) -> tuple[float, list[str]]:
        """Seconds until all the answers of `new` tokens were there, and their texts."""
        same = {"model": self.model, "max_tokens": new, "temperature": 0, "ignore_eos": True}
        bodies = [same | {"prompt": text} for text in texts]
        began = time.perf_counter()
        answers = asyncio.run(ask_all(self.url, bodies, self.socket))
        seconds = time.perf_counter() - began
        for answer in answers:
            if answer.status != 200 or answer.error or answer.tokens != new:
                raise BenchmarkError(f"{self.url} answered {answer.status}: {answer.error or answer.usage}")
        return seconds, [answer.text for answer in answers]


def own_socket() -> Path:
    """vLLM's own; BenchmarkError if there is not exactly one."""
    found = list(Path(tempfile.gettempdir()).glob("mainspring-vllm-*/vllm.sock"))
    if len(found) != 1:
        raise BenchmarkError(f"expected one vLLM of Mainspring's on this machine, found {len(found)}")
    return found[0]


def measure(sides: dict[str, Side], source: Iterator[Prompt], streams: list[int], rounds: int) -> list[dict[str, Any]]:
    """Tokens a second of each side in each round, by how many are asked at once."""
    found = []
    for number in streams:
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for round_ in range(rounds + 1):
            for name in sorted(sides, reverse=bool(round_ % 2)):  # each is first every other time
                texts = [prompt.text for prompt in itertools.islice(source, number)]
                seconds, _ = sides[name].ask(texts, NEW_TOKENS)
                if round_:  # the first one compiles
                    rates[name].append(number * NEW_TOKENS / seconds)
        ratios = [ours / bare for ours, bare in zip(rates["gateway"], rates["vLLM"], strict=True)]
        found.append({"streams": number, "rates": rates, "ratios": ratios})
        say(f"{number} streams: {statistics.median(ratios):.2f}")
    return found


def killed(running: Gateway) -> dict[str, Any]:
    """vLLM's process is killed while it answers; how that ends, and when the next answer is whole."""

    async def task() -> dict[str, Any]:
        body = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 2000, "temperature": 0, "ignore_eos": True}
        asked = asyncio.create_task(ask(running.completions, body))
        await asyncio.sleep(0.5)
        for pid in vllm_pids():
            os.kill(pid, signal.SIGKILL)
        began = time.perf_counter()
        torn = await asked
        told = time.perf_counter() - began
        refusals: dict[str, int] = {}
        while time.perf_counter() - began < _BACK_SECONDS:
            answer = await ask(running.completions, body | {"max_tokens": 8})
            if answer.status == 200 and not answer.error:
                back = time.perf_counter() - began
                return {"told": torn.error, "told_seconds": told, "back_seconds": back, "refusals": refusals}
            refusals[str(answer.error)[:200]] = refusals.get(str(answer.error)[:200], 0) + 1
            await asyncio.sleep(0.25)
        raise BenchmarkError(f"vLLM is not back after {_BACK_SECONDS:g} s: {refusals}")

    return asyncio.run(task())


def vllm_pids() -> list[int]:
    """The processes of `vllm serve`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"serve" in words and b"--uds" in words:
                found.append(int(entry.name))
    return found


def markdown(found: list[dict[str, Any]]) -> str:
    lines = ["| streams | vLLM alone, tok/s | gateway, tok/s | ratio |", "| ---: | ---: | ---: | ---: |"]
    for row in found:
        bare, ours = (statistics.median(row["rates"][name]) for name in ("vLLM", "gateway"))
        ratio = f"{statistics.median(row['ratios']):.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})"
        lines.append(f"| {row['streams']} | {bare:,.0f} | {ours:,.0f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    options = parser.parse_args()
    text = f'[models.{MODEL}]\ntask = "chat"\nbase = {json.dumps(BASE)}\nengine = "vllm"\n'
    began = time.perf_counter()
    fitted(text, FOLDER)
    say(f"fitted after {time.perf_counter() - began:.1f} s")
    weights = resolve(BASE, FOLDER)
    source = prompts(Tokenizer.from_gguf(weights.path), PROMPT_TOKENS)
    began = time.perf_counter()
    with gateway(FOLDER) as running:
        ready = time.perf_counter() - began
        say(f"ready after {ready:.1f} s")
        sides = {
            "gateway": Side(running.completions, MODEL),
            "vLLM": Side("http://vllm/v1/completions", "model", own_socket()),
        }
        for prompt, expected in SURE.items():
            said = {name: side.ask([prompt], 12)[1][0] for name, side in sides.items()}
            if len(set(said.values())) != 1 or expected not in said["gateway"]:
                raise BenchmarkError(f"{prompt!r} goes on with {said}")
        found = measure(sides, source, options.streams, options.rounds)
        print(markdown(found))
        gone = killed(running)
        print(f"\nkilled: {json.dumps(gone)}")
    if options.out:
        card = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
        told = {"gpu": card.stdout.strip(), "vllm": version("vllm"), "ready_seconds": ready, "killed": gone}
        options.out.write_text(json.dumps(told | {"results": found}, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"benchmarks/language_gpu.py: {error}")
