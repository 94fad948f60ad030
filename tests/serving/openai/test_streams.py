"""Streams over real sockets: clients that go away, engines that fail or die, silence, limits, and what is counted."""

import asyncio
import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from projects import wait_until

from mainspring.monitoring import segments
from mainspring.registry import desired
from mainspring.serving import keys, server
from mainspring.serving.openai import asking

from .conftest import publish

SLOW = "slowly 0.05 " + "word " * 400


def body(text, **more):
    return {"model": "desk", "messages": [{"role": "user", "content": text}], **more}


@contextlib.contextmanager
def streaming(served, text, **more):
    with served.client.stream("POST", "/v1/chat/completions", json=body(text, stream=True, **more)) as answer:
        yield answer, answer.iter_lines()


def test_pieces_come_as_they_are_made(languages):
    started = time.monotonic()
    with streaming(languages, "slowly 0.2 one two three") as (answer, lines):
        assert answer.status_code == 200
        seen = [(time.monotonic() - started, line) for line in lines if line]
    times = [seconds for seconds, line in seen if '"content":"' in line and '"role"' not in line]
    assert len(times) == 3
    assert times[-1] - times[0] > 0.3


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_generation(languages, stream):
    text = f"slowly 0.05 {stream} " + "word " * 400
    with socket.create_connection(("127.0.0.1", languages.port)) as connection:
        content = json.dumps(body(text, stream=stream)).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(head + b"content-length: %d\r\n\r\n%b" % (len(content), content))
        languages.noted(f"begin {text[:40]}")
        if stream:
            connection.recv(100)
    gone = time.monotonic()
    languages.noted(f"cancel {text[:40]}")
    assert time.monotonic() - gone < 2
    wait_until(lambda: languages.gateway.edge.in_flight == 0, "the request to end")
    wait_until(lambda: languages.gateway.slots.find("desk").live.leases == 0, "the lease to end")
    assert languages.log_lines()[-1]["status"] == 499


def test_an_error_in_the_middle_is_the_streams_last_event(languages):
    with streaming(languages, "break full of words") as (answer, lines):
        found = [line for line in lines if line]
    assert answer.status_code == 200
    assert found[-1] == (
        'data: {"error":{"message":"512 answers wait already","type":"requests","param":null,'
        '"code":"rate_limit_exceeded"}}'
    )
    assert languages.log_lines()[-1]["status"] == 429
    answer = languages.ask("break full of words")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


def test_an_engine_that_is_killed_ends_its_streams_and_comes_back(start_languages):
    served = start_languages()
    with streaming(served, SLOW) as (_, lines):
        next(lines)
        served.end_engines()
        last = [line for line in lines if line][-1]
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "unavailable")
    answer = served.ask()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert served.predict().status_code == 200, "other models never notice"
    served.begin_engines()
    wait_until(lambda: served.ask().status_code == 200, "the engine to be back")


def test_a_silent_engine_is_given_up_and_proxies_are_kept_awake(start_languages, monkeypatch):
    monkeypatch.setattr(asking, "QUIET_SECONDS", 0.1)
    served = start_languages('generation_timeout = "500ms"')
    with streaming(served, "slowly 0.3 one two") as (answer, lines):
        found = [line for line in lines if line]
    assert found[0] == ": the model is at work"
    assert found[-1] == "data: [DONE]"
    text = "".join(
        json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in found if '"delta"' in line
    )
    assert text == "one two"
    answer = served.ask("slowly 20 word")
    assert answer.status_code == 503
    assert "0.5 s" in answer.json()["error"]["message"]
    with streaming(served, "slowly 20 other") as (answer, lines):
        found = [line for line in lines if line]
    assert answer.status_code == 200
    assert "0.5 s" in json.loads(found[-1].removeprefix("data: "))["error"]["message"]
    served.noted("cancel slowly 20 word")
    served.noted("cancel slowly 20 other")
    answer = served.ask(messages=..., model="desk", prompt="slowly 20 word", path="/v1/completions", stream=True)
    assert "error" in answer.text


