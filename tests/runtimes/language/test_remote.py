"""The engine of an endpoint, against a real HTTP server that says what OpenAI's, vLLM's and others say, or worse."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from contextlib import aclosing

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import (
    ContextError,
    EngineGoneError,
    OverloadedError,
    RequestError,
    RuntimeLoadError,
    UnsupportedError,
)
from mainspring.runtimes.language import remote_calls
from mainspring.runtimes.language.protocol import (
    Chosen,
    Delta,
    Generate,
    JsonSchema,
    Likely,
    Sampling,
    Structure,
    ToolCall,
    Usage,
)
from mainspring.runtimes.language.remote import RemoteEngine, RemoteSettings, read_settings, server_sent
from mainspring.runtimes.language.remote_calls import asked_wait, refusal_of
from runtimes.language.conftest import read, until
from runtimes.language.endpoint import HELLO, RESET, USAGE, Endpoint, Reply, chat, event, refusal, stream

ASKED = Generate(messages=[{"role": "user", "content": "hi"}])
KEY = "sk-very-secret-0123456789"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module")
def server():
    with Endpoint().running() as running:
        yield running


@pytest.fixture
def answer(server, monkeypatch):
    """What the engine gives when the server replies so: the pieces, or what `task(engine)` gives."""
    monkeypatch.setattr(remote_calls, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)

    def run(*replies, request=ASKED, task=None, **settings):
        server.say(*replies)

        async def asked():
            chosen = {"url": server.url, "model": "m", "key_environment": "TEST_KEY", "timeout": 5.0} | settings
            engine = RemoteEngine(RemoteSettings(**chosen))
            try:
                return await (task(engine) if task else read(engine.generate(request)))
            finally:
                await engine.close()

        return asyncio.run(asked())

    return run


def test_an_answer_is_streamed(answer, server):
    assert answer(HELLO) == [
        Delta(text="Hel", tokens=1),
        Delta(text="lo", tokens=1),
        Delta(finish="stop"),
        Usage(9, 2, 4),
    ]
    [request] = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_all_that_is_asked_for_is_passed_on(answer, server):
    sampling = Sampling(
        max_tokens=7,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=0,
        stop=("a", "b"),
        logprobs=2,
        ignore_end=True,
    )
    schema = {"type": "object"}
    request = Generate(
        messages=ASKED.messages,
        tools=TOOLS,
        tool_choice="weather",
        parallel_tool_calls=False,
        structure=JsonSchema(schema),
        sampling=sampling,
    )
    answer(HELLO, request=request)
    body = server.requests[0].body
    for known in ("model", "messages", "stream", "stream_options"):
        del body[known]
    assert body == {
        "max_tokens": 7,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 0,
        "stop": ["a", "b"],
        "logprobs": True,
        "top_logprobs": 2,
        "ignore_eos": True,
        "tools": TOOLS,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    }
    answer(HELLO, request=msgspec.structs.replace(request, structure=Structure(), tool_choice="required"))
    assert server.requests[0].body["response_format"] == {"type": "json_object"}
    assert server.requests[0].body["tool_choice"] == "required"


def test_a_prompt_is_completed(answer, server):
    logprobs = {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -0.5, "c": -1.5}],
        "text_offset": [0, 1],
    }
    completion = {"id": "cmpl-1", "object": "text_completion", "model": "m"}
    pieces = answer(
        stream(
            completion | {"choices": [{"index": 0, "text": "ab", "logprobs": logprobs, "finish_reason": None}]},
            completion | {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}]},
            USAGE,
        ),
        request=Generate(prompt=[1, 2], sampling=Sampling(logprobs=2, max_tokens=2)),
    )
    first = Delta(
        text="ab",
        tokens=2,
        logprobs=(
            Chosen("a", -9999.0, b"a"),
            Chosen("b", -0.5, b"b", (Likely("b", -0.5, b"b"), Likely("c", -1.5, b"c"))),
        ),
    )
    assert pieces == [first, Delta(finish="length"), Usage(9, 2, 4)]
    assert server.requests[0].path == "/v1/completions"
    assert server.requests[0].body["prompt"] == [1, 2]
    assert server.requests[0].body["logprobs"] == 2


def test_logprobs_of_a_chat_keep_bytes_that_are_no_text(answer):
    said = chat("�")
    said["choices"][0]["logprobs"] = {
        "content": [
            {
                "token": "�",
                "logprob": -0.25,
                "bytes": [240, 159],
                "top_logprobs": [{"token": "�", "logprob": -0.25, "bytes": [240, 159]}, {"token": "é", "logprob": -2}],
            }
        ],
        "refusal": None,
    }
    first = answer(stream(said, chat(finish="stop"), USAGE), request=with_sampling(logprobs=2))[0]
    top = (Likely("�", -0.25, b"\xf0\x9f"), Likely("é", -2, "é".encode()))
    assert first.logprobs == (Chosen("�", -0.25, b"\xf0\x9f", top),)
    assert first.tokens == 1


def with_sampling(**sampling):
    return msgspec.structs.replace(ASKED, sampling=Sampling(**sampling))


def test_several_choices_and_tool_calls_in_pieces(answer):
    def call(index, **function):
        more = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, "function": function} | more]}

    pieces = answer(
        stream(
            chat(**call(0, name="weather", arguments="")),
            chat(**call(0, arguments='{"a":')),
            chat(**call(1, name="weather", arguments="{}")),
            chat("b", index=1),
            chat(**call(0, arguments=" 1}")),
            chat(finish="tool_calls"),
            chat(finish="content_filter", index=1),
            USAGE,
        ),
        request=msgspec.structs.replace(ASKED, tools=TOOLS, sampling=Sampling(n=2)),
    )
    assert [call for piece in pieces[:-1] for call in piece.tool_calls] == [
        ToolCall(0, "call_0", "weather", ""),
        ToolCall(0, None, None, '{"a":'),
        ToolCall(1, "call_1", "weather", "{}"),
        ToolCall(0, None, None, " 1}"),
    ]
    assert [(piece.index, piece.finish) for piece in pieces[:-1] if piece.finish] == [(0, "tool_calls"), (1, "stop")]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_read_however_they_are_cut(sizes, end):
    content = b': ping\n\ndata: {"a":1}\n\nevent: x\ndata:two\ndata: lines\nid: 1\n\n\n\ndata: last\n\n'.replace(
        b"\n", end
    )

    async def pieces():
        at, number = 0, 0
        while at < len(content):
            size = sizes[number % len(sizes)]
            yield content[at : at + size]
            at, number = at + size, number + 1

    assert asyncio.run(read(server_sent(pieces()))) == [b'{"a":1}', b"two\nlines", b"last"]


def test_an_endless_event_is_cut_off():
    async def pieces():
        while True:
            yield b"data: " + b"x" * 100_000

    async def lines():
        while True:
            yield b"data: " + b"x" * 100_000 + b"\n"

    for source in (pieces(), lines()):
        with pytest.raises(EngineGoneError, match="an event of more than 4,194,304 bytes"):
            asyncio.run(read(server_sent(source)))


def test_a_server_without_usage_is_taken_as_it_is(answer, caplog):
    assert answer(Reply([event(chat("a")), event(chat("b", "stop")).rstrip()])) == [
        Delta(text="a", tokens=1),
        Delta(text="b", tokens=1, finish="stop"),
        Usage(0, 2),
    ]
    assert "does not say how many tokens it takes" in caplog.text


BROKEN = {
    "cut between events": (Reply([event(chat("a"))]), "before it was complete"),
    "done too early": (stream(chat("a")), "before it was complete"),
    "one choice missing": (stream(chat("a", "stop"), USAGE), "before it was complete"),
    "cut in a chunk": (Reply([event(chat("a")), event(chat("b"))[:9]], cut=True), "broke off in the middle"),
    "reset": (Reply([event(chat("a")), RESET], pause=0.05), "broke off in the middle"),
    "silent": (Reply([event(chat("a")), b": ping\n\n"], pause=2.0), "silent for too long"),
    "no JSON": (stream(chat("a"), b"{"), "not of OpenAI's API"),
    "other JSON": (stream(chat("a"), {"choices": 3}), "not of OpenAI's API"),
    "not UTF-8": (stream(chat("a"), b'{"choices": "\xff"}'), "not of OpenAI's API"),
    "an error": (stream(chat("a"), {"error": {"message": "CUDA out of memory", "code": 500}}), "CUDA out of memory"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_breaks_is_never_taken_for_whole(answer, server, what):
    reply, said = BROKEN[what]
    seen = []

    async def task(engine):
        asked = with_sampling(n=2) if what == "one choice missing" else ASKED
        pieces = engine.generate(asked)
        seen.append(await anext(pieces))
        seen.extend(await read(pieces))

    with pytest.raises(EngineGoneError, match=said):
        answer(reply, task=task, timeout=0.5)
    assert seen[0].text == "a"
    assert not any(isinstance(piece, Usage) for piece in seen)
    assert len(server.requests) == 1  # a piece was given: there is no other try


def test_one_that_does_not_stream_says_so(answer):
    whole = Reply([b'{"choices": [{"message": {"content": "hi"}}]}'], headers={"Content-Type": "application/json"})
    with pytest.raises(EngineGoneError, match="does not stream"):
        answer(whole)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_tried_again(answer, server, status):
    assert answer(refusal(status), refusal(status), HELLO)[-1] == Usage(9, 2, 4)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "broken", [Reply([RESET]), Reply(silent=True), Reply(silent=True, pause=0.02)], ids=["reset", "closed", "later"]
)
def test_a_connection_that_breaks_before_an_answer_is_tried_again(answer, server, broken):
    """A reset after the status line is one after the answer began."""
    if broken.pieces:
        with pytest.raises(EngineGoneError, match="broke off"):
            answer(broken, HELLO)
        return
    assert answer(broken, HELLO)[-1] == Usage(9, 2, 4)
    assert len(server.requests) == 2


def test_tries_end(answer, server):
    for reply, kind in (
        (refusal(429), OverloadedError),
        (refusal(503), EngineGoneError),
        (Reply(silent=True), EngineGoneError),
    ):
        with pytest.raises(kind):
            answer(reply, retries=2)
        assert len(server.requests) == 3
        with pytest.raises(kind):
            answer(reply, retries=0)
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 422])
def test_what_will_not_pass_is_not_tried_again(answer, server, status):
    with pytest.raises((EngineGoneError, RequestError)):
        answer(refusal(status), HELLO)
    assert len(server.requests) == 1


def test_one_that_is_slow_to_begin_is_not_asked_twice(answer, server):
    with pytest.raises(EngineGoneError, match="did not begin to answer in time"):
        answer(Reply(silent=True, pause=3.0), HELLO, timeout=0.3)
    assert len(server.requests) == 1


def test_nobody_there(answer):
    with pytest.raises(EngineGoneError, match=r"the endpoint 127\.0\.0\.1:9 does not answer"):
        answer(HELLO, url="http://127.0.0.1:9/v1", retries=1)


def test_retry_after_is_respected(answer, server):
    began = time.monotonic()
    answer(refusal(429, headers={"Retry-After": "0.4"}), HELLO)
    assert time.monotonic() - began >= 0.4
    with pytest.raises(OverloadedError):  # to wait for minutes is for whoever asked to decide
        answer(refusal(429, headers={"Retry-After": "61"}), HELLO)
    assert len(server.requests) == 1


def test_retry_after_is_seconds_or_a_date():
    assert asked_wait({"retry-after": "3"}) == 3.0
    assert asked_wait({"retry-after": "-3"}) == 0.0
    assert 50 < asked_wait({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)}) <= 60
    assert asked_wait({"retry-after": email.utils.formatdate(0)}) == 0.0
    for nothing in ("", "soon", "nan", "inf", "1e999"):
        assert asked_wait({"retry-after": nothing}) is None
    assert asked_wait({}) is None


def test_closing_the_iterator_closes_the_connection(answer, server):
    long = stream(*[chat("a")] * 500, pause=0.05)

    async def task(engine):
        async with aclosing(engine.generate(ASKED)) as pieces:
            await anext(pieces)
        await until(lambda: server.left == 1, "the endpoint to notice", 2)
        reading = asyncio.create_task(read(engine.generate(ASKED)))
        await until(lambda: len(server.requests) == 2, "the request to arrive")
        await asyncio.sleep(0.1)
        reading.cancel()
        await until(lambda: server.left == 2, "the endpoint to notice", 2)

    answer(long, task=task)


CONTEXT = {
    "OpenAI": refusal(
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        type="invalid_request_error",
        param="messages",
        code="context_length_exceeded",
    ),
    "vLLM": Reply(
        [
            b'{"object":"error","message":"This model\'s maximum context length is 8192 tokens. However, you requested '
            b'9000 tokens","type":"BadRequestError","param":null,"code":400}'
        ],
        400,
        {"Content-Type": "application/json"},
    ),
    "TGI": Reply(
        [
            b'{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. '
            b'Given: 4000 `inputs` tokens and 500 `max_new_tokens`","error_type":"validation"}'
        ],
        422,
        {"Content-Type": "application/json"},
    ),
    "llama.cpp": refusal(
        400,
        "the request exceeds the available context size, try increasing it",
        code=400,
        type="exceed_context_size_error",
    ),
}


@pytest.mark.parametrize("who", CONTEXT)
def test_a_context_that_is_too_long_is_told_as_such(answer, who):
    with pytest.raises(ContextError, match=r"context|max_new_tokens") as caught:
        answer(CONTEXT[who])
    assert caught.value.place == "messages"


def test_other_mistakes_name_their_place(answer):
    with pytest.raises(RequestError, match="must be less than 2") as caught:
        answer(refusal(400, "temperature must be less than 2", param="temperature"))
    assert caught.value.place == "temperature"
    assert not isinstance(caught.value, ContextError)
    with pytest.raises(RequestError, match="field required"):
        answer(Reply([b'{"detail":[{"msg":"field required"}]}'], 422, {"Content-Type": "application/json"}))
    with pytest.raises(RequestError, match=r"refuses this \(400\)"):
        answer(Reply([], 400))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"refuses the key in TEST_KEY \(401\)"),
        (403, r"refuses the key in TEST_KEY \(403\)"),
        (404, "no such model or path"),
        (307, "answered with status 307"),
    ],
)
def test_wrong_settings_are_told_in_clear_words_and_without_the_key(answer, status, said, caplog):
    caplog.set_level("DEBUG")
    with pytest.raises(EngineGoneError, match=said) as caught:
        answer(refusal(status, f"Incorrect API key provided: {KEY}."))
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


def test_the_key_does_not_pass_in_an_event_either(answer):
    with pytest.raises(EngineGoneError, match="bad key …") as caught:
        answer(stream(chat("a"), {"error": f"bad key {KEY}"}))
    assert KEY not in str(caught.value)


def test_without_a_key_none_is_sent(answer, server):
    answer(HELLO, key_environment=None)
    assert "authorization" not in server.requests[0].headers


def test_a_long_error_is_not_read_to_its_end(answer):
    with pytest.raises(RequestError) as caught:
        answer(Reply([b"x" * 50_000] * 100, 400))
    assert len(str(caught.value)) == 500


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"\xff", b"{", b'{"error": null}', b'{"error": {"message": 3}}'])
def test_an_error_in_no_known_form_is_still_one(content):
    assert isinstance(refusal_of(content).message, str)


def test_the_newer_name_of_the_limit_is_learnt(answer, server):
    old = refusal(
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )

    async def task(engine):
        return [await read(engine.generate(with_sampling(max_tokens=5))) for _ in range(2)]

    first, second = answer(old, HELLO, task=task)
    assert first == second
    names = [[name for name in request.body if name.startswith("max")] for request in server.requests]
    assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


@pytest.mark.parametrize(
    ("settings", "request_", "place"),
    [
        ({"tools": False}, msgspec.structs.replace(ASKED, tools=TOOLS), "tools"),
        ({"structures": ["json_object"]}, msgspec.structs.replace(ASKED, structure=JsonSchema({})), "response_format"),
        ({"logprobs": None}, with_sampling(logprobs=0), "logprobs"),
        ({"logprobs": 5}, with_sampling(logprobs=6), "top_logprobs"),
        ({"seed": False}, with_sampling(seed=1), "seed"),
        ({"chat": False}, ASKED, "messages"),
        ({}, msgspec.structs.replace(ASKED, lookup=True), "lookup"),
        ({"embeds": 3}, Generate(prompt="a"), "model"),
    ],
)
def test_what_the_endpoint_cannot_do_is_refused_here(answer, server, settings, request_, place):
    with pytest.raises(UnsupportedError) as caught:
        answer(HELLO, request=request_, **settings)
    assert caught.value.place == place
    assert not server.requests


def test_count_asks_for_one_token(answer, server):
    async def task(engine):
        return await engine.count(ASKED)

    assert answer(HELLO, task=task) == 9
    assert server.requests[0].body["max_tokens"] == 1
    with pytest.raises(UnsupportedError, match="does not say how many tokens"):
        answer(stream(chat("a", "stop")), task=task)


def vectors(*items, tokens=5):
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in items]
    body = {"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return Reply([json.dumps(body).encode()], headers={"Content-Type": "application/json"})


def test_vectors_come_in_order_and_of_length_one(answer, server):
    async def task(engine):
        return await engine.embed(["a", "b"]), engine.capabilities, await engine.count(Generate(prompt="a"))

    replies = vectors((1, [0.0, 3.0, 4.0]), (0, [2, 0, 0])), vectors((0, [1, 0, 0]), tokens=2)
    (found, tokens), able, count = answer(*replies, task=task, embeds=3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 0.6, 0.8]], atol=1e-7)
    assert (tokens, count) == (5, 2)
    assert able.embeds == 3
    assert not able.generates
    assert server.requests[0].path == "/v1/embeddings"
    assert server.requests[0].body == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}


@pytest.mark.parametrize(
    "reply",
    [
        vectors((0, [1, 0, 0])),
        vectors((0, [1, 0, 0]), (0, [1, 0, 0])),
        vectors((0, [1, 0, 0]), (2, [1, 0, 0])),
        vectors((0, [1, 0, 0]), (1, [1, 0])),
        Reply([b"{}"], headers={"Content-Type": "application/json"}),
        Reply([b'{"data": ['], headers={"Content-Type": "application/json"}),
        Reply([b'{"data"'], headers={"Content-Type": "application/json"}, cut=True),
    ],
)
def test_vectors_that_do_not_fit_the_texts_are_refused(answer, reply):
    async def task(engine):
        await engine.embed(["a", "b"])

    with pytest.raises(EngineGoneError):
        answer(reply, task=task, embeds=3)


def test_one_that_writes_gives_no_vectors(answer):
    async def task(engine):
        await engine.embed(["a"])

    with pytest.raises(UnsupportedError):
        answer(HELLO, task=task)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "ftp://h/v1"}, "expected http:// or https://"),
        ({"url": "h/v1"}, "expected http:// or https://"),
        ({"url": "http://"}, "and a host"),
        ({"url": "http://h:x/v1"}, "is no URL"),
        ({"url": "http://user:pass@h/v1"}, "put the key into an environment variable"),
        ({"url": "http://h/v1?key=3"}, "put the key into an environment variable"),
        ({"key_environment": "TEST_NO_KEY"}, "environment variable TEST_NO_KEY is to have the endpoint's key"),
        ({"key_environment": "TEST_ODD_KEY"}, "odd characters"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(monkeypatch, changes, said):
    monkeypatch.setenv("TEST_ODD_KEY", "a\nHost: b")
    with pytest.raises(RuntimeLoadError, match=said):
        RemoteEngine(RemoteSettings(**{"url": "http://h/v1", "model": "m"} | changes))


def test_settings_are_read_from_a_file(tmp_path):
    path = tmp_path / "remote.json"
    path.write_text('{"url": "http://h/v1", "model": "m", "key_environment": "K", "timeout": 3, "context": 100}')
    assert read_settings(path).context == 100
    for wrong in ("", "{}", '{"url": "h", "model": "m", "key": "sk"}', '{"url": "h", "model": "m", "timeout": 0}'):
        path.write_text(wrong)
        with pytest.raises(RuntimeLoadError, match=r"remote\.json does not say where an endpoint is"):
            read_settings(path)
    with pytest.raises(RuntimeLoadError):
        read_settings(tmp_path / "none.json")
