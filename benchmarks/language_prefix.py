"""How soon does an answer begin when the beginning of the prompt is known?

    python benchmarks/language_prefix.py [--rounds 5] [--out FILE]

32 questions about one text of 1,500 tokens, asked through Mainspring's gateway with SmolLM2-135M: the first one meets a
text that nobody has seen ("cold"), the others come one after the other; then all 32 again at once, with other words.
Of another text that nobody has seen, all 32 are asked at once: one computes it, and the others wait for that. Each
round has texts of its own. Told is the time to the first token, as the client sees it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from asking import Answer, ask, ask_all
from gateway import MODEL, Gateway, fitted, gateway
from prompts import Prompt, prompts

from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights.gguf import read_header

TEXT_TOKENS = 1500
REQUESTS = 32
NEW_TOKENS = 16
THINGS = ("the author", "the title", "a number", "a name", "the reason", "a file", "the end", "a rule")
ASKED = tuple(f"{verb} {thing}" for verb in ("Find", "Explain", "Doubt", "Praise") for thing in THINGS)


@dataclass(frozen=True)
class Round:
    """Seconds to the first token. Of many at once: the median one, and the last."""

    cold: float
    after: float
    after_slowest: float
    known_at_once: float
    known_at_once_last: float
    new_at_once: float
    new_at_once_last: float


def bodies(text: Prompt, ending: str) -> list[dict[str, Any]]:
    """The questions about a text."""
    same = {"model": MODEL, "max_tokens": NEW_TOKENS, "temperature": 0}
    return [
        same | {"messages": [{"role": "system", "content": text.text}, {"role": "user", "content": f"{asked}{ending}"}]}
        for asked in ASKED
    ]


async def play(service: Gateway, texts: Iterator[Prompt]) -> Round:
    """One round."""
    first, *others = bodies(known := next(texts), ".")
    cold = (await answered(ask(service.chat, first))).first
    after = [(await answered(ask(service.chat, body))).first for body in others]
    known_at_once = sorted(answer.first for answer in await ask_all(service.chat, bodies(known, ", please.")))
    new_at_once = sorted(answer.first for answer in await ask_all(service.chat, bodies(next(texts), ".")))
    median = statistics.median
    return Round(
        cold,
        median(after),
        max(after),
        median(known_at_once),
        known_at_once[-1],
        median(new_at_once),
        new_at_once[-1],
    )


async def answered(asked: Any) -> Answer:
    """The answer, which must be one."""
    answer: Answer = await asked
    if answer.status != 200 or answer.error:
        raise SystemExit(f"the gateway answered {answer.status}: {answer.error}")
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    texts = prompts(Tokenizer.from_header(read_header(fitted().file("model.gguf"))), TEXT_TOKENS)
    with gateway() as service:
        asyncio.run(play(service, texts))  # warms up
        rounds = [asyncio.run(play(service, texts)) for _ in range(options.rounds)]
    print("| time to the first token | ms: median over the rounds | of the cold one (least to most) |")
    print("| --- | ---: | ---: |")
    for name, key in {
        "a text that nobody has seen": "cold",
        "then 31 questions more, one after the other: the median": "after",
        "the slowest of them": "after_slowest",
        "32 at once about a known text: the median": "known_at_once",
        "the last of them": "known_at_once_last",
        "32 at once about a new text: the median": "new_at_once",
        "the last of them ": "new_at_once_last",
    }.items():
        values = [getattr(each, key) for each in rounds]
        ratios = [value / each.cold for value, each in zip(values, rounds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {name} | {1000 * statistics.median(values):.0f} | {spread} |")
    if options.out:
        options.out.write_text(json.dumps([asdict(each) for each in rounds], indent=2) + "\n")


if __name__ == "__main__":
    main()