def test_a_client_that_reads_nothing_does_not_keep_its_place(start_languages):
    served = start_languages('generation_timeout = "1s"')
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", served.port))
        content = json.dumps(body("word " * 60_000, stream=True)).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        connection.sendall(head + b"content-length: %d\r\n\r\n%b" % (len(content), content))
        wait_until(lambda: served.gateway.edge.in_flight == 1, "the request to begin")
        wait_until(lambda: served.gateway.edge.in_flight == 0, "the client to be given up", 20)
    assert served.log_lines()[-1]["status"] == 499


def test_streams_count_as_under_way_and_beyond_the_limit_it_is_429(start_languages):
    served = start_languages("queue = 2")
    with streaming(served, SLOW) as (_, one), streaming(served, SLOW) as (_, two):
        next(one)
        next(two)
        answer = served.ask()
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert answer.headers["retry-after"] == "1"
    wait_until(lambda: served.ask().status_code == 200, "the places to be free")


def test_many_streams_at_once_are_each_whole(languages):
    async def ask(client, number):
        text = " ".join(f"{number}.{k}" for k in range(50))
        answer = await client.post("/v1/chat/completions", json=body(text, stream=True))
        deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in answer.text.split("\n\n") if "delta" in line]
        return "".join(delta.get("content") or "" for delta in deltas) == text

    async def all_of_them():
        async with httpx.AsyncClient(base_url=languages.url, timeout=30) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(40)))

    assert all(asyncio.run(all_of_them()))


def test_a_version_is_kept_until_its_streams_end(start_languages):
    served = start_languages()
    with streaming(served, "slowly 0.1 " + "word " * 10) as (_, lines):
        next(lines)
        desired.update(served.state, lambda models: {name: m for name, m in models.items() if name != "desk"})
        wait_until(lambda: served.ask().status_code in (503, 404), "the model to be off")
        assert [line for line in lines if line][-1] == "data: [DONE]"


def test_a_gateway_that_stops_says_so(start_languages, monkeypatch):
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0)
    served = start_languages('timeout = "1s"')
    with ThreadPoolExecutor() as pool, streaming(served, SLOW) as (_, lines):
        next(lines)
        whole = pool.submit(httpx.post, f"{served.url}/v1/chat/completions", json=body(SLOW), timeout=20)
        wait_until(lambda: served.gateway.edge.in_flight == 2, "both to be under way")
        served.server.should_exit = True
        last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["message"] == "the gateway stops: ask again"
        assert whole.result().status_code == 503
        assert whole.result().json()["error"]["message"] == "the gateway stops: ask again"


def test_keys_are_needed_as_everywhere(start_languages):
    served = start_languages()
    secret = keys.create(served.state, "app")
    wait_until(lambda: served.ask().status_code == 401, "the key to be needed")
    assert served.ask().json()["error"]["code"] == "invalid_api_key"
    assert served.client.get("/v1/models").status_code == 401
    served.client.headers["authorization"] = "Bearer ms_no"
    answer = served.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    served.client.headers["authorization"] = f"Bearer {secret}"
    assert served.ask().status_code == 200


def test_times_and_tokens_are_counted(start_languages):
    served = start_languages()
    served.ask("one two three")
    served.ask("one two", stream=True)
    served.ask("fail full")
    served.ask(messages=..., prompt="one", path="/v1/completions")
    with streaming(served, SLOW) as (_, lines):
        next(lines)
        text = served.client.get("/metrics").text
        assert 'mainspring_generations_running{model="desk",version="1"} 1.0' in text
    wait_until(
        lambda: 'mainspring_generations_running{model="desk",version="1"} 0.0' in served.client.get("/metrics").text,
        "nothing to run",
    )
    text = served.client.get("/metrics").text
    chat = 'gen_ai_operation_name="chat",model="desk",version="1"'
    usage = 'gen_ai_operation_name="{}",gen_ai_token_type="{}",model="desk",version="1"'
    for line in (
        f"gen_ai_server_time_to_first_token_seconds_count{{{chat}}} 3.0",
        f"gen_ai_server_time_per_output_token_seconds_count{{{chat}}} 2.0",
        f"gen_ai_client_token_usage_sum{{{usage.format('chat', 'input')}}} 5.0",
        f"gen_ai_client_token_usage_sum{{{usage.format('chat', 'output')}}} 5.0",
        f"gen_ai_client_token_usage_sum{{{usage.format('text_completion', 'output')}}} 1.0",
        f'gen_ai_server_request_duration_seconds_count{{error_type="",{chat}}} 2.0',
        f'gen_ai_server_request_duration_seconds_count{{error_type="429",{chat}}} 1.0',
        f'gen_ai_server_request_duration_seconds_count{{error_type="client_gone",{chat}}} 1.0',
        'mainspring_prompt_tokens_cached_total{model="desk",version="1"} 9.0',
        'mainspring_generations_waiting{model="desk",version="1"} 0.0',
        'mainspring_prediction_rows_total{model="desk",version="1"} 3.0',
        'mainspring_request_seconds_count{code="429",model="desk",version="1"} 1.0',
    ):
        assert line in text, line


