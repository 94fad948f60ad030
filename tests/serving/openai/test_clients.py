"""The clients that people use: OpenAI's for Python, LangChain's and LlamaIndex's chat classes."""

import asyncio
import json

import httpx
import numpy as np
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from projects import wait_until
from pydantic import BaseModel

from mainspring.serving import keys

from .reciter import CACHED

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


PERSON = '{"name": "Ann", "age": 31}'


def user(text):
    return [{"role": "user", "content": text}]


# OpenAI's own


def test_a_whole_answer(languages):
    found = languages.openai.chat.completions.create(
        model="desk", messages=user("one two"), logprobs=True, top_logprobs=2, n=2, seed=1, temperature=0, stop=["x"]
    )
    assert found.choices[1].message.content == "one two"
    assert found.choices[0].finish_reason == "stop"
    assert found.choices[0].logprobs.content[1].top_logprobs[1].token == "r1"
    assert found.usage.prompt_tokens_details.cached_tokens == CACHED
    assert found.system_fingerprint
    assert found._request_id


def test_a_stream(languages):
    chunks = list(
        languages.openai.chat.completions.create(
            model="desk", messages=user("one two"), stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one two"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 4


def test_the_streaming_helper_puts_tool_calls_together(languages):
    said = user('call add {"a": 1} | add {"a": 2}')
    with languages.openai.chat.completions.stream(model="desk", messages=said, tools=[TOOL]) as stream:
        kinds = [event.type for event in stream]
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"a": 1}, {"a": 2}]
    assert kinds.count("tool_calls.function.arguments.done") == 2


def test_a_tool_is_called_and_its_result_sent_back(languages):
    messages = user('call add {"a": 1}')
    create = languages.openai.chat.completions.create
    message = create(model="desk", messages=messages, tools=[TOOL], tool_choice="required").choices[0].message
    (call,) = message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "it is two"}]
    found = create(model="desk", messages=messages, tools=[TOOL], parallel_tool_calls=False)
    assert found.choices[0].message.content == "it is two"
    messages += [found.choices[0].message, *user("thanks")]
    assert create(model="desk", messages=messages).choices[0].message.content == "thanks"


def test_structured_output_is_parsed(languages):
    parse = languages.openai.chat.completions.parse
    message = parse(model="desk", messages=user(PERSON), response_format=Person).choices[0].message
    assert message.parsed == Person(name="Ann", age=31)
    tools = [openai.pydantic_function_tool(Person)]
    found = parse(model="desk", messages=user(f"call Person {PERSON}"), tools=tools)
    assert found.choices[0].message.tool_calls[0].function.parsed_arguments == Person(name="Ann", age=31)
    text = languages.openai.chat.completions.create(
        model="desk", messages=user("{}"), response_format={"type": "json_object"}
    )
    assert text.choices[0].message.content == "{}"


def test_completions_embeddings_and_models(languages):
    client = languages.openai
    assert client.completions.create(model="writer", prompt="one two").choices[0].text == "one two"
    pieces = client.completions.create(model="writer", prompt="one two", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == "one two"
    # The client asks for base64 by itself, and gives floats.
    found = client.embeddings.create(model="vectors", input=["ab", "abcd"])
    assert np.linalg.norm(found.data[1].embedding) == pytest.approx(1, abs=1e-6)
    plain = client.embeddings.create(model="vectors", input=["ab", "abcd"], encoding_format="float")
    assert plain.data[1].embedding == pytest.approx(found.data[1].embedding, abs=1e-7)
    assert [model.id for model in client.models.list()] == ["desk", "vectors", "writer"]
    assert client.models.retrieve("desk:1").owned_by == "airdesk"


def test_errors_have_the_classes_of_the_client(languages):
    create = languages.openai.chat.completions.create
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="desk", messages=user("a"), temperature=3)
    assert (refused.value.param, refused.value.type) == ("temperature", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="desk", messages=user("fail context"))
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError, match="there are: delay, desk"):
        create(model="gpt", messages=user("a"))
    with pytest.raises(openai.NotFoundError):
        languages.openai.models.retrieve("gpt")
    with pytest.raises(openai.RateLimitError) as refused:
        create(model="desk", messages=user("fail full"), stream=True)
    assert refused.value.response.headers["retry-after"] == "1"
    with pytest.raises(openai.InternalServerError):
        create(model="desk", messages=user("fail defect"))
    with pytest.raises(openai.APIError, match="512 answers"):
        list(create(model="desk", messages=user("break full of words"), stream=True))


