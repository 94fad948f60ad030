"""A host in a process of its own, and clients of it: answers, errors, and what happens when either dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from projects import wait_until

from mainspring.errors import ContextError, EngineGoneError, OverloadedError, RequestError, RuntimeLoadError
from mainspring.errors import UnsupportedError as Unsupported
from mainspring.runtimes.language.client import EngineClient
from mainspring.runtimes.language.frames import Answer, frame
from mainspring.runtimes.language.protocol import Delta, Generate, Sampling, Usage
from mainspring.runtimes.language.sockets import short
from runtimes.language.conftest import reach, read, until
from runtimes.language.talker import CONTEXT, noted


def numbers(prompt, count):
    return Generate(prompt=prompt, sampling=Sampling(max_tokens=count))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "engine.sock", tmp_path / "diary"


@pytest.fixture
def quick(place, hosted):
    """A host that answers at once: its socket, and its diary."""
    hosted(*place)
    return place


@pytest.fixture
def slow(place, hosted):
    """A host that takes 50 ms for each piece: its socket, its diary, its process."""
    return (*place, hosted(*place, 0.05))


def test_an_answer_comes_piece_by_piece_and_ends_with_usage(quick, ask):
    pieces = ask(quick[0], lambda client: read(client.generate(numbers("a", 3))))
    assert pieces == [
        *(Delta(text=f"{number} ", tokens=1) for number in range(3)),
        Delta(finish="length"),
        Usage(1, 3, 0),
    ]


def test_it_says_what_the_engine_can_do(quick, ask):
    async def task(client):
        return client.capabilities, client.info

    capabilities, info = ask(quick[0], task)
    assert capabilities.context == CONTEXT
    assert capabilities.embeds == 3
    assert info.engine == "talker"


def test_what_it_can_do_is_not_known_before_it_was_reached(place):
    async def task():
        with pytest.raises(EngineGoneError, match="not reached yet"):
            _ = EngineClient(place[0]).capabilities

    asyncio.run(task())


def test_many_requests_share_a_connection(slow, ask):
    async def task(client):
        began = time.monotonic()
        answers = await asyncio.gather(*(read(client.generate(numbers(f"r{i}", 4))) for i in range(100)))
        counts = await asyncio.gather(*(client.count(numbers("x" * i, 1)) for i in range(100)))
        return answers, counts, time.monotonic() - began, await client.clients()

    answers, counts, seconds, others = ask(slow[0], task)
    assert all("".join(piece.text for piece in answer[:-1]) == "0 1 2 3 " for answer in answers)
    assert counts == list(range(100))
    assert seconds < 5  # and not 20
    assert others == 0


def test_vectors(quick, ask):
    async def task(client):
        return await client.embed(["a", "bcd"]), await client.embed([[1, 2]]), await client.embed(["many"])

    (few, tokens), (of_tokens, _), (many, _) = ask(quick[0], task)
    assert few.dtype == np.float32
    assert few.tolist() == [[1, 0, 1], [3, 0, 1]]
    assert tokens == 2
    assert of_tokens.tolist() == [[2, 0, 1]]
    assert many.shape == (1_000_000, 3)


@pytest.mark.parametrize(
    ("prompt", "kind", "said", "where"),
    [
        ("long", ContextError, "9 tokens, and 8 fit", "messages"),
        ("odd", Unsupported, "no such tools", "tools"),
        ("full", OverloadedError, "256 requests wait", None),
        ("broken", RuntimeLoadError, "half of it", None),
        ("defect", EngineGoneError, "the engine failed at this: ZeroDivisionError", None),
        ("late full", OverloadedError, "256 requests wait", None),
    ],
)
def test_errors_are_raised_where_they_belong_and_harm_nobody_else(quick, ask, prompt, kind, said, where):
    async def task(client):
        beside = asyncio.create_task(read(client.generate(numbers("beside", 500))))
        with pytest.raises(kind, match=said) as caught:
            await read(client.generate(numbers(prompt, 2)))
        assert getattr(caught.value, "place", None) == where
        assert len(await beside) == 502
        assert len(await read(client.generate(numbers("after", 1)))) == 3

    ask(quick[0], task)


def test_what_cannot_be_sent_is_refused_and_the_connection_stays(quick, ask):
    async def task(client):
        for messages in ([{"content": "x" * 70_000_000}], [{"content": 2**70}]):
            with pytest.raises(RequestError):
                await read(client.generate(Generate(messages=messages)))
        with pytest.raises(RequestError, match="at most 67,108,864 at once"):
            await client.embed(["too many"])
        assert await client.count(Generate(messages=[{"a": 1}])) == 1

    ask(quick[0], task)


def test_closing_the_iterator_cancels(slow, ask):
    path, diary, _ = slow

    async def task(client):
        pieces = client.generate(numbers("a", 1000))
        assert (await anext(pieces)).text == "0 "
        await pieces.aclose()
        await until(lambda: "cancel a" in noted(diary), "the engine to hear of it", 2)
        beside = asyncio.create_task(read(client.generate(numbers("b", 1000))))
        await until(lambda: "begin b" in noted(diary), "the request to begin")
        beside.cancel()
        await until(lambda: "cancel b" in noted(diary), "the engine to hear of it", 2)
        assert len(await read(client.generate(numbers("c", 1)))) == 3
        assert not client._connection._waiting

    ask(path, task)


def test_a_client_that_vanishes_costs_nothing_afterwards(slow, ask):
    path, diary, _ = slow
    asking = f"""
