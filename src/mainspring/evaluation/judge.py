"""A language model as a judge of answers: optional, held to a grammar, its failures counted.

It is asked whether an answer is supported by its passages and whether it answers the question, and can only say JSON of
one form. What it says is an opinion: it is shown beside the checks by rule and decides nothing. Small models agree with
people hardly more than chance does; how often one agrees with the rule is shown with its verdicts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from mainspring.errors import MainspringError
from mainspring.evaluation.intervals import Estimate
from mainspring.evaluation.scores import mean_score
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, JsonSchema, Sampling

_VERDICT = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}, "answers": {"type": "boolean"}},
    "required": ["supported", "answers"],
    "additionalProperties": False,
}
_ASKED = (
    "Passages:\n{passages}\n\nQuestion: {question}\n\nAnswer: {answer}\n\n"
    "Is every statement of the answer supported by the passages? Does it answer the question?"
)
_TOKENS = 64


@dataclass(frozen=True)
class Judged:
    """The shares of answers that the judge takes for supported, and for an answer to the question, of those it judged.

    `failed` says, for each answer that got no verdict, its place and why. The shares are None where all failed.
    """

    supported: Estimate | None
    answers: Estimate | None
    verdicts: tuple[dict[str, bool] | None, ...]
    failed: tuple[str, ...]


async def judge(engine: Engine, asked: Sequence[tuple[str, str, Sequence[str]]]) -> Judged:
    """Have `engine` judge answers: (question, answer, the quotes that it cites) each."""
    verdicts: list[dict[str, bool] | None] = []
    failed: list[str] = []
    for number, (question, answer, quotes) in enumerate(asked):
        told = _ASKED.format(passages="\n".join(quotes), question=question, answer=answer)
        try:
            text = await _said(engine, told)
            verdicts.append({name: bool(value) for name, value in _read(text).items()})
        except (MainspringError, ValueError) as error:
            verdicts.append(None)
            failed.append(f"answer {number}: {error}")
    judged = [verdict for verdict in verdicts if verdict is not None]
    shares = [
        mean_score(np.array([verdict[name] for verdict in judged], np.float64)) if judged else None
        for name in ("supported", "answers")
    ]
    return Judged(shares[0], shares[1], tuple(verdicts), tuple(failed))


async def _said(engine: Engine, told: str) -> str:
    request = Generate(
        messages=[{"role": "user", "content": told}],
        structure=JsonSchema(_VERDICT),
        sampling=Sampling(temperature=0, max_tokens=_TOKENS),
    )
    text = ""
    async with aclosing(cast(Any, engine.generate(request))) as pieces:
        async for piece in pieces:
            text += piece.text if isinstance(piece, Delta) else ""
    return text


def _read(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict) or set(found) != {"supported", "answers"}:
        raise ValueError(f"no verdict: {text[:80]!r}")
    return found
