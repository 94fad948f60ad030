"""Who waits for whom, and what breaks when an engine breaks?

    python benchmarks/language_faults.py [--rounds 3] [--parts flood leaving killed] [--out FILE]

Mainspring's gateway with two models, SmolLM2-135M (`desk`) and all-MiniLM-L6-v2 (`vectors`), each in an engine of its
own:

    flood    short questions alone, and while 24 prompts of 1,500 tokens with answers of 200 are under way or waiting:
             the time to the first token. The same on llama.cpp's server, where it is built (`language_engines.py`
             builds it): 32 slots, continuous batching.
    leaving  24 clients ask for 1,000 tokens each and are gone after a second: how soon nothing runs any more, and
             whether the next question is as fast as before.
    killed   eight clients ask `desk` without end, one asks `vectors`; then SIGKILL of `desk`'s engine. What became of
             every request, how soon `desk` answers again, and what `vectors` noticed of it.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from asking import Answer, ask
from engines import llama_server
from gateway import BASE, MODEL, Gateway, engine_pids, fitted, gateway
from peers import LLAMA_SERVER, WORK
from prompts import Prompt, prompts

from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights.gguf import read_header

FOLDER = WORK / "faults"
SPEC = f"""[models.{MODEL}]
task = "chat"
base = "{BASE}"

[models.vectors]
task = "embedding"
base = "all-minilm-l6-v2"
"""
FLOOD, LONG_TOKENS, LONG_ANSWER = 24, 1500, 200
SHORT_TOKENS, SHORT_ANSWER, SHORTS = 30, 16, 10
LEAVING, LEAVE_AFTER = 24, 1.0
CLIENTS, BEFORE_KILL, AFTER_KILL = 8, 3.0, 15.0
PARTS = ("flood", "leaving", "killed")
GAUGES = tuple(f'mainspring_generations_{state}{{model="{MODEL}"' for state in ("running", "waiting"))


class Texts:
    """Prompts that nobody has seen."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.long: Iterator[Prompt] = prompts(tokenizer, LONG_TOKENS)
        self.short: Iterator[Prompt] = prompts(tokenizer, SHORT_TOKENS)


def body(prompt: Prompt, tokens: int) -> dict[str, Any]:
    """A request for exactly so many tokens."""
    return {"model": MODEL, "prompt": prompt.text, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}


def sound(answer: Answer) -> Answer:
    """The answer, which must be one."""
    if answer.status != 200 or answer.error:
        raise SystemExit(f"answered {answer.status}: {answer.error}")
    return answer


async def shorts(url: str, texts: Texts) -> list[float]:
    """Short questions, one every half second: seconds to the first token of each."""
    tasks = []
    for _ in range(SHORTS):
        tasks.append(asyncio.create_task(ask(url, body(next(texts.short), SHORT_ANSWER))))
        await asyncio.sleep(0.5)
    return [sound(answer).first for answer in await asyncio.gather(*tasks)]


async def flood(url: str, texts: Texts) -> dict[str, Any]:
    """See above."""
    await shorts(url, texts)
    alone = await shorts(url, texts)
    began = time.perf_counter()
    long = [asyncio.create_task(ask(url, body(next(texts.long), LONG_ANSWER))) for _ in range(FLOOD)]
    await asyncio.sleep(1.0)
    beside = await shorts(url, texts)
    finished = [sound(answer) for answer in await asyncio.gather(*long)]
    return {
        "alone": statistics.median(alone),
        "beside": statistics.median(beside),
        "beside_slowest": max(beside),
        "flood_seconds": time.perf_counter() - began,
        "flood_first": statistics.median(answer.first for answer in finished),
    }


async def leaving(service: Gateway, texts: Texts) -> dict[str, Any]:
    """See above."""
    before = sound(await ask(service.completions, body(next(texts.short), SHORT_ANSWER))).first
    gone = [ask(service.completions, body(next(texts.short), 1000), leave_after=LEAVE_AFTER) for _ in range(LEAVING)]
    left = await asyncio.gather(*gone)
    began = time.perf_counter()
    while sum(value for name, value in service.metrics().items() if name.startswith(GAUGES)):
        await asyncio.sleep(0.01)
    idle = time.perf_counter() - began
    after = sound(await ask(service.completions, body(next(texts.short), SHORT_ANSWER))).first
    return {"left": sum(answer.error == "left" for answer in left), "idle": idle, "before": before, "after": after}


