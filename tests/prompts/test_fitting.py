import asyncio
import json
import re
from typing import get_args

import numpy as np
import pytest

from mainspring.errors import ContextError, DataError, RequestError, SpecError
from mainspring.evaluation.comparison import compare
from mainspring.evaluation.gate import decide
from mainspring.evaluation.metrics import Predictions
from mainspring.prompts import Example, LanguageModel, parse
from mainspring.prompts.candidates import candidates, reasoned_by
from mainspring.prompts.fitting import Candidate, Question, fit, judge
from mainspring.prompts.metrics import METRICS, numeric
from mainspring.prompts.strategies import STRATEGIES
from mainspring.spec.models import AnswerMetric, StrategyName

from .engines import RuleEngine, last

SUM = '+++\nanswer = "number"\n+++\n# user\nWhat is {{a}} + {{b}}?\n'
NAMES = ["direct", "few-shot", "nearest-examples", "chain-of-thought", "zero-shot-chain-of-thought", "self-consistency"]


def questions(count, start=0):
    return [
        Question({"a": number, "b": 7 * number % 10}, number + 7 * number % 10)
        for number in range(start, start + count)
    ]


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def carries(messages, choice):
    """Adds, but forgets to carry, unless it has seen examples, or reasons."""
    [a, b] = numbers(messages[-1 if "What is" in last(messages) else -3]["content"])
    carried = a + b if len(messages) > 3 else a // 10 * 10 + (a + b) % 10
    if "step" in last(messages):
        return f"{a} and {b} make {a + b}.\nAnswer: {a + b}"
    return str(a + b if "Therefore" in last(messages) else carried)


def counts(messages, choice):
    """Reasoning does it no good: it adds as well without, and fails at the same sums."""
    [a, b] = numbers(messages[0 if len(messages) != 1 else -1]["content"])[:2]
    return "Well." if "step" in last(messages) and a % 2 else str(a + b if a % 3 else 0)


def test_a_prompt_is_judged_question_by_question():
    judged = asyncio.run(judge(parse(SUM), questions(20), numeric, LanguageModel(RuleEngine(carries))))
    expected = [float(number % 10 + 7 * number % 10 < 10) for number in range(20)]
    assert judged.scores.tolist() == expected
    assert judged.tokens.tolist() == [6] * 20
    assert (judged.score, judged.tokens_each) == (np.mean(expected), 6)
    assert judged.answers[3].value == 4


def test_the_best_candidate_wins_and_bad_ones_stop_early():
    async def run():
        engine = RuleEngine(carries)
        model = LanguageModel(engine, remember=True)
        train = questions(64)
        prompt = parse(SUM)
        reasoned = await reasoned_by(model, prompt, train[:8], numeric)
        tried = candidates(prompt, NAMES, train, reasoned=reasoned, draws=2)
        fitted = await fit(tried, train, numeric, model)
        return tried, fitted, engine

    tried, fitted, engine = asyncio.run(run())
    assert [candidate.name for candidate in tried] == [
        "direct, as written",
        "few-shot, examples 1",
        "few-shot, examples 2",
        "nearest-examples",
        "chain-of-thought, examples 1",
        "chain-of-thought, examples 2",
        "zero-shot-chain-of-thought",
        "self-consistency",
        "self-consistency, examples 1",
        "self-consistency, examples 2",
    ]
    assert fitted.best.prompt.strategy.name == "few-shot"  # as right as reasoning, and cheaper
    seen = [len(trial.judged.scores) for trial in fitted.trials]
    assert seen == [64, 64, 32, 16, 16, 8, 8, 8, 8, 8]
    by_name = {trial.candidate.name: trial for trial in fitted.trials}
    assert len(by_name["direct, as written"].judged.scores) < 64
    assert fitted.trials[0].as_dict() == {
        "candidate": fitted.best.name,
        "strategy": "few-shot",
        "questions": 64,
        "score": 1.0,
        "tokens": fitted.trials[0].judged.tokens_each,
        "calls": 1.0,
    }
    assert engine.most_at_once == 16


def test_equals_are_told_apart_by_their_cost():
    prompt = parse(SUM)
    tried = candidates(prompt, ["reflection", "zero-shot-chain-of-thought"], questions(9))
    fitted = asyncio.run(fit(tried, questions(9), numeric, LanguageModel(RuleEngine(lambda messages, choice: "no"))))
    assert fitted.best.name == "direct, as written"
    assert [trial.judged.score for trial in fitted.trials] == [0.0] * 3
    tokens = [trial.judged.tokens_each for trial in fitted.trials]
    assert tokens == sorted(tokens)