def test_a_key_is_sent_as_the_client_does(start_languages):
    served = start_languages()
    secret = keys.create(served.state, "app")
    wait_until(lambda: served.ask().status_code == 401, "the key to be needed")
    with pytest.raises(openai.AuthenticationError):
        served.openai.models.list()
    assert served.openai.with_options(api_key=secret).models.list().data[0].id == "desk"


def test_the_asynchronous_client(languages):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{languages.url}/v1", api_key="none", max_retries=0) as client:
            create = client.chat.completions.create
            whole = await asyncio.gather(*(create(model="desk", messages=user(f"word {k}")) for k in range(20)))
            assert [found.choices[0].message.content for found in whole] == [f"word {k}" for k in range(20)]
            text = ""
            async for chunk in await create(model="desk", messages=user("one two"), stream=True):
                text += chunk.choices[0].delta.content or ""
            assert text == "one two"
            # Leaving a stream ends it.
            stream = await create(model="desk", messages=user("slowly 0.05 left " + "word " * 300), stream=True)
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            await stream.close()

    asyncio.run(ask())
    languages.noted("cancel " + ("slowly 0.05 left " + "word " * 300)[:40])


# LangChain


@pytest.fixture
def langchain(languages):
    return ChatOpenAI(model="desk", base_url=f"{languages.url}/v1", api_key="none", max_retries=0)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_langchain_answers_and_streams(langchain):
    answer = langchain.invoke([SystemMessage("Be brief."), HumanMessage("one two")])
    assert answer.content == "one two"
    assert answer.usage_metadata["total_tokens"] == 6
    assert answer.usage_metadata["input_token_details"]["cache_read"] == CACHED
    assert answer.response_metadata["model_name"] == "desk"
    chunks = list(langchain.stream("one two"))
    assert "".join(chunk.content for chunk in chunks) == "one two"
    assert langchain.bind(stop=["two"]).invoke("one two").content == "one "
    assert [answer.content for answer in langchain.batch(["a", "b", "c"])] == ["a", "b", "c"]


def test_langchain_calls_tools(langchain):
    able = langchain.bind_tools([add])
    said = HumanMessage('call add {"a": 1, "b": 2}')
    answer = able.invoke([said])
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("add", {"a": 1, "b": 2})
    done = able.invoke([said, answer, ToolMessage("three", tool_call_id=call["id"])])
    assert isinstance(done, AIMessage)
    assert done.content == "three"
    together = None
    for chunk in able.stream([said]):
        together = chunk if together is None else together + chunk
    assert together.tool_calls[0]["args"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
def test_langchain_gets_structured_output(langchain, method):
    said = f"call Person {PERSON}" if method == "function_calling" else PERSON
    assert langchain.with_structured_output(Person, method=method).invoke(said) == Person(name="Ann", age=31)


def test_langchain_embeds(languages):
    embeddings = OpenAIEmbeddings(
        model="vectors", base_url=f"{languages.url}/v1", api_key="none", check_embedding_ctx_length=False
    )
    assert np.linalg.norm(embeddings.embed_query("a")) == pytest.approx(1, abs=1e-6)
    assert len(embeddings.embed_documents(["a", "b"])) == 2


# LlamaIndex


def make_llamaindex(served, **more):
    return OpenAILike(
        model="desk",
        api_base=f"{served.url}/v1",
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=8192,
        max_retries=0,
        **more,
    )


@pytest.fixture
def llamaindex(languages):
    return make_llamaindex(languages)


def test_llamaindex_answers_and_streams(llamaindex):
    answer = llamaindex.chat([ChatMessage(role="system", content="Be brief."), ChatMessage(content="one two")])
    assert answer.message.content == "one two"
    *_, last = llamaindex.stream_chat([ChatMessage(content="one two")])
    assert last.message.content == "one two"
    assert llamaindex.complete("one").text == "one"


def test_llamaindex_asynchronously(languages):
    async def ask():
        async with httpx.AsyncClient() as client:  # its own it never closes
            return await make_llamaindex(languages, async_http_client=client).achat([ChatMessage(content="one")])

    assert asyncio.run(ask()).message.content == "one"


def test_llamaindex_calls_tools(llamaindex):
    tools = [FunctionTool.from_defaults(fn=lambda a, b: a + b, name="add")]
    answer = llamaindex.chat_with_tools(tools, user_msg='call add {"a": 1, "b": 2}')
    (call,) = llamaindex.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("add", {"a": 1, "b": 2})


def test_llamaindex_gets_structured_output(llamaindex):
    said = [ChatMessage(content=f"call Person {PERSON}")]
    assert llamaindex.as_structured_llm(Person).chat(said).raw == Person(name="Ann", age=31)
