from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import SpecError
from mainspring.prompts import Example, Limits, Prompt, SamplingSpec, Turn, dumps, load, parse
from mainspring.prompts.reading import Choice, Json, LastLine, Number, Text
from mainspring.prompts.strategies import (
    STRATEGIES,
    BreadthFirst,
    ChainOfThought,
    Direct,
    FewShot,
    React,
    Reflection,
    SelfConsistency,
    ZeroShotChainOfThought,
)

REVIEW = """+++
strategy = "few-shot"
answer = ["yes", "no"]

[sampling]
max_tokens = 8
+++
# system
You decide whether a review is good.

# user
Review: {{review}}

# examples
{"review": "Broke after a day.", "answer": "no"}

{"review": "My third pair, and I love them.", "answer": "yes", "reasoning": "A third pair."}
"""


def test_a_file_is_read():
    prompt = parse(REVIEW)
    assert prompt.turns == (Turn("system", "You decide whether a review is good."), Turn("user", "Review: {{review}}"))
    assert [turn.line for turn in prompt.turns] == [9, 12]
    assert prompt.strategy == FewShot()
    assert prompt.examples == (
        Example({"review": "Broke after a day."}, "no"),
        Example({"review": "My third pair, and I love them."}, "yes", "A third pair."),
    )
    assert prompt.reading == Choice(("yes", "no"))
    assert prompt.sampling == SamplingSpec(max_tokens=8)
    assert prompt.variables == ("review",)


def test_a_conversation_alone_is_a_prompt():
    prompt = parse("# user\n\n\nHello\n\n# assistant\nHi\n# user\n{{more}}\n")
    assert prompt == Prompt((Turn("user", "Hello"), Turn("assistant", "Hi"), Turn("user", "{{more}}")), Direct())
    assert [turn.line for turn in prompt.turns] == [4, 7, 9]


def test_only_one_word_after_the_hash_is_a_heading():
    prompt = parse("# user\n# How to answer\n## system\n#user\n ```\n\\# output\n\\\\# output\n# a comment\n```")
    assert prompt.turns[0].text == "# How to answer\n## system\n#user\n ```\n# output\n\\# output\n# a comment\n```"
    assert parse(dumps(prompt)) == prompt


def test_a_file_with_carriage_returns_or_a_mark_is_read(tmp_path):
    path = tmp_path / "review.md"
    path.write_bytes(b"\xef\xbb\xbf" + REVIEW.replace("\n", "\r\n").encode())
    assert load(path) == parse(REVIEW)
    assert load(path).source == "review.md"


def test_examples_may_be_in_a_file(tmp_path):
    whole = parse(REVIEW)
    front, examples = REVIEW.split("# examples\n")
    (tmp_path / "reviews.jsonl").write_text(examples)
    (tmp_path / "review.md").write_text(front.replace("strategy =", 'examples = "reviews.jsonl"\nstrategy ='))
    assert load(tmp_path / "review.md") == whole
    (tmp_path / "reviews.jsonl").write_text(examples + '{"answer": 1')
    with pytest.raises(SpecError, match=r"^reviews.jsonl, line 4: examples: not valid JSON: "):
        load(tmp_path / "review.md")
    (tmp_path / "reviews.jsonl").unlink()
    with pytest.raises(SpecError, match=r"reviews.jsonl cannot be read"):
        load(tmp_path / "review.md")


@pytest.mark.parametrize(("opened", "closed"), [("", ""), ("```json\n", "\n```")])
def test_the_schema_of_the_answer_is_a_section(opened, closed):
    schema = {"type": "object", "properties": {"good": {"enum": [True, None]}}}
    prompt = parse(f"# user\nHow?\n\n# output\n{opened}{json.dumps(schema)}{closed}\n")
    assert prompt.reading == Json(schema)
    assert parse(dumps(prompt)) == prompt


