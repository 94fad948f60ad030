"""By the text that they write, against transformers."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import render_jinja_template
from weights_at_hand import smollm2_gguf

from mainspring.errors import RequestError, WeightsError
from mainspring.runtimes.language import chat_template
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.tokens import Tokenizer
from runtimes.language import vocabularies

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather <now> & 'then'",
            "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        },
    }
]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is it warm in Île-de-France?  \n"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": {"place": "Paris"}}}
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": '{"°C": 31}'},
    {"role": "user", "content": "And <|im_end|> tomorrow?"},
]
# In the manner of those that come with Qwen 2.5, Llama 3 and Mistral.
SOURCES = {
    "tools": """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}
            {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson(indent=2) + '}\\n</tool_call>' }}
        {%- endfor %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "loops": """
{% set ns = namespace(seen=0) %}
{{ bos_token }}
{% for message in messages %}
    {% if message['role'] == 'tool' %}{% continue %}{% endif %}
    {% if ns.seen > 2 %}{% break %}{% endif %}
    {% set ns.seen = ns.seen + 1 %}
    {% generation %}{{ message['content'] }}{% endgeneration %}
    [{{ loop.index0 }}]
{% endfor %}
{{ eos_token }}
""",
    "date": "{{ strftime_now('%Y') }}{% if thinking is defined and thinking %}<think>{% endif %}",
}


def as_in_transformers(source, messages, tools=None, add_generation_prompt=True, **extra):
    [text], _ = render_jinja_template(
        [messages],
        tools=tools,
        chat_template=source,
        add_generation_prompt=add_generation_prompt,
        bos_token="<s>",
        eos_token="</s>",
        **extra,
    )
    return text


@pytest.fixture(scope="module")
def smollm2():
    return ChatTemplate.from_gguf(smollm2_gguf())


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_gguf(smollm2_gguf())


@pytest.fixture(scope="module")
def in_transformers():
    return AutoTokenizer.from_pretrained(smollm2_gguf().parent, gguf_file=smollm2_gguf().name)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("tools", [None, TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_it_writes_what_transformers_writes(source, tools, add_generation_prompt):
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    for extra in ({}, {"thinking": True}):
        asked = (CHAT, tools, add_generation_prompt)
        assert template.render(*asked, **extra) == as_in_transformers(source, *asked, **extra)


MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant"]),
            "content": st.text(max_size=20) | st.just("<|im_end|>"),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(messages=MESSAGES, add_generation_prompt=st.booleans())
@settings(max_examples=100, deadline=None)
def test_smollm2s_chats_are_the_same_tokens(smollm2, tokenizer, in_transformers, messages, add_generation_prompt):
    text = smollm2.render(messages, add_generation_prompt=add_generation_prompt)
    asked = {"add_generation_prompt": add_generation_prompt}
    assert text == in_transformers.apply_chat_template(messages, tokenize=False, **asked)
    if not any(character.isnumeric() for character in text):  # see test_tokens.DIGITLESS
        expected = in_transformers.apply_chat_template(messages, **asked)["input_ids"]
        assert tokenizer.encode(text) == expected


def test_parts_of_text_are_joined_and_others_refused(smollm2):
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]
    joined = smollm2.render([{"role": "user", "content": parts}])
    assert joined == smollm2.render([{"role": "user", "content": "Hello there"}])
    for wrong in (
        {"type": "image_url", "image_url": {"url": "x"}},
        "text",
        {"type": "text"},
        {"type": "text", "text": 3},
    ):
        with pytest.raises(RequestError, match="reads text only") as refused:
            smollm2.render([{"role": "user", "content": [parts[0], wrong]}])
        assert refused.value.place == "messages[0].content[1]"


def test_whether_it_knows_tools(smollm2):
    assert not smollm2.knows_tools
    assert ChatTemplate(SOURCES["tools"]).knows_tools
    assert not ChatTemplate("{% set tools = 3 %}{{ tools }}").knows_tools


def test_what_the_template_raises_is_told():
    alternate = "{{ raise_exception('roles must alternate') }}"
    for source, message in (
        (alternate, "roles must alternate"),
        ("{{ 1 // 0 }}", "zero"),
        ("{{ messages[9].x }}", "9"),
    ):
        with pytest.raises(RequestError, match=message) as refused:
            ChatTemplate(source).render(CHAT)
        assert refused.value.place == "messages"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(3) }}",
        "{{ raise_exception.__globals__.os }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{% include '/etc/hostname' %}",
    ],
)
def test_the_sandbox_holds(source):
    with pytest.raises(RequestError):
        ChatTemplate(source).render(CHAT)


@pytest.mark.parametrize(
    "source",
    [
        "{% set many = range(99999) %}{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% macro twice(n) %}{% if n %}{{ twice(n - 1) }}{{ twice(n - 1) }}{% endif %}{% endmacro %}{{ twice(60) }}",
    ],
)
def test_a_template_that_never_ends_is_ended(monkeypatch, source):
    monkeypatch.setattr(chat_template, "MOST_SECONDS", 0.2)
    with pytest.raises(RequestError, match=r"longer than 0\.2 seconds"):
        ChatTemplate(source).render(CHAT)


def test_a_template_that_writes_too_much_is_ended():
    with pytest.raises(RequestError, match="more than 16,777,216 characters"):
        ChatTemplate("{% for a in range(99999) %}{{ messages[0].content }}{% endfor %}").render(
            [{"role": "user", "content": "x" * 1000}]
        )


@pytest.mark.parametrize("source", ["{% for %}", "{{ x", "{% wrong %}", "x" * (chat_template.MOST_TEMPLATE + 1)])
def test_what_is_no_template_is_refused(source):
    with pytest.raises(WeightsError, match="the chat template of the model"):
        ChatTemplate(source)


def test_messages_that_are_no_plain_data_are_refused(smollm2):
    with pytest.raises(RequestError, match="plain JSON"):
        smollm2.render([{"role": "user", "content": object()}])


def test_a_folder_may_have_a_template_in_either_place(tmp_path):
    folder = vocabularies.byte_level(tmp_path, "gpt-2").folder
    assert ChatTemplate.from_folder(folder) is None
    config = json.loads((folder / "tokenizer_config.json").read_text())
    for written in (
        "{{ eos_token }}!",
        [{"name": "x", "template": "no"}, {"name": "default", "template": "{{ eos_token }}!"}],
    ):
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": written}))
        assert ChatTemplate.from_folder(folder).render(CHAT) == "<|im_end|>!"
    (folder / "chat_template.jinja").write_text("{{ bos_token }}?")
    assert ChatTemplate.from_folder(folder).render(CHAT) == "<|begin|>?"
    assert ChatTemplate.from_gguf(folder / "model.gguf") is None
    (folder / "tokenizer_config.json").write_text("[")
    with pytest.raises(WeightsError, match="cannot be read"):
        ChatTemplate.from_folder(folder)
