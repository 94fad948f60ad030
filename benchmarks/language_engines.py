"""How fast does the gateway write, beside llama.cpp's server, vLLM and other engines, and beside the bare runtime?

    python benchmarks/language_engines.py [--rounds 3] [--engines NAME...] [--without NAME...] [--quick] [--out FILE]

One model, SmolLM2-135M-Instruct, in the format of each engine, made of the file that Mainspring serves as `fit` left
it. Each answer is 128 tokens after a prompt of 512, chosen greedily, whether or not the model would have ended before;
no two prompts begin alike, so that no cache of prompts helps. All engines have two threads, and the same two cores as
the client. Servers are asked over HTTP with streams; engines without a server answer in a process of their own
(`language/engine_*.py`), those that batch continuously and those whose batches begin and end together.

In each round each engine is started, asked a few things whose answers are known, asked three prompts one after the
other, then 8 and 32 at once, and stopped; so what else the machine does falls on all alike. Ratios are medians over the
rounds of ratios within a round. Prefill is the prompt's tokens by the time to the first token, decode the further
tokens by the further time, both for one prompt at a time; the total is the new tokens by the time until all answers are
there.

The formats of the weights differ from row to row, and with them what an answer is worth: rows compare what one gets,
not kernels. llama.cpp's server is built from source for this processor (cmake and g++ of Debian, ten minutes); the
other peers are installed into environments of their own under `.benchmarks/language/`, and kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from engines import GATEWAY, LIMIT, MOST_STREAMS, Engine, engines
from gateway import fitted
from model_files import THREADS, ModelFiles, size
from peers import BenchmarkError, pins, prepare, say
from prompts import SURE, Prompt, prompts
from running import Memory, Reply, Running, memory
from serving import hardware

from mainspring.runtimes.language.tokens import Tokenizer

PROMPT_TOKENS = 512
NEW_TOKENS = 128
WARM_TOKENS = 16
SINGLES = 3  # prompts asked one after the other
SURE_TOKENS = 12


@dataclass(frozen=True)
class Work:
    """What an engine is asked in one turn. `together`: prompts that are asked at once, by their number."""

    sure: list[Prompt]
    warm: list[Prompt]
    singles: list[Prompt]
    together: dict[int, list[Prompt]]
    new: int


@dataclass(frozen=True)
class Turn:
    """One engine's turn in a round. Rates are in tokens a second; `total` is by the number of streams."""

    load_seconds: float
    prefill: float
    decode: float
    total: dict[int, float]
    memory: Memory


def work(source: Iterator[Prompt], tokenizer: Tokenizer, streams: list[int], singles: int, new: int) -> Work:
    """A round's, of prompts that no round before had."""
    sure = [Prompt(text, tokenizer.encode(text)) for text in SURE]
    many = {number: list(itertools.islice(source, number)) for number in streams if number > 1}
    return Work(sure, list(itertools.islice(source, 2)), list(itertools.islice(source, singles)), many, new)


def take_turn(engine: Engine, asked: Work) -> Turn:
    start = engine.start(engine.file())
    began = time.perf_counter()
    with start() as running:
        ask(running, asked.sure[:1], 1)
        load_seconds = time.perf_counter() - began
        check(running, asked.sure)
        ask(running, asked.warm, WARM_TOKENS)
        singles = [ask(running, [prompt], asked.new) for prompt in asked.singles]
        total = {1: rate(singles)}
        for number, some in asked.together.items():
            if number <= engine.most_streams:
                total[number] = rate([ask(running, some, asked.new)])
        return Turn(
            load_seconds=load_seconds,
            prefill=statistics.median(PROMPT_TOKENS / reply.first for reply in singles),
            decode=statistics.median((reply.counts[0] - 1) / (reply.last - reply.first) for reply in singles),
            total=total,
            memory=memory(running.pid),
        )


