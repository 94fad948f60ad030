import asyncio
import re
from collections import Counter

import pytest

from mainspring.prompts import LanguageModel, parse

from .engines import RuleEngine, last, play, play_hopefully

GAME = """+++
strategy = {{ {} }}
+++
# system
Make 24.

# user
Numbers: {{{{numbers}}}}
"""
BREADTH = 'name = "tree-of-thoughts", width = 32, depth = {depth}, breadth = {breadth}'
DEPTH = 'name = "tree-of-thoughts-depth-first", width = 32, depth = {depth}, nodes = {nodes}'


def search(strategy, numbers, rule=play, **options):
    engine = RuleEngine(rule)
    answer = asyncio.run(parse(GAME.format(strategy)).answer({"numbers": numbers}, LanguageModel(engine, **options)))
    return answer, engine


def makes_24(expression):
    assert re.fullmatch(r"[\d()+\-*/]+", expression)
    return abs(eval(expression) - 24) < 1e-9  # noqa: S307 - digits and signs only


def calls(answer):
    return [step.name for step in answer.trace if step.asked]


@pytest.mark.parametrize("numbers", ["2 3 4", "1 5 5", "6 6 12"])
def test_breadth_first_finds_the_way(numbers):
    answer, _ = search(BREADTH.format(depth=3, breadth=2), numbers)
    if numbers == "1 5 5":
        assert makes_24(answer.value)  # 5*5-1
    assert makes_24(answer.value)
    assert answer.trace[-1].name == "path"
    assert len(answer.trace[-1].said) == 3


def test_a_level_is_asked_as_two_batches_and_answered_in_parallel():
    answer, engine = search(BREADTH.format(depth=3, breadth=2), "2 3 4", concurrency=64)
    # 3 pairs of 5 results each from three numbers, 1 pair of 5 from each of the 2 kept, and then the answers themselves
    names = calls(answer)
    assert names[:16] == ["propose"] + ["value"] * 15
    assert names[16:18] == ["propose"] * 2
    values = names[18:].index("propose")
    assert 6 <= values <= 10  # two nodes of five children, of which some are the same
    assert engine.most_at_once == 15


def test_no_more_at_a_time_than_the_model_takes():
    _, engine = search(BREADTH.format(depth=3, breadth=2), "2 3 4", concurrency=4)
    assert engine.most_at_once == 4


def test_without_an_answer_in_the_tree_the_model_concludes_from_the_best_steps():
    answer, engine = search(BREADTH.format(depth=2, breadth=1), "2 3 4")
    assert calls(answer)[-1] == "conclude"
    assert makes_24(answer.value)
    assert last(engine.requests[-1].messages) == "Therefore, what is the answer? Give the answer alone."


def test_children_that_are_the_same_are_valued_once():
    def rule(messages, choice):
        return "- one\n- one\n2) two\n\n* one" if "Propose" in last(messages) else "likely"

    answer, _ = search(BREADTH.format(depth=1, breadth=1), "1", rule)
    assert Counter(calls(answer)) == {"propose": 1, "value": 2, "conclude": 1}
    assert answer.trace[-2].said == ("one",)


def test_width_and_votes():
    def rule(messages, choice):
        if "Propose" in last(messages):
            return "a\nb\nc"
        return (
            ["sure", "I am sure that it is impossible.", "no idea"][choice] if "\nb\n" in last(messages) else "likely"
        )

    answer, engine = search('name = "tree-of-thoughts", depth = 1, width = 2, votes = 3', "1", rule)
    assert [(request.sampling.n, request.sampling.temperature) for request in engine.requests] == [
        *((1, 0.0), (3, 0.7), (3, 0.7), (1, 0.0)),
    ]
    assert answer.trace[-2].said == ("b",)  # (20 + 0.001 + 0) / 3 against 1


def test_nothing_proposed_is_no_failure():
    answer, _ = search(BREADTH.format(depth=3, breadth=2), "7", lambda messages, choice: "")
    assert calls(answer) == ["propose", "conclude"]
    answer, _ = search(DEPTH.format(depth=3, nodes=9), "7", lambda messages, choice: "")
    assert calls(answer) == ["propose", "conclude"]


def test_depth_first_takes_the_best_child_and_looks_at_no_other():
    answer, engine = search(DEPTH.format(depth=3, nodes=20), "2 3 4", concurrency=64)
    assert makes_24(answer.value)
    assert Counter(calls(answer))["propose"] == 3
    assert engine.most_at_once == 15  # all children of a node are valued in one batch


def test_depth_first_goes_back_from_a_dead_end():
    answer, _ = search(DEPTH.format(depth=3, nodes=200), "1 5 5", play_hopefully)
    assert makes_24(answer.value)
    assert Counter(calls(answer))["propose"] > 3


def test_depth_first_ends_after_its_nodes():
    answer, _ = search(DEPTH.format(depth=3, nodes=3), "1 5 5", play_hopefully)
    assert calls(answer)[-1] == "conclude"
    assert Counter(calls(answer))["propose"] <= 3


def test_an_answer_that_came_early_is_kept_and_not_followed():
    def rule(messages, choice):
        text = last(messages)
        if "Propose" in text:
            return "Answer: 7\nsomething" if "(none)" in text else "worse"
        return "sure" if "Answer: 7" in text else "likely"

    answer, _ = search(BREADTH.format(depth=3, breadth=2), "7", rule)
    assert answer.value == "7"
    assert Counter(calls(answer)) == {"propose": 3, "value": 4}


def test_a_limit_ends_a_search_with_the_best_steps_so_far():
    text = GAME.format(BREADTH.format(depth=3, breadth=2)).replace("+++\n#", "[limits]\ncalls = 20\n+++\n#")
    answer = asyncio.run(parse(text).answer({"numbers": "2 3 4"}, LanguageModel(RuleEngine(play))))
    assert answer.stopped.startswith("stopped after 18 calls: ")
    assert answer.text.startswith("left: ")
