"""The engine room as its own process, with engines that ask a real HTTP server: each is a process of its own, too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from projects import wait_until
from runtimes.language.conftest import reach, read, until
from runtimes.language.endpoint import HELLO, Endpoint, chat, stream

from mainspring.errors import EngineGoneError, RegistryError
from mainspring.files import sha256
from mainspring.registry import desired, versions
from mainspring.registry.versions import Lineage, Manifest
from mainspring.runtimes.language.client import EngineClient
from mainspring.runtimes.language.protocol import Generate
from mainspring.runtimes.language.sockets import short, socket_path
from mainspring.schema import Column, Schema, Target
from mainspring.serving.engines import commands, status

ASKED = Generate(messages=[{"role": "user", "content": "hi"}])
LONG = stream(*[chat("a")] * 2000, pause=0.05)
TOML = """\
[project]
name = "orders"

[serving]
timeout = "2s"

[models.desk]
task = "chat"
remote = { url = "http://127.0.0.1:1/v1", model = "m" }
"""


@pytest.fixture(scope="module")
def server():
    with Endpoint().running() as running:
        yield running


@pytest.fixture
def folder(tmp_path, server):
    server.say(HELLO)
    (tmp_path / "mainspring.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def state(folder):
    return folder / ".mainspring"


@pytest.fixture
def room(folder, start):
    """Starts the engine room; what it says is in a file."""

    def begin():
        with (folder / "said").open("a") as said:
            return start("-m", "mainspring.serving.engines", "--project", str(folder), "--drain", "1", stderr=said)

    return begin


def publish(state, model, server, **parameters):
    """A version whose engine asks `server`."""
    with versions.staging(state, model) as staged:
        (staged / "remote.json").write_text(json.dumps({"url": server.url, "model": "m", "timeout": 30}))
        (staged / versions.GOLDEN).write_text('{"records": [], "answers": [], "tolerance": 0}')
        manifest = Manifest(
            project="orders",
            model=model,
            version=versions.next_name(state, model),
            task="chat",
            created="2026-01-01T00:00:00+00:00",
            schema=Schema((Column("size", "number"),), Target("late", (False, True))),
            lineage=Lineage("d", "s", "c", 0, 0, 0, {}, 0, "3.11", {}),
            candidate="remote",
            parameters={"engine": "remote"} | parameters,
            metric="none",
            metrics={},
            parity={},
            verdict={"decision": "promote", "reason": "the first version"},
        )
        return versions.publish(staged, manifest)


def running(state):
    return {(one.model, one.version): one.process for one in status.read(state) if one.process.state == "running"}


def wait_for(state, *keys, seconds=30):
    wait_until(lambda: set(running(state)) == set(keys), f"{keys} to run, and no other", seconds)


def answers(state, model="desk", version="1"):
    """What a new client is answered."""

    async def ask():
        client = EngineClient(socket_path(state, model, version))
        try:
            return "".join(piece.text for piece in (await read(client.generate(ASKED)))[:-1])
        finally:
            await client.close()

    return asyncio.run(ask())


def test_engines_follow_desired_state(state, room, server, folder):
    for _ in range(3):
        publish(state, "desk", server)
    desired.set_champion(state, "desk", "1")
    process = room()
    wait_for(state, ("desk", "1"))
    assert answers(state) == "Hello"
    [found] = status.read(state)
    assert found.process.info.engine == "remote"
    assert found.process.restarts == 0
    assert os.getpgid(found.process.pid) == found.process.pid
    desired.set_canary(state, "desk", "2", 0.1)
    desired.set_shadow(state, "desk", "3")
    wait_for(state, ("desk", "1"), ("desk", "2"), ("desk", "3"))
    first = running(state)["desk", "1"].pid
    desired.end_rollout(state, "desk")
    wait_for(state, ("desk", "1"))  # nobody asks the others
    assert running(state)["desk", "1"].pid == first
    desired.set_loaded(state, "desk", False)
    wait_for(state)
    wait_until(lambda: not short(socket_path(state, "desk", "1")).exists(), "its socket to go")
    desired.set_loaded(state, "desk", True)
    wait_for(state, ("desk", "1"))
    process.terminate()
    assert process.wait(20) == 0
    assert status.read(state) == []
    with pytest.raises(EngineGoneError):
        answers(state)
    said = (folder / "said").read_text()
    assert "the engine of desk 1 answers: remote, m at 127.0.0.1" in said
    assert "the engine of desk 2 is not wanted any more, and nobody asks it" in said


def test_an_engine_that_is_not_wanted_stays_while_somebody_is_connected(state, room, server):
    """A gateway that cannot bring the next version live goes on with the last."""
    publish(state, "desk", server)
    broken = publish(state, "desk", server, engine="steam")
    desired.set_champion(state, "desk", "1")
    room()
    wait_for(state, ("desk", "1"))

    async def connected():
        client = EngineClient(socket_path(state, "desk", "1"))
        await client.connect()
        desired.set_champion(state, "desk", broken.name)
        await until(lambda: len(status.read(state)) == 2, "both to be looked after")
        await until(lambda: any(one.process.restarts > 1 for one in status.read(state)), "the next to fail", 20)
        await asyncio.sleep(2)  # longer than it would be kept if nobody were connected
        assert len(await read(client.generate(ASKED))) == 4
        await client.close()

    asyncio.run(connected())
    [failing] = [one.process for one in status.read(state) if one.version == broken.name]
    assert "names the engine 'steam'; there are openvino, llamacpp" in failing.reason
    wait_for(state)


def test_an_engine_killed_under_load_is_back_and_another_never_notices(state, room, server):
    for model in ("desk", "shop"):
        publish(state, model, server)
        desired.set_champion(state, model, "1")
    room()
    wait_for(state, ("desk", "1"), ("shop", "1"))
    server.say(LONG)
    before = running(state)

    async def load():
        desk, shop = (EngineClient(socket_path(state, model, "1")) for model in ("desk", "shop"))
        others = shop.generate(ASKED)
        await anext(others)
        streams = [desk.generate(ASKED) for _ in range(8)]
        for pieces in streams:
            await anext(pieces)
        os.kill(before["desk", "1"].pid, signal.SIGKILL)
        killed = time.monotonic()
        ends = await asyncio.gather(*(read(pieces) for pieces in streams), return_exceptions=True)
        assert time.monotonic() - killed < 1.0
        assert all(type(end) is EngineGoneError for end in ends)
        await until(lambda: server.left == 8, "the endpoint to notice", 2)
        await reach(desk)
        back = time.monotonic() - killed
        server.say(HELLO)
        assert len(await read(desk.generate(ASKED))) == 4
        for _ in range(20):
            assert (await anext(others)).text == "a"
        await others.aclose()
        await desk.close()
        await shop.close()
        return back

    assert asyncio.run(load()) < 10.0
    wait_for(state, ("desk", "1"), ("shop", "1"))
    after = running(state)
    assert after["shop", "1"] == before["shop", "1"]
    assert after["desk", "1"].pid != before["desk", "1"].pid
    assert after["desk", "1"].restarts == 1
    assert "signal SIGKILL" in after["desk", "1"].reason
    shown = mainspring_status(state.parent)
    pid = after["desk", "1"].pid
    assert f"as process {pid}; remote, m at 127.0.0.1:{server.port}" in shown
    assert "started again once, since it ended (signal SIGKILL)" in shown
    [engine] = json.loads(mainspring_status(state.parent, "--json"))["models"][0]["engines"]
    assert engine["process"]["pid"] == pid


def mainspring_status(folder, *options):
    command = [sys.executable, "-m", "mainspring.cli", "status", "--project", str(folder), *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.replace("\n", " ")


def test_a_stream_is_answered_to_its_end_within_the_grace(state, room, server, folder):
    publish(state, "desk", server)
    desired.set_champion(state, "desk", "1")
    process = room()
    wait_for(state, ("desk", "1"))
    server.say(stream(*[chat("a")] * 20, chat(finish="stop"), pause=0.03))

    async def task():
        client = EngineClient(socket_path(state, "desk", "1"))
        pieces = client.generate(ASKED)
        await anext(pieces)
        process.terminate()
        assert len(await read(pieces)) == 21
        await client.close()

    asyncio.run(task())
    assert process.wait(20) == 0


def test_a_killed_room_leaves_no_engine(state, room, server):
    publish(state, "desk", server)
    desired.set_champion(state, "desk", "1")
    process = room()
    wait_for(state, ("desk", "1"))
    orphan = running(state)["desk", "1"].pid
    process.kill()
    process.wait()
    assert status.read(state) == []
    wait_until(lambda: not alive(orphan), "the engine to end", 5)
    room()
    wait_for(state, ("desk", "1"))
    assert answers(state) == "Hello"


def alive(process):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_second_room_waits_and_takes_over(state, room, server, folder):
    publish(state, "desk", server)
    desired.set_champion(state, "desk", "1")
    first = room()
    wait_for(state, ("desk", "1"))
    pid = running(state)["desk", "1"].pid
    second = room()
    wait_until(lambda: "this one waits" in (folder / "said").read_text(), "the second to wait", 20)
    assert running(state)["desk", "1"].pid == pid
    first.terminate()
    first.wait(20)
    wait_for(state, ("desk", "1"))
    assert answers(state) == "Hello"
    assert second.poll() is None


def test_what_cannot_be_started_says_why_and_comes_when_it_can(state, room, server):
    version = publish(state, "desk", server)
    publish(state, "shop", server)
    whole = (version.folder / "remote.json").read_text()
    (version.folder / "remote.json").write_text("{}")
    for model in ("desk", "shop", "none"):
        desired.set_champion(state, model, "1")
    room()
    wait_for(state, ("shop", "1"))
    wait_until(lambda: any(one.process.reason for one in status.read(state)), "the reason", 20)
    [desk] = [one.process for one in status.read(state) if one.model == "desk"]
    assert "remote.json is damaged" in desk.reason
    (version.folder / "remote.json").write_text(whole)
    wait_for(state, ("desk", "1"), ("shop", "1"))
    publish(state, "none", server)
    wait_for(state, ("desk", "1"), ("shop", "1"), ("none", "1"))


def test_an_engine_s_last_words_are_the_reason(state, room, server):
    version = publish(state, "desk", server)
    settings = json.dumps({"url": server.url, "model": "m", "key_environment": "TEST_NOT_SET"})
    (version.folder / "remote.json").write_text(settings)
    files = version.manifest.files | {"remote.json": sha256(version.folder / "remote.json")}
    manifest = msgspec.structs.replace(version.manifest, files=files)
    (version.folder / versions.MANIFEST).write_bytes(msgspec.json.encode(manifest))
    desired.set_champion(state, "desk", "1")
    room()
    wait_until(lambda: any(one.process.reason for one in status.read(state)), "the reason", 20)
    [found] = status.read(state)
    assert found.process.reason == (
        "ended (exit code 1): mainspring: the environment variable TEST_NOT_SET is to have the endpoint's key, "
        "and is not set"
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"engine": "onnx"}, ["--embedding", "FOLDER"]),
        ({"engine": "remote"}, ["--remote", "FOLDER/remote.json"]),
        (
            {"engine": "vllm", "properties": {"dtype": "half"}},
            ["--vllm", "FOLDER/weights", "--properties", '{"dtype":"half"}'],
        ),
    ],
)
def test_what_is_run_is_read_from_the_manifest(state, server, parameters, expected):
    version = publish(state, "desk", server, **parameters)
    found = commands.command(state, "desk", "1", socket_path(state, "desk", "1"), grace_seconds=2.5)
    assert found[1:5] == ["-m", "mainspring.runtimes.language", "--socket", str(socket_path(state, "desk", "1"))]
    assert found[5:7] == ["--grace", "2.5"]
    assert found[7:] == [argument.replace("FOLDER", str(version.folder)) for argument in expected]


def test_a_version_without_its_weights_is_not_run(state, server):
    publish(state, "desk", server, engine="openvino")
    with pytest.raises(RegistryError, match=r"has no file 'model\.gguf'"):
        commands.command(state, "desk", "1", socket_path(state, "desk", "1"), grace_seconds=1.0)


def test_there_is_no_status_without_a_room(state):
    assert status.read(state) == []
    state.mkdir()
    for damaged in ("", "{}", '{"room": 0, "engines": 3}'):
        (state / status.FILE_NAME).write_text(damaged)
        assert status.read(state) == []
    gone = subprocess.Popen(["true"])
    gone.wait()
    (state / status.FILE_NAME).write_text(json.dumps({"room": gone.pid, "engines": []}))
    assert status.read(state) == []
