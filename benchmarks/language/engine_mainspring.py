"""Mainspring's engine in this process, without the gateway: what HTTP and the engine's own process cost is not here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from answering import Clock, Prompts, answer_jobs, settings

from mainspring.runtimes.language.local import load_local
from mainspring.runtimes.language.protocol import Delta, Generate, Sampling
from mainspring.runtimes.language.tokens import Tokenizer


def main() -> None:
    given = settings()
    tokenizer = Tokenizer.from_gguf(Path(given["model"]))
    with asyncio.Runner() as runner:
        engine = load_local(Path(given["model"]), engine=given["engine"], properties=given["properties"])

        async def answer(prompt: list[int], new: int, clock: Clock | None) -> tuple[list[int], int]:
            text, count = "", 0
            sampling = Sampling(temperature=0.0, max_tokens=new, ignore_end=True)
            async for piece in engine.generate(Generate(prompt=prompt, sampling=sampling)):
                if isinstance(piece, Delta):
                    text += piece.text
                    if clock:
                        clock.tick()
                else:
                    count = piece.completion
            return tokenizer.encode(text), count

        async def answer_all(prompts: Prompts, new: int) -> dict[str, Any]:
            clock = Clock()
            found = await asyncio.gather(*(answer(p, new, None if i else clock) for i, p in enumerate(prompts)))
            return clock.answer([ids for ids, _ in found]) | {"counts": [count for _, count in found]}

        answer_jobs(lambda prompts, new: runner.run(answer_all(prompts, new)))
        runner.run(engine.close())


if __name__ == "__main__":
    main()