import asyncio
from pathlib import Path
from mainspring.runtimes.language.client import EngineClient
from mainspring.runtimes.language.protocol import Generate, Sampling

async def one(client, name):
    async for _ in client.generate(Generate(prompt=name, sampling=Sampling(max_tokens=1000))):
        pass

async def main():
    client = EngineClient(Path({str(path)!r}))
    await asyncio.gather(*(one(client, f"v{{i}}") for i in range(5)))

asyncio.run(main())
"""

    async def task(client):
        vanishing = subprocess.Popen([sys.executable, "-c", asking])
        try:
            await until(lambda: sum(line.startswith("begin v") for line in noted(diary)) == 5, "its requests", 20)
            assert await client.clients() == 1
        finally:
            vanishing.kill()
            vanishing.wait()
        await until(lambda: sum(line.startswith("cancel v") for line in noted(diary)) == 5, "their end", 1)
        assert await client.clients() == 0

    ask(path, task)


def test_a_host_killed_under_streams_ends_each_within_a_second_and_is_found_again(slow, hosted, ask):
    path, diary, process = slow

    async def task(client):
        async def one(number):
            pieces = client.generate(numbers(f"s{number}", 1000))
            assert (await anext(pieces)).text == "0 "
            with pytest.raises(EngineGoneError, match="ended while it answered"):
                await read(pieces)

        async def count_for_ever():
            while True:
                await client.count(Generate(prompt="a"))

        streams = [asyncio.create_task(one(number)) for number in range(20)]
        counting = asyncio.create_task(count_for_ever())
        await until(lambda: sum(line.startswith("begin s") for line in noted(diary)) == 20, "all streams")
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        await asyncio.gather(*streams)
        with pytest.raises(EngineGoneError):
            await counting
        assert time.monotonic() - killed < 1.0
        with pytest.raises(EngineGoneError, match="being started"):
            await read(client.generate(numbers("between", 1)))
        assert client.capabilities.context == CONTEXT  # as it was last
        hosted(path, diary)
        await reach(client)
        assert len(await read(client.generate(numbers("after", 1)))) == 3

    ask(path, task)


def test_killing_one_never_disturbs_another(tmp_path, hosted, ask):
    paths = [tmp_path / "a.sock", tmp_path / "b.sock"]
    doomed, _ = (hosted(path, tmp_path / f"{path.stem}.diary", 0.01) for path in paths)

    async def task(other):
        client = EngineClient(paths[0])
        await reach(client)
        dying = asyncio.create_task(read(client.generate(numbers("x", 10_000))))
        living = asyncio.create_task(read(other.generate(numbers("y", 50))))
        await asyncio.sleep(0.1)
        doomed.kill()
        with pytest.raises(EngineGoneError):
            await dying
        assert len(await living) == 52
        await client.close()

    ask(paths[1], task)


def test_sigterm_lets_what_is_under_way_end(slow, ask):
    path, diary, process = slow

    async def task(client):
        pieces = client.generate(numbers("a", 10))
        await anext(pieces)
        process.terminate()
        await until(lambda: not short(path).exists(), "it to listen no more", 2)
        assert len(await read(pieces)) == 11
        await until(lambda: process.poll() is not None, "its end", 2)

    ask(path, task)
    assert process.returncode == 0
    assert noted(diary) == ["begin a", "end a", "close"]


def test_sigterm_waits_for_its_grace_and_no_longer(slow, ask):
    path, diary, process = slow

    async def task(client):
        pieces = client.generate(numbers("a", 1000))
        await anext(pieces)
        began = time.monotonic()
        process.terminate()
        with pytest.raises(EngineGoneError):
            await read(pieces)
        assert 1.5 < time.monotonic() - began < 5.0  # its grace is 2 s

    ask(path, task)
    assert process.wait(5) == 0
    assert noted(diary) == ["begin a", "cancel a", "close"]


def test_a_host_whose_engine_broke_for_good_ends(slow, ask):
    path, _, process = slow

    async def task(client):
        with pytest.raises(EngineGoneError):
            await read(client.generate(numbers("break", 1000)))

    ask(path, task)
    assert process.wait(5) == 1
    assert b"the talker broke" in process.stderr.read()


def test_it_ends_with_its_parent(tmp_path, ask):
    parent = f"""