@pytest.mark.parametrize(("rule", "decision"), [(counts, "insufficient evidence"), (carries, "promote")])
def test_the_gate_says_whether_reasoning_helps(rule, decision):
    """The scores of both prompts on the same held-out questions are what the paired test takes."""

    async def run():
        model = LanguageModel(RuleEngine(rule))
        held_out = questions(60, start=100)
        old = await judge(parse(SUM), held_out, numeric, model)
        text = SUM.replace("answer =", 'strategy = "zero-shot-chain-of-thought"\nanswer =')
        return old, await judge(parse(text), held_out, numeric, model)

    old, new = asyncio.run(run())
    verdict = decide(
        compare("mae", np.ones(60), champion=Predictions(old.scores), challenger=Predictions(new.scores), resamples=400)
    )
    assert verdict.decision == decision
    assert new.tokens_each > 3 * old.tokens_each


def test_an_example_that_is_the_question_is_not_shown():
    engine = RuleEngine(carries)
    train = questions(6)
    [_, nearest] = candidates(parse(SUM), ["nearest-examples"], train)
    assert len(nearest.prompt.examples) == 6
    asyncio.run(judge(nearest.prompt, train, numeric, LanguageModel(engine)))
    for request in engine.requests:
        texts = [message["content"] for message in request.messages]
        assert len(texts) == 9
        assert texts.count(texts[-1]) == 1

    alone = candidates(parse(SUM), ["few-shot"], train[:1])[1].prompt
    judged = asyncio.run(judge(alone, train[:2], numeric, LanguageModel(engine)))
    assert judged.scores.tolist() == [0, 1]  # nothing is left to show, which is the candidate's fault
    assert judged.answers[0].stopped == "the prompt: strategy: few-shot needs `# examples`"


@pytest.mark.parametrize("written", ["3", 3, 3.0])
def test_an_example_that_is_the_question_in_another_type_is_not_shown_either(written):
    engine = RuleEngine(carries)
    text = SUM.replace("answer =", 'strategy = "few-shot"\nanswer =')
    examples = [{"a": written, "b": 9, "answer": 12}, {"a": 5, "b": 5, "answer": 10}]
    prompt = parse(text + "# examples\n" + "\n".join(map(json.dumps, examples)))
    asyncio.run(judge(prompt, [Question({"a": 3, "b": "9"}, 12)], numeric, LanguageModel(engine)))
    assert [message["content"] for message in engine.requests[0].messages] == [
        "What is 5 + 5?",
        "10",
        "What is 3 + 9?",
    ]


def test_one_reasoned_example_is_none_and_two_are_enough():
    one, other = (Example({"a": a, "b": 1}, a + 1, "I count.") for a in (1, 2))
    names = ["chain-of-thought"]
    for reasoned, expected in (((), 1), ((one,), 1), ((one, one), 1), ((one, other), 2)):
        assert len(candidates(parse(SUM), names, questions(9), reasoned=reasoned)) == expected


def test_the_nearest_examples_are_looked_for_among_so_many():
    train = questions(2_100)
    one, same, other = (candidates(parse(SUM), ["nearest-examples"], train, seed=seed)[1] for seed in (1, 1, 2))
    assert len(one.prompt.examples) == 2_000
    assert one == same
    assert one != other


def test_an_answer_that_does_not_fit_into_the_context_is_a_wrong_one():
    def rule(messages, choice):
        if len(messages) > 1:
            raise ContextError("the prompt has 99 tokens, and the context 9")
        return carries(messages, choice)

    train = questions(9)
    fitted = asyncio.run(
        fit(candidates(parse(SUM), ["few-shot"], train, draws=1), train, numeric, LanguageModel(RuleEngine(rule)))
    )
    assert fitted.best.name == "direct, as written"
    assert fitted.trials[1].judged.score == 0
    assert fitted.trials[1].judged.answers[0].stopped == "the prompt has 99 tokens, and the context 9"


def test_what_cannot_be_fitted_is_told():
    prompt, model = parse(SUM), LanguageModel(RuleEngine(carries))
    tried = [Candidate("direct", prompt)]
    with pytest.raises(DataError, match="without a candidate"):
        asyncio.run(fit([], questions(3), numeric, model))
    with pytest.raises(DataError, match="without a question"):
        asyncio.run(fit(tried, [], numeric, model))
    with pytest.raises(RequestError, match="the variable 'b' has no value"):
        asyncio.run(fit(tried, [Question({"a": 1}, 1)], numeric, model))
    with pytest.raises(SpecError, match="'few-shots' is not a strategy; allowed: direct, "):
        candidates(prompt, ["few-shots"], questions(3))


def test_the_same_seed_gives_the_same_candidates():
    train = questions(30)
    names = ["few-shot"]
    one, same, other = (candidates(parse(SUM), names, train, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert len(one) == 4


def test_the_spec_knows_the_strategies_and_the_metrics():
    assert set(get_args(StrategyName)) == set(STRATEGIES)
    assert set(get_args(AnswerMetric)) == set(METRICS)