def ask(running: Running, some: list[Prompt], new: int) -> Reply:
    """Answers that are as long as they are to be."""
    reply = running.ask(some, new)
    if set(reply.counts) != {new}:
        raise BenchmarkError(f"answers have {sorted(set(reply.counts))} tokens instead of {new}")
    return reply


def check(running: Running, sure: list[Prompt]) -> None:
    """It goes on as any sane model does."""
    for prompt in sure:
        (text,) = running.ask([prompt], SURE_TOKENS).texts
        if SURE[prompt.text] not in text:
            raise BenchmarkError(f"{prompt.text!r} goes on with {text!r}; expected {SURE[prompt.text]!r} in it")


def rate(replies: list[Reply]) -> float:
    """New tokens a second, of replies one after the other."""
    return sum(sum(reply.counts) for reply in replies) / sum(reply.seconds for reply in replies)


# What is printed ---------------------------------------------------------------------------------------------------


Results = dict[str, list[Turn]]


def spread(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def totals(turns: list[Turn], number: int) -> list[float]:
    return [turn.total[number] for turn in turns if number in turn.total]


def ratios(results: Results, other: str, number: int) -> list[float]:
    """Total tokens a second, the gateway's to another's, within each round."""
    pairs = zip(totals(results[GATEWAY], number), totals(results[other], number), strict=False)
    return [ours / theirs for ours, theirs in pairs]


def best(results: Results, some: list[Engine], number: int) -> str | None:
    """The fastest of them at so many streams."""
    able = [engine.name for engine in some if totals(results.get(engine.name, []), number)]
    return max(able, key=lambda name: statistics.median(totals(results[name], number)), default=None)


def comparisons(results: Results, some: list[Engine], streams: list[int]) -> list[dict[str, Any]]:
    """The gateway beside the bare runtime, the best other engine and the best other server, by number of streams."""
    others = [engine for engine in some if engine.kind in ("library", "server")]
    servers = [engine for engine in others if engine.kind == "server"]
    found = []
    for number in streams if GATEWAY in results else []:
        sides = {
            "bare runtime": LIMIT if LIMIT in results else None,
            "best other engine": best(results, others, number),
            "best other server": best(results, servers, number),
        }
        for side, name in sides.items():
            if name:
                found.append({"streams": number, "side": side, "name": name, "ratios": ratios(results, name, number)})
    return found


def markdown(results: Results, some: list[Engine], streams: list[int]) -> str:
    shown = [engine for engine in some if engine.name in results]
    heads = ["prefill", "decode", *(f"{number} stream{'s'[: number > 1]}" for number in streams)]
    lines = [
        "| tokens/s: median (least to most) | weights | " + " | ".join(heads) + " |",
        "| --- | --- |" + " ---: |" * len(heads),
    ]
    for engine in shown:
        turns = results[engine.name]
        rates = [[turn.prefill for turn in turns], [turn.decode for turn in turns]]
        rates += [totals(turns, number) for number in streams]
        cells = [spread(values) if values else "" for values in rates]
        lines.append(f"| {engine.name} | {engine.weights} | " + " | ".join(cells) + " |")
    heads = ["weights, MB", "start to first answer, s", "peak RSS, MB", "PSS, MB", "processes"]
    lines += ["\n| engine | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for engine in shown:
        turns = results[engine.name]
        peak, pss = (statistics.median(getattr(turn.memory, key) for turn in turns) for key in ("peak_rss", "pss"))
        cells = [f"{size(engine.file()) / 1e6:.0f}", spread([turn.load_seconds for turn in turns], 1)]
        cells += [f"{peak / 1e6:.0f}", f"{pss / 1e6:.0f}", str(turns[-1].memory.processes)]
        lines.append(f"| {engine.name} | " + " | ".join(cells) + " |")
    if GATEWAY in results:
        heads = [f"{number} stream{'s'[: number > 1]}" for number in streams]
        lines += [f"\n| {GATEWAY} / | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
        for engine in shown:
            if engine.name != GATEWAY:
                found = [ratios(results, engine.name, number) for number in streams]
                lines.append(f"| {engine.name} | " + " | ".join(spread(f, 2) if f else "" for f in found) + " |")
    lines.append("")
    for entry in comparisons(results, some, streams):
        number, ratio = entry["streams"], spread(entry["ratios"], 2)
        lines.append(f"- {number} stream{'s'[: number > 1]}: {ratio} of the {entry['side']}, {entry['name']}")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    return hardware() | {
        "libraries": {name: version(name) for name in ("openvino", "openvino-genai", "xllamacpp")},
        "peers": pins(),
    }


# Measuring ---------------------------------------------------------------------------------------------------------


def whole(results: Results, failures: dict[str, str]) -> Results:
    """Those of the engines that have not failed."""
    return {name: turns for name, turns in results.items() if name not in failures}


def write(arguments: argparse.Namespace, results: Results, failures: dict[str, str], everything: list[Engine]) -> None:
    found = {
        "machine": machine(),
        "rounds": max(map(len, results.values()), default=0),
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": arguments.new,
        "failures": failures,
        "weights": {engine.name: engine.weights for engine in everything if engine.name in results},
        "results": {name: [asdict(turn) for turn in turns] for name, turns in results.items()},
        "comparisons": comparisons(results, everything, arguments.streams),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")


def measure(arguments: argparse.Namespace) -> None:
    if len(os.sched_getaffinity(0)) != THREADS:
        raise BenchmarkError(f"this is for {THREADS} cores: run it under `taskset --cpu-list 0-{THREADS - 1}`")
    version_ = fitted()
    gguf = version_.file("model.gguf")
    tokenizer = Tokenizer.from_gguf(gguf)
    everything = engines(version_, ModelFiles(gguf), tokenizer)
    names = [engine.name for engine in everything]
    if unknown := {*(arguments.engines or ()), *arguments.without} - set(names):
        raise BenchmarkError(f"no engine {'; '.join(sorted(unknown))}; there are: {'; '.join(names)}")
    wanted = set(arguments.engines or names) - set(arguments.without)
    chosen = [engine for engine in everything if engine.name in wanted]
    for peer in dict.fromkeys(peer for engine in chosen for peer in engine.needs):
        prepare(peer)
    for engine in chosen:
        engine.file()
    source = prompts(tokenizer, PROMPT_TOKENS)
    results: Results = {engine.name: [] for engine in chosen}
    failures: dict[str, str] = {}
    for number in range(arguments.rounds):
        asked = work(source, tokenizer, arguments.streams, arguments.singles, arguments.new)
        shift = number % len(chosen)  # nobody is always first
        for engine in chosen[shift:] + chosen[:shift]:
            if engine.name in failures:
                continue
            say(f"round {number + 1}: {engine.name}")
            try:
                results[engine.name].append(take_turn(engine, asked))
            except BenchmarkError as error:  # the others are still worth their time
                failures[engine.name] = str(error)
                say(f"{engine.name} failed: {error}")
        if arguments.out:  # after each round, for a run is long
            write(arguments, whole(results, failures), failures, everything)
    print(markdown(whole(results, failures), everything, arguments.streams))
    if failures:
        raise BenchmarkError("\n".join(f"{name} failed: {error}" for name, error in failures.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help="all but these")
    parser.add_argument(
        "--streams", nargs="+", type=int, default=[1, 8, MOST_STREAMS], help=f"1 to {MOST_STREAMS} prompts at once"
    )
    parser.add_argument("--quick", action="store_true", help="16 new tokens, 1 and 8 streams: to see that it runs")
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    arguments.singles, arguments.new = SINGLES, NEW_TOKENS
    if arguments.quick:
        arguments.rounds, arguments.singles, arguments.new, arguments.streams = 1, 1, 16, [1, 8]
    try:
        measure(arguments)
    except BenchmarkError as error:
        sys.exit(f"benchmarks/language_engines.py: {error}")


if __name__ == "__main__":
    main()
