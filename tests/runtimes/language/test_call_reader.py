from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.runtimes.language.call_reader import CallReader

ARGUMENTS = '{"city": "Köln } ] \\" <tool_call>", "at": [1, {"x": {}}]}'
CALL = f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS}}}\n</tool_call>'
OTHER = '<tool_call>{"arguments": {"hour": 3}, "name": "time"}</tool_call>'
NAMES = ["weather", "time"]


def read(text, cuts=(), style="hermes", names=NAMES):
    """The plain text and the calls of `text`, fed in pieces that end at `cuts`."""
    reader = CallReader(style, names)
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(text)), len(text)]
    plain, pieces = "", []
    for start, end in itertools.pairwise(edges):
        more, new = reader.feed(text[start:end])
        plain += more
        pieces += new
    plain += reader.end()
    calls = {}
    for piece in pieces:
        if piece.index not in calls:
            assert piece.name
            assert piece.id
            calls[piece.index] = [piece.name, ""]
        calls[piece.index][1] += piece.arguments
    return plain, [(name, arguments) for name, arguments in calls.values()]


def test_a_call_is_read():
    plain, [(name, arguments)] = read(CALL)
    assert plain == ""
    assert name == "weather"
    assert json.loads(arguments) == {"city": 'Köln } ] " <tool_call>', "at": [1, {"x": {}}]}


@given(cuts=st.lists(st.integers(0, 300), max_size=40))
def test_it_is_the_same_however_the_text_is_cut(cuts):
    text = f"Let me see.\n{CALL}\n{OTHER} "
    assert read(text, cuts) == read(text)
    assert read(text)[0] == "Let me see."
    assert [name for name, _ in read(text)[1]] == ["weather", "time"]


def test_the_name_comes_before_the_arguments_which_come_as_they_are_written():
    reader = CallReader("hermes", NAMES)
    assert reader.feed('<tool_call>{"name": "wea') == ("", [])
    plain, pieces = reader.feed('ther", "arguments": {"ci')
    assert (plain, pieces[0].name, [piece.arguments for piece in pieces]) == ("", "weather", ["", '{"ci'])
    _, pieces = reader.feed('ty": "Paris"}}</tool')
    assert [piece.arguments for piece in pieces] == ['ty": "Paris"}']


@pytest.mark.parametrize(
    "text",
    [
        "No call at all, <tool",
        "a < b, <tool_calls> and <tool_call> alone",
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "weather"',
        "<tool_call>{broken}",
    ],
)
@given(cuts=st.lists(st.integers(0, 60), max_size=10))
def test_what_is_no_call_stays_text(text, cuts):
    assert read(text, cuts) == (text, [])


def test_a_call_that_is_cut_off_keeps_what_there_is():
    plain, calls = read('<tool_call>{"name": "weather", "arguments": {"city": "Par')
    assert (plain, calls) == ("", [("weather", '{"city": "Par')])


LLAMA = '{"name": "weather", "parameters": {"city": "Paris"}}'


@given(cuts=st.lists(st.integers(0, 120), max_size=20))
def test_llamas_way_is_an_answer_that_is_nothing_else(cuts):
    assert read(LLAMA, cuts, "llama") == ("", [("weather", '{"city": "Paris"}')])
    two = f"<|python_tag|>{LLAMA}; {LLAMA}"
    assert read(two, cuts, "llama") == ("", [("weather", '{"city": "Paris"}')] * 2)
    assert read(f"It is {LLAMA}", cuts, "llama") == (f"It is {LLAMA}", [])
    assert read('{"answer": 3} is it', cuts, "llama") == ('{"answer": 3} is it', [])
