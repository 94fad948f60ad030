import asyncio
import re

import pytest

from mainspring.errors import RequestError
from mainspring.prompts import LanguageModel, parse

from .engines import RuleEngine, last, structures


def ask(text, values, rule, **options):
    engine = RuleEngine(rule)
    answer = asyncio.run(parse(text).answer(values, LanguageModel(engine, **options)))
    return answer, engine


def contents(request):
    return [message["content"] for message in request.messages]


def said(answer):
    return [(step.name, *step.said) for step in answer.trace]


SUM = "# user\nWhat is {{sum}}?\n"
EXAMPLES = """# examples
{"sum": "1+1", "answer": "2", "reasoning": "One more than one."}
{"sum": "2+2", "answer": "4"}
{"sum": "3+3", "answer": "6", "reasoning": "Twice three."}
"""


def adds(messages, choice):
    """Adds, but only where it has been shown how."""
    numbers = [int(number) for number in re.findall(r"\d+", last(messages))]
    return str(sum(numbers)) if len(messages) > 1 else "I cannot add"


def test_direct():
    answer, engine = ask(SUM, {"sum": "2+3"}, adds)
    assert (answer.text, answer.value) == ("I cannot add", "I cannot add")
    assert [contents(request) for request in engine.requests] == [["What is 2+3?"]]
    assert (answer.cost.calls, answer.cost.prompt, answer.cost.completion) == (1, 3, 3)
    assert answer.transcript().split("\n") == [
        "── 1 answer (6 tokens)",
        "? What is 2+3?",
        "> I cannot add",
        '── answer: "I cannot add"; 1 call, 6 tokens (3 of prompts, 3 of completions)',
    ]


def test_few_shot():
    text = f'+++\nanswer = "number"\nstrategy = {{ name = "few-shot", shots = 2 }}\n+++\n{SUM}{EXAMPLES}'
    answer, engine = ask(text, {"sum": "2+3"}, adds)
    assert answer.value == 5
    assert contents(engine.requests[0]) == ["What is 1+1?", "2", "What is 2+2?", "4", "What is 2+3?"]


def test_nearest_examples_come_nearest_last():
    text = '+++\nstrategy = { name = "nearest-examples", shots = 2 }\n+++\n# user\n{{word}}\n# examples\n' + "".join(
        f'{{"word": "{word}", "answer": "{word}s"}}\n' for word in ("aabb", "zzzz", "accb", "bbbb")
    )
    answer, engine = ask(text, {"word": "aaab"}, lambda messages, choice: "so")
    assert contents(engine.requests[0]) == ["accb", "accbs", "aabb", "aabbs", "aaab"]
    assert answer.trace[0].said[1].endswith(" aabb")


def test_chain_of_thought_shows_the_examples_that_reason():
    text = f'+++\nanswer = "number"\nstrategy = "chain-of-thought"\n+++\n{SUM}{EXAMPLES}'
    answer, engine = ask(text, {"sum": "2+3"}, lambda messages, choice: "Three after 2.\nAnswer: 5, not 6")
    assert answer.value == 5
    assert contents(engine.requests[0]) == [
        *("What is 1+1?", "One more than one.\nAnswer: 2", "What is 3+3?", "Twice three.\nAnswer: 6"),
        "What is 2+3?",
    ]


def test_zero_shot_chain_of_thought_reasons_and_then_concludes():
    def rule(messages, choice):
        return "It is 2 and 3." if len(messages) == 1 else "5"

    answer, engine = ask(
        f'+++\nstrategy = "zero-shot-chain-of-thought"\n+++\n{SUM}# output\n{{"type": "integer"}}', {"sum": "2+3"}, rule
    )
    assert answer.value == 5
    assert [contents(request) for request in engine.requests] == [
        ["What is 2+3?\n\nLet's think step by step."],
        [
            "What is 2+3?\n\nLet's think step by step.",
            "It is 2 and 3.",
            "Therefore, what is the answer? Give the answer alone.",
        ],
    ]
    assert [structure and structure.schema for structure in structures(engine)] == [None, {"type": "integer"}]