import sys, time
from pathlib import Path
from runtimes.language.talker import host
print(host(Path({str(tmp_path / "a.sock")!r}), Path({str(tmp_path / "diary")!r})).pid, flush=True)
time.sleep(600)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", parent], env=environment, stdout=subprocess.PIPE)
    ask(tmp_path / "a.sock", lambda client: client.count(Generate(prompt="a")))
    process.kill()
    process.communicate()
    wait_until(lambda: noted(tmp_path / "diary") == ["close"], "the host to end", 5)


def test_a_client_that_does_not_read_is_left_and_nobody_else_waits(quick, ask):
    path, diary = quick

    async def task(client):
        with socket.socket(socket.AF_UNIX) as greedy:
            greedy.connect(str(short(path)))
            greedy.sendall(b"".join(frame(Answer(i, numbers(f"g{i}", 10_000_000))) for i in range(10)))
            await until(lambda: "begin g0" in noted(diary), "it to begin")
            for _ in range(20):
                assert len(await read(client.generate(numbers("small", 1)))) == 3
            await until(lambda: sum(line.startswith("cancel g") for line in noted(diary)) == 10, "it to be left", 10)
        assert await client.clients() == 0

    ask(path, task)


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!I", 2**31),
        struct.pack("!I", 3) + b"abc",
        frame(Answer(1, numbers("a", 9))) * 2,
    ],
)
def test_a_client_that_speaks_something_else_is_left(slow, ask, content):
    async def task(client):
        with socket.socket(socket.AF_UNIX) as strange:
            strange.connect(str(short(slow[0])))
            strange.sendall(content)
            strange.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                while strange.recv(65_536):
                    pass
        assert await client.count(Generate(messages=[{}])) == 1
        assert await client.clients() == 0

    ask(slow[0], task)


def test_an_engine_that_is_silent_is_not_waited_for_for_ever(place, hosted, ask):
    hosted(*place, 600.0)

    async def task(client):
        pieces = client.generate(numbers("a", 2))
        assert (await anext(pieces)).text == "0 "
        with pytest.raises(EngineGoneError, match=r"silent for 0\.3 s"):
            await anext(pieces)
        await until(lambda: "cancel a" in noted(place[1]), "the engine to hear of it")
        with pytest.raises(EngineGoneError, match=r"silent for 0\.3 s"):
            await client.count(Generate(prompt="a"))

    ask(place[0], task, silence_seconds=0.3)


def test_a_host_that_never_says_hello_is_no_engine(tmp_path):
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        short(path).parent.mkdir(exist_ok=True, mode=0o700)
        short(path).unlink(missing_ok=True)
        mute.bind(str(short(path)))
        mute.listen()

        async def task():
            with pytest.raises(EngineGoneError, match="does not answer"):
                await EngineClient(path, connect_seconds=0.2).connect()

        asyncio.run(task())
    short(path).unlink()


def test_a_client_that_was_closed_can_be_asked_again(quick, ask):
    async def task(client):
        pieces = client.generate(numbers("a", 1_000_000))
        await anext(pieces)
        await client.close()
        with pytest.raises(EngineGoneError, match="was closed"):
            await read(pieces)
        assert len(await read(client.generate(numbers("b", 1)))) == 3

    ask(quick[0], task)


def test_two_hosts_of_one_socket_do_not_fight(quick, hosted, ask):
    ask(quick[0], lambda client: client.connect())
    second = hosted(*quick)
    _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "listens at" in said.decode()
    ask(quick[0], lambda client: client.connect())
