"""What does prompt lookup bring where answers quote their context, and what does it cost where they don't?

    python benchmarks/language_copying.py [--rounds 3] [--questions 6] [--out FILE]

SmolLM2-135M on Mainspring's engine, in this process: greedy answers of 160 tokens over passages of Mainspring's own
documentation. Three applications quote (repeat the text; quote what matters; summarise) and one does not (write a
story). Each is asked without lookup, and as it is by default, where the engine decides by what earlier answers of the
same application quoted; a few are asked beforehand for it to learn from. Both are asked in turn, on one engine.

"The same": answers that are equal to the letter. A step over several tokens adds up in another order than a step over
one, and a greedy answer changes where that decides. So where two answers part, the same weights are asked in 32-bit
arithmetic how far apart the two tokens are; in 32-bit arithmetic no answer should change at all.
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


def contexts(number: int) -> list[str]:
    """Passages of plain text."""
    found = []
    for name in ("architecture", "tutorial", "spec", "api"):
        paragraphs = re.split(r"\n\n+", (DOCS / f"{name}.md").read_text())
        found += [text for text in paragraphs if 300 < len(text) < 1000 and not re.search(r"\||```", text)]
    return ["\n\n".join((found * 2)[start : start + PASSAGES]) for start in range(0, 2 * number, 2)]


async def answer(engine: LocalEngine, messages: list[Message], lookup: bool | None) -> Run:
    """Ask once."""
    request = Generate(messages=messages, sampling=Sampling(temperature=0, max_tokens=TOKENS), lookup=lookup)
    text, times, tokens = "", list[float](), 0
    async for part in engine.generate(request):
        if isinstance(part, Delta):
            text += part.text
            times.append(time.perf_counter())
        else:
            tokens = part.completion
    return Run(text, tokens, times[-1] - times[0])


async def measure(
    engine: LocalEngine, task: str, streams: int, rounds: int, texts: list[str]
) -> list[tuple[float, float, list[tuple[list[Message], Run, Run]]]]:
    """In each round, all questions without lookup and by default: tokens a second of both, and the pairs of answers."""
    asked: list[list[Message]] = [[{"role": "user", "content": f"{text}\n\n{TASKS[task]}"}] for text in texts]
    for messages in asked[:4]:  # to learn from; and both caches have the contexts then
        await answer(engine, messages, None)
    await asyncio.sleep(LOAD_SECONDS)  # what the first use of lookup loads is there then
    found = []
    for _ in range(rounds):
        pairs = []
        rates: dict[bool | None, list[float]] = {False: [], None: []}
        for start in range(0, len(asked), streams):
            batch = asked[start : start + streams]
            runs = {}
            for lookup in (False, None):
                runs[lookup] = await asyncio.gather(*(answer(engine, messages, lookup) for messages in batch))
                rates[lookup] += [(run.tokens - 1) / run.seconds for run in runs[lookup] if run.tokens > 1]
            pairs += list(zip(batch, runs[False], runs[None], strict=True))
        found.append((statistics.median(rates[False]), statistics.median(rates[None]), pairs))
    return found


class Gaps:
    """How far apart two tokens are where two answers part, in 32-bit arithmetic."""

    def __init__(self, scorer: Scorer, header: Header) -> None:
        self._scorer = scorer
        self._tokenizer, self._template = Tokenizer.from_header(header), ChatTemplate.from_header(header)

    def between(self, messages: list[Message], one: str, other: str) -> float:
        """In nats."""
        assert self._template
        prompt = self._tokenizer.encode(self._template.render(messages), special=True)
        tokens = [self._tokenizer.encode(text) for text in (one, other)]
        place = next((i for i, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b), None)
        if place is None:
            return 0.0
        (logprobs,) = self._scorer.logprobs([prompt + tokens[0][:place]], "32-bit")
        last: np.ndarray = logprobs[-1]
        return float(abs(last[tokens[0][place]] - last[tokens[1][place]]))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gguf = fitted().file("model.gguf")
    texts = contexts(options.questions)
    lines = []
    print(
        "| arithmetic | application | streams | without, tok/s | default, tok/s | ratio | same | gap where they part |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with Scorer(gguf) as scorer:
        gaps = Gaps(scorer, read_header(gguf))
        for precision in PRECISIONS:
            engine = load_local(gguf, properties={"precision": precision})
            for task in TASKS:
                for streams in STREAMS:
                    found = await measure(engine, task, streams, options.rounds, texts)
                    lines.append(summary(precision, task, streams, found, gaps))
                    show(lines[-1])
            await engine.close()
    if options.out:
        options.out.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n")


def summary(
    precision: str,
    task: str,
    streams: int,
    found: list[tuple[float, float, list[tuple[list[Message], Run, Run]]]],
    gaps: Gaps,
) -> Line:
    """Medians over the rounds."""
    ratios = [default / without for without, default, _ in found]
    pairs = [pair for *_, pairs in found for pair in pairs]
    parted = [gaps.between(asked, one.text, other.text) for asked, one, other in pairs if one.text != other.text]
    return Line(
        precision,
        task,
        streams,
        statistics.median(without for without, _, _ in found),
        statistics.median(default for _, default, _ in found),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        len(pairs) - len(parted),
        len(pairs),
        max(parted) if parted else None,
    )


def show(line: Line) -> None:
    gap = "" if line.widest_gap is None else f"{line.widest_gap:.2f} nats at most"
    ratio = f"{line.ratio:.2f} ({line.least:.2f} to {line.most:.2f})"
    print(
        f"| {line.precision} | {line.task} | {line.streams} | {line.without:.0f} | {line.by_default:.0f} | {ratio} "
        f"| {line.same} of {line.answers} | {gap} |",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
