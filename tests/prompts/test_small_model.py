"""A real small model, end to end: what strategies make of it, and what the gate says of them."""

import asyncio

import numpy as np
import pytest
from weights_at_hand import smollm2_gguf

from mainspring.evaluation.comparison import compare
from mainspring.evaluation.gate import decide
from mainspring.evaluation.metrics import Predictions
from mainspring.prompts import LanguageModel, parse
from mainspring.prompts.candidates import candidates
from mainspring.prompts.fitting import Question, fit, judge
from mainspring.prompts.metrics import numeric

SUM = """+++
answer = "number"

[sampling]
max_tokens = 32
+++
# user
{{name}} has {{a}} apples and gets {{b}} more. How many apples does {{name}} have?
"""


def questions(count, seed):
    random = np.random.default_rng(seed)
    drawn = [(str(random.choice(["Ann", "Bo", "Cleo"])), *map(int, random.integers(2, 10, 2))) for _ in range(count)]
    return [Question({"name": name, "a": a, "b": b}, a + b) for name, a, b in drawn]


@pytest.mark.slow
def test_strategies_are_fitted_and_judged_on_a_small_model():
    from mainspring.runtimes.language.local import load_local

    async def run():
        engine = load_local(smollm2_gguf())
        try:
            model = LanguageModel(engine, remember=True)
            tried = candidates(parse(SUM), ["zero-shot-chain-of-thought"], [])
            fitted = await fit(tried, questions(8, seed=1), numeric, model)
            judged = [await judge(candidate.prompt, questions(20, seed=2), numeric, model) for candidate in tried]
            return fitted, *judged
        finally:
            await engine.close()

    fitted, direct, reasoned = asyncio.run(run())
    assert [len(trial.judged.scores) for trial in fitted.trials] == [8, 8]
    assert all(answer.stopped is None and answer.text for answer in direct.answers + reasoned.answers)
    assert direct.score > 0  # it can add, now and then
    assert {answer.cost.calls for answer in direct.answers} == {1}
    assert {answer.cost.calls for answer in reasoned.answers} == {2}
    assert reasoned.tokens_each > 2 * direct.tokens_each
    verdict = decide(
        compare("mae", np.ones(20), champion=Predictions(direct.scores), challenger=Predictions(reasoned.scores))
    )
    assert verdict.decision == "insufficient evidence"
    assert "at least 30 rows are needed" in verdict.reason