def test_what_was_asked_and_answered_is_in_the_prediction_log(start_languages):
    served = start_languages()
    answers = [
        served.ask("one two"),
        served.client.post("/v1/chat/completions", json=body("one", stream=True), headers={"x-prediction-key": "k"}),
        served.ask(messages=..., prompt=["a", "b"], path="/v1/completions"),
    ]
    served.ask("fail full")
    wait_until(
        lambda: 'mainspring_prediction_log_rows_total{model="desk"} 3.0' in served.client.get("/metrics").text,
        "three rows to be written",
    )
    frames = [
        frame
        for path in segments.segments(segments.folder(served.state, "desk"))
        for frame in segments.read(path).frames
        if isinstance(frame, segments.PredictionFrame)
    ]
    ids = [one for frame in frames for one in frame.ids]
    assert ids == [answer.headers["x-prediction-id"] for answer in answers]
    questions = [text for frame in frames for text in frame.texts["messages"]]
    assert questions == ['[{"role":"user","content":"one two"}]', '[{"role":"user","content":"one"}]', '["a","b"]']
    assert [text for frame in frames for text in frame.texts["answer"]] == ["one two", "one", '["a","b"]']
    assert [key for frame in frames for key in frame.keys or [""] * len(frame.ids)] == ["", "k", ""]


@pytest.mark.parametrize(("private", "kept"), [("drop", []), ("hash", ["messages", "answer"])])
def test_private_prompts_and_answers_never_reach_the_disk(start_languages, private, kept):
    served = start_languages(desk=f'private = "{private}"')
    for _ in range(2):
        served.ask("very secret words")
    wait_until(
        lambda: 'mainspring_prediction_log_rows_total{model="desk"} 2.0' in served.client.get("/metrics").text,
        "two rows to be written",
    )
    paths = segments.segments(segments.folder(served.state, "desk"))
    frames = [frame for path in paths for frame in segments.read(path).frames]
    rows = [frame for frame in frames if isinstance(frame, segments.PredictionFrame)]
    assert all(b"secret" not in path.read_bytes() for path in paths)
    assert [list(frame.texts) for frame in rows] == [kept] * len(rows)
    assert all(set(frame.numbers) == {"prompt_tokens", "cached_tokens"} for frame in rows)
    hashes = {text for frame in rows for texts in frame.texts.values() for text in texts}
    assert len(hashes) == len(kept)  # equal texts have equal hashes, which are 16 digits
    assert all(len(text) == 16 for text in hashes)


def test_a_canary_takes_its_share_and_a_caller_stays_with_its_version(start_languages):
    served = start_languages()
    publish(served.state, "desk")
    with served.another_engine("desk", "2"):
        desired.set_canary(served.state, "desk", "2", 0.5)
        wait_until(lambda: len(served.gateway.slots.find("desk").versions) == 2, "both versions to be live")
        answered = {user: served.ask("hi", user=f"u{user}").headers["x-model-version"] for user in range(16)}
        assert set(answered.values()) == {"1", "2"}
        assert {user: served.ask("hi", user=f"u{user}").headers["x-model-version"] for user in range(16)} == answered
        assert served.ask("hi", model="desk:2").headers["x-model-version"] == "2"
        desired.set_champion(served.state, "desk", "2")
        wait_until(lambda: served.ask("hi").headers["x-model-version"] == "2", "version 2 to have all traffic")
