import asyncio

import pytest

from mainspring.errors import RequestError, SpecError, UnsupportedError
from mainspring.prompts import LanguageModel, Prompt, Turn, export, parse
from mainspring.prompts.strategies import STRATEGIES, Direct

from .engines import RuleEngine, last

TALK = """# system
You know {{language}}.

# user
Hello

# assistant
Good day.

# user
Translate: {{word}}

# examples
{"language": "French", "word": "cat", "answer": "chat", "reasoning": "A cat is a chat."}
{"language": "French", "word": "dog", "answer": ["chien"], "reasoning": "A dog."}
"""
GERMAN = {"language": "German", "word": "{{word}} tree"}


def test_messages_are_the_conversation_with_the_values_in_place():
    assert parse(TALK).messages(GERMAN) == [
        {"role": "system", "content": "You know German."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day."},
        {"role": "user", "content": "Translate: {{word}} tree"},
    ]


def test_examples_come_before_the_question_as_conversations():
    prompt = parse(TALK)
    messages = prompt.messages(GERMAN, examples=prompt.examples, reasoned=True, add="Think.")
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * 5, "user"]
    assert [message["content"] for message in messages] == [
        "You know German.",
        *("Hello", "Good day.", "Translate: cat\n\nThink.", "A cat is a chat.\nAnswer: chat"),
        *("Hello", "Good day.", "Translate: dog\n\nThink.", 'A dog.\nAnswer: ["chien"]'),
        *("Hello", "Good day.", "Translate: {{word}} tree\n\nThink."),
    ]
    assert prompt.messages(GERMAN, examples=prompt.examples[:1])[4]["content"] == "chat"


def test_a_value_that_is_missing_or_unknown_is_told():
    prompt = parse(TALK, source="talk.md")
    with pytest.raises(RequestError, match=r"^talk.md, line 11: the variable 'word' has no value$") as error:
        prompt.messages({"language": "German"})
    assert error.value.place == "$.word"
    with pytest.raises(
        RequestError, match=r"talk.md has no variable 'words'; allowed: language, word; did you mean 'word'\?"
    ):
        prompt.messages({**GERMAN, "words": 1})


@pytest.mark.parametrize(
    "turns", [(), (Turn("assistant", "a"),), (Turn("user", " a"),), (Turn("user", "a\r\nb"),), (Turn("user", "{{"),)]
)
def test_a_prompt_made_in_python_is_checked_too(turns):
    with pytest.raises(SpecError, match=r"^the prompt: expected|^the prompt: user: expected"):
        Prompt(turns, Direct())
    Prompt((Turn("user", "a"),), Direct())


def test_it_is_exported_for_any_client():
    prompt = parse(
        '+++\nstrategy = "few-shot"\n[sampling]\nseed = 3\nstop = ["."]\n+++\n'
        + TALK
        + '\n# output\n{"type": "string"}\n'
    )
    body = export(prompt, GERMAN)
    assert body == {
        "messages": prompt.messages(GERMAN, examples=prompt.examples),
        "temperature": 0.0,
        "top_p": 1.0,
        "max_completion_tokens": 512,
        "seed": 3,
        "stop": ["."],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "string"}}},
    }


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_exported_is_what_is_sent_or_it_is_refused(name):
    prompt = parse(f'+++\nstrategy = "{name}"\n+++\n{TALK}')
    engine = RuleEngine(lambda messages, choice: last(messages))
    if name not in ("direct", "few-shot", "chain-of-thought"):
        with pytest.raises(UnsupportedError, match=f"{name} takes several calls"):
            export(prompt, GERMAN)
        return
    asyncio.run(prompt.answer(GERMAN, LanguageModel(engine)))
    [request] = engine.requests
    assert request.messages == export(prompt, GERMAN)["messages"]
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 512)