def test_self_consistency_takes_the_answer_of_most():
    drawn = ["Answer: 4", "no idea", "Hm.\nAnswer: 5", "Answer: 5.0", "Answer: 4 no, answer: 5"]
    text = '+++\nanswer = "number"\nstrategy = "self-consistency"\n+++\n' + SUM
    answer, engine = ask(text, {"sum": "2+3"}, lambda messages, choice: drawn[choice])
    assert answer.text == "Hm.\nAnswer: 5"
    assert answer.value == 5
    [request] = engine.requests
    assert (request.sampling.n, request.sampling.temperature) == (5, 0.7)
    assert contents(request)[0].startswith("What is 2+3?\n\nThink step by step.")
    assert said(answer)[1] == ("votes", "3 5", "1 4")


def test_self_consistency_with_examples_and_without_a_vote():
    text = f'+++\nanswer = "number"\nstrategy = {{ name = "self-consistency", shots = 1 }}\n+++\n{SUM}{EXAMPLES}'
    answer, engine = ask(text, {"sum": "2+3"}, lambda messages, choice: "none")
    assert (answer.value, answer.text) == (None, "none")
    assert contents(engine.requests[0]) == ["What is 1+1?", "One more than one.\nAnswer: 2", "What is 2+3?"]


def test_least_to_most_asks_the_simpler_questions_first():
    """A sum of four: each simpler question adds one number to the sum before it."""

    def rule(messages, choice):
        numbers = re.findall(r"\d+", messages[0]["content"])
        if "Which simpler" in last(messages):
            return "\n".join(f"{number}. Add {value}?" for number, value in enumerate(numbers, 1))
        if "Add" in last(messages):
            before = int(messages[-2]["content"]) if len(messages) > 1 else 0
            return str(before + int(re.findall(r"Add (\d+)", last(messages))[0]))
        return messages[-2]["content"]

    answer, engine = ask('+++\nstrategy = "least-to-most"\n+++\n' + SUM, {"sum": "1+20+300+4000"}, rule)
    assert answer.value == "4321"
    assert [step.said[0] for step in answer.trace[1:]] == ["1", "21", "321", "4321", "4321"]
    assert contents(engine.requests[3]) == [
        *("What is 1+20+300+4000?\n\nFirst: Add 1?", "1", "Add 20?", "21", "Add 300?"),
    ]


def test_least_to_most_without_simpler_questions_is_direct():
    def rule(messages, choice):
        return "" if "Which simpler" in last(messages) else "5"

    answer, engine = ask('+++\nstrategy = "least-to-most"\n+++\n' + SUM, {"sum": "2+3"}, rule)
    assert answer.value == "5"
    assert contents(engine.requests[1]) == ["What is 2+3?"]


def reflects(messages, choice):
    """Counts up by one with each revision, and is content at 3."""
    if "Is this answer right?" in last(messages):
        return "CORRECT." if messages[-2]["content"] == "3" else "INCORRECT: too small."
    return str(len(messages) // 4 + 1)


@pytest.mark.parametrize(("rounds", "value", "calls"), [(1, "2", 3), (2, "3", 5), (8, "3", 6)])
def test_reflection_ends_when_nothing_is_wrong_or_its_rounds_are_over(rounds, value, calls):
    text = f'+++\nstrategy = {{ name = "reflection", rounds = {rounds} }}\n+++\n{SUM}'
    answer, engine = ask(text, {"sum": "1+2"}, reflects)
    assert answer.value == value
    assert len(engine.requests) == calls
    assert [name for name, _ in said(answer)][:3] == ["draft", "criticise", "revise"]


@pytest.mark.parametrize(
    "strategy",
    ["direct", "few-shot", "nearest-examples", "least-to-most", "reflection", "react", "zero-shot-chain-of-thought"],
)
def test_the_answer_itself_is_held_to_the_schema(strategy):
    text = f'+++\nstrategy = "{strategy}"\n+++\n{SUM}{EXAMPLES}# output\n{{"type": "integer"}}'
    answer, engine = ask(text, {"sum": "1+2"}, lambda messages, choice: "3" if len(messages) != 1 else "Answer: 3")
    assert answer.value == 3
    assert structures(engine)[-1].schema == {"type": "integer"} or strategy == "reflection"
    assert engine.requests[-1].sampling.temperature == 0


@pytest.mark.parametrize("name", ["direct", "self-consistency", "tree-of-thoughts", "least-to-most", "react"])
def test_values_that_do_not_fit_are_told_before_anything_is_asked(name):
    engine = RuleEngine(adds)
    prompt = parse(f'+++\nstrategy = "{name}"\n+++\n{SUM}')
    with pytest.raises(RequestError, match="the variable 'sum' has no value"):
        asyncio.run(prompt.answer({}, LanguageModel(engine)))
    assert not engine.requests
