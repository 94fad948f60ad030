import asyncio
import re

import pytest

from mainspring.errors import DataError, SpecError
from mainspring.prompts import LanguageModel, parse

from .engines import RuleEngine, last

ANYTHING = {"type": "object"}
ADD = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}


class Add:
    name = "add"
    description = "Adds two whole numbers."
    schema = ADD

    async def call(self, arguments):
        return str(arguments["a"] + arguments["b"])


class Fails:
    name = "fails"
    description = "Fails."
    schema = ANYTHING

    async def call(self, arguments):
        if arguments:
            await asyncio.sleep(60)
        raise DataError("the table is gone")


class Long:
    name = "long"
    description = "Says much."
    schema = ANYTHING

    async def call(self, arguments):
        return "x" * 10_000


def sums_up(messages, choice):
    """Adds the numbers in the question two at a time, with the tool."""
    numbers = [int(number) for number in re.findall(r"\d+", messages[0]["content"].partition("\n")[0])]
    done = len(messages) // 2
    total = int(re.findall(r"\d+", last(messages))[0]) if done else numbers[0]
    if done == len(numbers) - 1:
        return f"Thought: that is all.\nAnswer: {total}"
    return f'Thought: next.\nAction: add {{"a": {total}, "b": {numbers[done + 1]}}}\nObservation: 12345'


TOOLS = (Add(), Fails(), Long())


def run(rule, *, steps=8, tools="[]", given=TOOLS, seconds=30.0):
    strategy = f'{{ name = "react", steps = {steps}, tools = {tools}, seconds = {seconds} }}'
    text = f"+++\nstrategy = {strategy}\n+++\n# user\n{{{{q}}}}"
    engine = RuleEngine(rule)
    answer = asyncio.run(parse(text).answer({"q": "1 20 300 4000"}, LanguageModel(engine, tools=given)))
    return answer, engine


def observations(answer):
    return [step.said[0] for step in answer.trace if step.name == "observation"]


def test_tools_are_used_until_there_is_an_answer():
    answer, engine = run(sums_up)
    assert answer.value == "4321"
    assert observations(answer) == ["21", "321", "4321"]
    first = engine.requests[0]
    assert 'add: Adds two whole numbers. Arguments: {"type": "object"' in last(first.messages)
    assert first.sampling.stop == ("\nObservation:",)
    assert last(engine.requests[1].messages) == "Observation: 21"


def test_steps_are_limited_and_then_it_must_conclude():
    answer, engine = run(
        lambda messages, choice: "7" if "No more actions" in last(messages) else "Thought: hm.", steps=3
    )
    assert answer.value == "7"
    assert len(engine.requests) == 4
    assert observations(answer) == ['expected a line "Action: NAME {...}" or "Answer: ..."'] * 3


@pytest.mark.parametrize(
    ("action", "observed"),
    [
        ('Action: ad {"a": 1}', "error: there is no tool 'ad'; allowed: add, fails, long; did you mean 'add'?"),
        ("Action: add {a: 1}", "error: the arguments are not JSON: "),
        ('Action: add {"a": 1}', "error: the arguments do not fit: $: 'b' is a required property"),
        ('Action: add {"a": 1, "b": "x"}', "error: the arguments do not fit: $.b: 'x' is not of type 'integer'"),
        ("Action: add []", "error: the arguments do not fit: $: [] is not of type 'object'"),
        ("Action: fails", "error: the table is gone"),
        ('Action: fails {"slow": true}', "error: fails took longer than 0.05 s"),
        ('**Action:** add: {"a": 1, "b": 2}\nThanks', "3"),
        ("Action: long {}", "x" * 4000 + "… (cut)"),
    ],
)
def test_what_goes_wrong_is_an_observation(action, observed):
    answer, _ = run(lambda messages, choice: action if len(messages) == 1 else "Answer: done", seconds=0.05)
    assert observations(answer)[0].startswith(observed)
    assert answer.value == "done"


def test_an_answer_that_is_written_after_an_action_is_made_up():
    def rule(messages, choice):
        return 'Action: add {"a": 1, "b": 2}\nAnswer: 5' if len(messages) == 1 else "Answer: 3"

    assert run(rule)[0].value == "3"


def test_only_the_tools_of_the_prompt_are_offered():
    _, engine = run(lambda messages, choice: "Answer: 1", tools='["fails"]')
    assert "fails:" in last(engine.requests[0].messages)
    assert "add:" not in last(engine.requests[0].messages)
    with pytest.raises(
        SpecError, match=r"strategy.tools: 'adds' is not a tool here; allowed: add; did you mean 'add'\?"
    ):
        run(sums_up, tools='["adds"]', given=[Add()])