async def killed(service: Gateway, texts: Texts) -> dict[str, Any]:
    """See above."""
    outcomes: collections.Counter[str] = collections.Counter()
    good: list[float] = []  # when answers ended
    vectors: list[tuple[float, float, int]] = []  # when asked, seconds, status
    ending = asyncio.Event()

    async def client() -> None:
        while not ending.is_set():
            answer = await ask(service.completions, body(next(texts.short), 64))
            outcomes[told(answer)] += 1
            if answer.status == 200 and not answer.error:
                good.append(time.perf_counter())
            else:
                await asyncio.sleep(0.1)

    async def other() -> None:
        while not ending.is_set():
            began = time.perf_counter()
            status = await asyncio.to_thread(embed, service)
            vectors.append((began, time.perf_counter() - began, status))
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(client()) for _ in range(CLIENTS)] + [asyncio.create_task(other())]
    await asyncio.sleep(BEFORE_KILL)
    kill = time.perf_counter()
    os.kill(engine_pids(FOLDER)[MODEL], signal.SIGKILL)
    await asyncio.sleep(AFTER_KILL)
    ending.set()
    await asyncio.gather(*tasks)
    again = min((when for when in good if when > kill + 0.2), default=float("inf")) - kill
    return {
        "outcomes": dict(outcomes),
        "again": again,
        "vectors_failed": sum(status != 200 for *_, status in vectors),
        "vectors_before": max(seconds for began, seconds, _ in vectors if began + seconds < kill),
        "vectors_after": max(seconds for began, seconds, _ in vectors if began + seconds >= kill),
        "vectors_answers": len(vectors),
    }


def told(answer: Answer) -> str:
    """What became of a request, in words."""
    if answer.error is None:
        return "answered"
    with contextlib.suppress(ValueError):
        error = json.loads(answer.error)
        message = error.get("error", error).get("message", answer.error)
        return f"{answer.status}, {'then ' if answer.times else ''}error: {message}"
    return f"TORN after {answer.status}: {answer.error}"


def embed(service: Gateway) -> int:
    """The status of a request to the other model."""
    payload = json.dumps({"model": "vectors", "input": "How soon is the engine back?"}).encode()
    request = urllib.request.Request(f"{service.url}/embeddings", payload, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            response.read()
            return int(response.status)
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gguf = fitted(SPEC, FOLDER).file("model.gguf")
    texts = Texts(Tokenizer.from_header(read_header(gguf)))
    found: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for _ in range(options.rounds):
        with gateway(FOLDER) as service:
            if "flood" in options.parts:
                found["Mainspring"].append(asyncio.run(flood(service.completions, texts)))
            if "leaving" in options.parts:
                found["leaving"].append(asyncio.run(leaving(service, texts)))
            if "killed" in options.parts:
                found["killed"].append(asyncio.run(killed(service, texts)))
        if "flood" in options.parts and LLAMA_SERVER.exists():
            with llama_server(gguf, LONG_TOKENS + LONG_ANSWER + 64)() as peer:
                found["llama.cpp's server"].append(asyncio.run(flood(peer.url, texts)))
        if options.out:
            options.out.write_text(json.dumps(found, indent=2) + "\n")
    show(found)


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """Medians over the rounds, as Markdown; of the parts that were run."""
    if "Mainspring" in found:
        show_flood(found)
    if "leaving" in found:
        show_leaving(found["leaving"])
    if "killed" in found:
        show_killed(found["killed"])


def median(rounds: list[dict[str, Any]], key: str) -> float:
    """Of one figure, over the rounds."""
    return statistics.median(each[key] for each in rounds)


def show_flood(found: dict[str, list[dict[str, Any]]]) -> None:
    """A row for each of the two servers."""
    print("| short questions: first token, s | alone | beside the flood | the slowest | the flood took |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in ("Mainspring", "llama.cpp's server"):
        if name in found:
            keys = ("alone", "beside", "beside_slowest", "flood_seconds")
            print(f"| {name} | " + " | ".join(f"{median(found[name], key):.2f}" for key in keys) + " |")


def show_leaving(rounds: list[dict[str, Any]]) -> None:
    """How soon nothing ran any more."""
    idle, before, after = (median(rounds, key) for key in ("idle", "before", "after"))
    print(
        f"\nLeaving: of {LEAVING} clients all were gone after {LEAVE_AFTER:.0f} s, and nothing ran {idle:.2f} s later;"
    )
    print(f"the next question's first token came after {after:.3f} s (before: {before:.3f} s).")


def show_killed(rounds: list[dict[str, Any]]) -> None:
    """How soon there was an answer again, and what became of all requests."""
    again = sorted(each["again"] for each in rounds)
    spread = f"{statistics.median(again):.1f} s ({again[0]:.1f} to {again[-1]:.1f})"
    print(f"\nKilled: `desk` had answered again after {spread}. Requests of all {len(rounds)} rounds:")
    outcomes: collections.Counter[str] = collections.Counter()
    for each in rounds:
        outcomes.update(each["outcomes"])
    print(*(f"- {number} × {what}" for what, number in outcomes.most_common()), sep="\n")
    failed, answers = (sum(each[key] for each in rounds) for key in ("vectors_failed", "vectors_answers"))
    before, after = (max(each[key] for each in rounds) for key in ("vectors_before", "vectors_after"))
    print(f"`vectors`: {failed} of {answers} failed; the slowest took {before:.2f} s before, {after:.2f} s after.")


if __name__ == "__main__":
    main()
