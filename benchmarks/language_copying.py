"""What does prompt lookup bring where answers quote their context, and what does it cost where they don't?

    python benchmarks/language_copying.py [--rounds 2] [--questions 8]
        [--arithmetic 8-bit 32-bit] [--streams 1 4] [--control] [--out FILE]

SmolLM2-135M on Mainspring's engine, in this process: greedy answers of 160 tokens over passages of Mainspring's own
documentation. Three applications quote (repeat the text; quote what matters; summarise) and one does not (write a
story); their questions come mixed. One engine has no lookup; the other is as it is by default, and decides by what
earlier answers of the same application quoted. It first answers questions about other passages, to learn from. Then
both are asked the same in turn, each first every other time.

"The same": answers that are equal to the letter. A step over several tokens adds up in another order than a step over
one, and a greedy answer changes where that decides. So where two answers part, the same weights are asked in 32-bit
arithmetic how far apart the two tokens are; in 32-bit arithmetic no answer should change at all. Two things say what is
usual: `--control` has two engines without lookup answer, so that what parts, parts by the steps that several answers
share; and the last column is how far the answers without lookup ever are from what 32-bit arithmetic would have chosen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from gateway import fitted

from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.local import LocalEngine, load_local
from mainspring.runtimes.language.protocol import Delta, Generate, Message, Sampling
from mainspring.runtimes.language.scoring import Scorer
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights.gguf import Header, read_header

DOCS = Path(__file__).resolve().parents[1] / "docs"
TASKS = {
    "repeat": "Repeat the text above word for word.",
    "quote": "Quote the sentences of the text above that matter most, word for word.",
    "summarise": "Summarize the text above.",
    "story (does not quote)": "Write a long story about a dragon who knows nothing of the text above.",
}
PRECISIONS = ("8-bit", "32-bit")
STREAMS = (1, 4)
PASSAGES = 8  # paragraphs of a context
TOKENS = 160
LEARNED_FROM = 3  # texts
LOAD_SECONDS = 5.0


@dataclass(frozen=True)
class Run:
    """`seconds` from the first piece of an answer to the last, in the mean over the streams."""

    text: str
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Line:
    """One application, at one precision and number of streams. Tokens per second are of one stream."""

    precision: str
    task: str
    streams: int
    without: float
    by_default: float
    ratio: float
    least: float
    most: float
    same: int
    answers: int
    widest_gap: float | None
    usual_gap: float


def contexts(number: int) -> list[str]:
    """Passages of plain text."""
    found = []
    for name in ("architecture", "tutorial", "spec", "api"):
        paragraphs = re.split(r"\n\n+", (DOCS / f"{name}.md").read_text())
        found += [text for text in paragraphs if 300 < len(text) < 1000 and not re.search(r"\||```", text)]
    return ["\n\n".join((found * 2)[start : start + PASSAGES]) for start in range(0, 2 * number, 2)]


async def answer(engine: LocalEngine, messages: list[Message]) -> Run:
    """Ask once."""
    request = Generate(messages=messages, sampling=Sampling(temperature=0, max_tokens=TOKENS))
    text, times, tokens = "", list[float](), 0
    async for part in engine.generate(request):
        if isinstance(part, Delta):
            text += part.text
            times.append(time.perf_counter())
        else:
            tokens = part.completion
    return Run(text, tokens, times[-1] - times[0])


Pair: TypeAlias = tuple[list[Message], Run, Run]  # what was asked, and answered without lookup and by default


def asked(task: str, text: str) -> list[Message]:
    """The question of an application about a text."""
    return [{"role": "user", "content": f"{text}\n\n{TASKS[task]}"}]


async def learn(engine: LocalEngine, texts: list[str]) -> None:
    """What its engine learns from; what the first use of lookup loads is there then."""
    for text in texts:
        for task in TASKS:
            await answer(engine, asked(task, text))
    await asyncio.sleep(LOAD_SECONDS)


async def play(plain: LocalEngine, default: LocalEngine, texts: list[str], streams: int) -> dict[str, list[Pair]]:
    """One round: the pairs of answers by application."""
    found: dict[str, list[Pair]] = {task: [] for task in TASKS}
    for number, start in enumerate(range(0, len(texts), streams)):
        for task in TASKS:
            batch = [asked(task, text) for text in texts[start : start + streams]]
            runs = {}
            for engine in (plain, default) if number % 2 else (default, plain):
                runs[engine] = await asyncio.gather(*(answer(engine, messages) for messages in batch))
            found[task] += zip(batch, runs[plain], runs[default], strict=True)
    return found


class Gaps:
    """How far apart two tokens are where two answers part, in 32-bit arithmetic."""

    def __init__(self, scorer: Scorer, header: Header) -> None:
        self._scorer = scorer
        self._tokenizer, self._template = Tokenizer.from_header(header), ChatTemplate.from_header(header)

    def between(self, messages: list[Message], one: str, other: str) -> float:
        """In nats."""
        prompt, tokens = self._prompt(messages), [self._tokenizer.encode(text) for text in (one, other)]
        place = next((i for i, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b), None)
        if place is None:
            return 0.0
        (logprobs,) = self._scorer.logprobs([prompt + tokens[0][:place]], "32-bit")
        last: np.ndarray = logprobs[-1]
        return float(abs(last[tokens[0][place]] - last[tokens[1][place]]))

    def from_exact(self, messages: list[Message], answer: str) -> float:
        """The most nats that a token of an answer is behind the likeliest one."""
        prompt, tokens = self._prompt(messages), self._tokenizer.encode(answer)
        (logprobs,) = self._scorer.logprobs([prompt + tokens], "32-bit")
        said: np.ndarray = logprobs[len(prompt) - 1 : -1]
        return float((said.max(-1) - said[np.arange(len(tokens)), tokens]).max())

    def _prompt(self, messages: list[Message]) -> list[int]:
        assert self._template
        return self._tokenizer.encode(self._template.render(messages), special=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--arithmetic", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--streams", nargs="+", type=int, default=STREAMS)
    parser.add_argument("--control", action="store_true", help="the engine with defaults has no lookup either")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = asyncio.run(measure(fitted().file("model.gguf"), options))
    if options.out:
        options.out.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")


async def measure(gguf: Path, options: argparse.Namespace) -> list[Line]:
    """Play and show everything."""
    texts = contexts(LEARNED_FROM + options.questions)
    lines = []
    print(
        "| arithmetic | application | streams | without, tok/s | default, tok/s | ratio | same | gap where they part "
        "| from 32-bit |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with Scorer(gguf) as scorer:
        gaps = Gaps(scorer, read_header(gguf))
        for precision in options.arithmetic:
            plain = load_local(gguf, properties={"precision": precision, "lookup": False})
            default = load_local(gguf, properties={"precision": precision, "lookup": not options.control})
            await learn(default, texts[:LEARNED_FROM])
            for streams in options.streams:
                played = [await play(plain, default, texts[LEARNED_FROM:], streams) for _ in range(options.rounds)]
                for task in TASKS:
                    lines.append(summary(precision, task, streams, [found[task] for found in played], gaps))
                    show(lines[-1])
            await plain.close()
            await default.close()
    return lines


def summary(precision: str, task: str, streams: int, rounds: list[list[Pair]], gaps: Gaps) -> Line:
    """Medians over the rounds, of medians over the answers."""

    def rate(place: int, pairs: list[Pair]) -> float:
        return statistics.median(
            (pair[place].tokens - 1) / pair[place].seconds for pair in pairs if pair[place].tokens > 9
        )

    without, by_default = ([rate(place, pairs) for pairs in rounds] for place in (1, 2))
    ratios = [default / plain for plain, default in zip(without, by_default, strict=True)]
    pairs = [pair for found in rounds for pair in found]
    parted = [gaps.between(messages, one.text, other.text) for messages, one, other in pairs if one.text != other.text]
    return Line(
        precision,
        task,
        streams,
        statistics.median(without),
        statistics.median(by_default),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        len(pairs) - len(parted),
        len(pairs),
        max(parted) if parted else None,
        max(gaps.from_exact(messages, one.text) for messages, one, _ in rounds[0] if one.text),
    )


def show(line: Line) -> None:
    gap = "" if line.widest_gap is None else f"{line.widest_gap:.2f} nats at most"
    ratio = f"{line.ratio:.2f} ({line.least:.2f} to {line.most:.2f})"
    print(
        f"| {line.precision} | {line.task} | {line.streams} | {line.without:.0f} | {line.by_default:.0f} | {ratio} "
        f"| {line.same} of {line.answers} | {gap} | {line.usual_gap:.2f} nats |",
        flush=True,
    )


if __name__ == "__main__":
    main()