MISTAKES = {
    "unknown key": (
        'strategy = "few-shot"',
        'strategi = "few-shot"',
        "line 2: strategi: unknown key; allowed: strategy, ",
    ),
    "unknown strategy": (
        '"few-shot"',
        '"chain-of-thougt"',
        "line 2: strategy: 'chain-of-thougt' is not a strategy; allowed: direct, ",
    ),
    "a hint": ('"few-shot"', '"chain-of-thougt"', "…; did you mean 'chain-of-thought'?"),
    "unknown parameter": (
        '"few-shot"',
        '{ name = "few-shot", shot = 3 }',
        "line 2: strategy.shot: unknown key; allowed: shots; did you mean 'shots'?",
    ),
    "a parameter out of range": (
        '"few-shot"',
        '{ name = "few-shot", shots = 0 }',
        "line 2: strategy.shots: expected greater than or equal to 1; found 0",
    ),
    "a template without its variable": (
        '"few-shot"',
        '{ name = "least-to-most", decompose = "Which?" }',
        "line 2: strategy.decompose: expected a text with {{problem}}; found 'Which?'",
    ),
    "a strategy without a name": ('"few-shot"', "{ shots = 3 }", "line 2: strategy: expected a name, or a table"),
    "a strategy of the wrong kind": ('"few-shot"', "3", "line 2: strategy: expected a name, or a table"),
    "wrong sampling": ("= 8", "= 0", "line 6: sampling.max_tokens: expected greater than or equal to 1; found 0"),
    "wrong answer": (
        '["yes", "no"]',
        '"numbr"',
        "line 3: answer: expected one of 'text', 'last-line', 'number', or a list of the options; found 'numbr'",
    ),
    "one option": ('"yes", "no"', '"yes"', "desk.md: answer: expected at least two options, none empty; found ['yes']"),
    "not TOML": ('= "few', "= few", "desk.md: the front matter is not valid TOML: … (at line 2, "),
    "YAML": ("+++", "---", "line 1: front matter is TOML here"),
    "no end": ("8\n+++", "8\n", "line 1: the front matter has no end"),
    "unknown section": (
        "# user",
        "# usr",
        "line 11: 'usr' is not a section; allowed: system, user, … did you mean 'user'?",
    ),
    "text before": ("# system\n", "\n", "line 8: text before the first section"),
    "system last": ("# user\nReview: {{review}}", "", "line 9: expected a conversation that ends with"),
    "system twice": ("# user", "# system\nB\n# user", "line 12: expected `# user` after `# system`; found `# system`"),
    "empty": ("Review: {{review}}", "", "user: expected text without space around it; found ''"),
    "broken variable": (
        "{{review}}",
        "\n{{a review}}",
        "line 13: expected a variable such as {{name}}, or \\{{ for braces; found '{{a review}}'",
    ),
    "reserved": (
        "{{review}}",
        "{{review}} {{answer}}",
        "line 12: the variable 'answer' has the name of an example's answer",
    ),
    "an example that lacks": (
        "{{review}}",
        "{{review}} {{product}}",
        "line 15: examples: the variable 'product' has no value\ndesk.md, line 17: examples: the variable 'product'",
    ),
    "an example with more": (
        '"review": "Broke',
        '"reviews": "Broke',
        "line 15: examples: 'reviews' is not a variable of the prompt; allowed: review; did you mean 'review'?",
    ),
    "an example without answer": (
        '"answer": "no"',
        '"a": "no"',
        "line 15: examples: expected an object with …'answer'",
    ),
    "an example that is no object": (
        '{"review": "Broke after a day.", "answer": "no"}',
        "[]",
        "line 15: …; found '[]'",
    ),
    "wrong reasoning": ('"A third pair."', "3", "line 17: examples: reasoning: expected text; found 3"),
    "broken JSON": ('"Broke', "Broke", "line 15: examples: not valid JSON: Expecting value (column 12)"),
    "NaN": ('"no"}', "NaN}", "line 15: examples: not valid JSON: NaN is not JSON"),
    "a key twice": ('"no"}', '"no", "answer": "yes"}', "line 15: examples: not valid JSON: an object has a key twice"),
    "examples twice": ("# examples", "# examples\n# examples", "line 15: `# examples` stands here for the second time"),
    "examples here and there": ("answer =", 'examples = "a"\nanswer =', "line 15: examples stand here and in a file"),
    "output and answer": ("# examples", "# output\n{}\n# examples", "line 14: `# output` and `answer`: choose one"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place(name):
    written, instead, told = MISTAKES[name]
    assert REVIEW.count(written), written
    with pytest.raises(SpecError) as error:
        parse(REVIEW.replace(written, instead, 1), source="desk.md")
    position, found = 0, str(error.value)
    for part in told.split("…"):
        assert part in found[position:], found
        position = found.index(part, position) + len(part)
    assert found.startswith("desk.md")


def test_several_mistakes_are_told_together():
    with pytest.raises(SpecError) as error:
        parse("+++\nstrategy = 'x'\nlimit = 3\n[sampling]\ntemperature = 3.0\n+++\n# user\nHello")
    assert [line.partition(": ")[0] for line in str(error.value).split("\n")] == [
        "the prompt, line 2",
        "the prompt, line 3",
        "the prompt, line 5",
    ]


def test_a_strategy_says_what_it_lacks():
    with pytest.raises(SpecError, match="strategy: few-shot needs `# examples`"):
        parse('+++\nstrategy = "few-shot"\n+++\n# user\nHello')
    with pytest.raises(SpecError, match="strategy: chain-of-thought needs `# examples` with 'reasoning'"):
        parse('+++\nstrategy = "chain-of-thought"\n+++\n# user\n{{a}}\n# examples\n{"a": 1, "answer": 2}')


@pytest.mark.parametrize(
    ("schema", "told"), [("[]", r"; found '\[\]'"), ('{"type": "objekt"}', r"; at \$.type: 'objekt'")]
)
def test_a_schema_that_is_none_is_told(schema, told):
    with pytest.raises(SpecError, match=f"output: expected a JSON schema{told}"):
        parse(f"# user\nHello\n# output\n{schema}")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SpecError, match=r"cannot be read: .*No such file"):
        load(tmp_path / "gone.md")
    (tmp_path / "latin.md").write_bytes(b"# user\n\xe9")
    with pytest.raises(SpecError, match="cannot be read: 'utf-8'"):
        load(tmp_path / "latin.md")


def test_the_file_in_the_guide_is_read():
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "prompting.md").read_text(encoding="utf-8")
    [written] = re.findall(r"^```markdown\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    prompt = parse(written)
    assert (prompt.variables, prompt.strategy.name, len(prompt.examples)) == (("mail",), "few-shot", 2)
    documented = set(re.findall(r"\*\*`([a-z-]+)`\*\*", guide))
    assert documented == set(STRATEGIES)


# ── there and back ───────────────────────────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("#\\`+\"'\n{}[]= "), max_size=40)
words = st.lists(
    texts | st.sampled_from(["# user", "\\# user", "\\\\# output", "+++", "```", '"""', "{{v}}", "\\{{v}}", "a = 1"]),
    min_size=1,
    max_size=6,
)
templates = words.map(lambda parts: "\n".join(parts)).map(
    lambda text: "x" if not (text := _without_broken(text).replace("\r\n", "\n").strip()) else text
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
jsons = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
readings = st.one_of(
    st.just(Text()),
    st.just(LastLine()),
    st.just(Number()),
    st.lists(texts.filter(bool), min_size=2, max_size=4).map(lambda options: Choice(tuple(options))),
    jsons.map(lambda value: Json({"const": value, "title": "é", "enum": [value, None]})),
)
strategies = st.one_of(
    st.just(Direct()),
    st.builds(FewShot, shots=st.integers(1, 9)),
    st.just(ChainOfThought()),
    st.builds(ZeroShotChainOfThought, think=texts, conclude=texts),
    st.builds(SelfConsistency, temperature=st.floats(0.01, 2)),
    st.builds(BreadthFirst, propose=texts.map(lambda text: _without_broken(text, "") + " {{problem}}\n{{thoughts}}")),
    st.builds(React, tools=st.lists(texts, max_size=3).map(tuple)),
    st.builds(Reflection, done=texts.filter(bool)),
)


def _without_broken(text: str, variable: str = "{{v}}") -> str:
    return text.replace("{{v}}", "\0").replace("{", "(").replace("\0", variable)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    roles = draw(st.sampled_from([("user",), ("system", "user"), ("system", "user", "assistant", "user")]))
    turns = tuple(Turn(role, draw(templates)) for role in roles)
    names = Prompt(turns, Direct()).variables
    made = st.builds(
        Example,
        st.fixed_dictionaries(dict.fromkeys(names, jsons)),
        jsons,
        texts,
    )
    return Prompt(
        turns,
        draw(strategies),
        (*draw(st.lists(made, max_size=3)), Example(dict.fromkeys(names, 1), 1, "so")),
        draw(readings),
        draw(st.builds(SamplingSpec, temperature=st.floats(0, 2), stop=st.lists(texts, max_size=2).map(tuple))),
        draw(st.builds(Limits, calls=st.integers(1, 9), seconds=st.floats(0.1, 9))),
    )


@given(prompts())
def test_a_prompt_comes_back_as_it_was(prompt):
    written = dumps(prompt)
    assert parse(written) == prompt
    assert dumps(parse(written)) == written
    assert parse(written.encode().decode()) == prompt
