from __future__ import annotations

import contextlib
import struct
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring import errors
from mainspring.errors import ContextError, EngineGoneError, OverloadedError, RequestError, UnsupportedError
from mainspring.runtimes.language import frames
from mainspring.runtimes.language.frames import (
    MAX_FRAME,
    Answer,
    Asked,
    Cancel,
    Clients,
    Count,
    Done,
    Embed,
    Failed,
    Hello,
    Number,
    Piece,
    Splitter,
    Told,
    Vectors,
    error_of,
    failed,
    frame,
)
from mainspring.runtimes.language.protocol import (
    Capabilities,
    Chosen,
    Delta,
    EngineInfo,
    Generate,
    JsonSchema,
    Likely,
    Sampling,
    Structure,
    ToolCall,
    Usage,
)

FULL = Generate(
    messages=[{"role": "user", "content": [{"type": "text", "text": "ü\x00"}]}],
    tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    tool_choice="f",
    parallel_tool_calls=False,
    structure=JsonSchema({"type": "object", "minimum": 2**63}),
    sampling=Sampling(max_tokens=3, temperature=0.0, stop=("a", "b"), seed=-1, n=2, logprobs=5),
    lookup=True,
)
ASKED = [
    Answer(1, FULL),
    Answer(2, Generate(prompt="x", structure=Structure())),
    Answer(2**60, Generate(prompt=[1, 2, 3])),
    Count(4, FULL),
    Embed(5, ["a", [1, 2]]),
    Clients(6),
    Cancel(7),
]
TOLD = [
    Hello(1, Capabilities(context=8, structures=("json_object",), embeds=3), EngineInfo("a", "b", "c")),
    Piece(1, Delta()),
    Piece(1, Delta(index=1, text="ü", tokens=2, tool_calls=(ToolCall(0, "id", "f", "{}"),), finish="tool_calls")),
    Piece(1, Delta(logprobs=(Chosen("a", -0.5, b"\xff", (Likely("a", -0.5, b"\xff"), Likely("b", -9.5, b"b"))),))),
    Piece(1, Usage(3, 4, None)),
    Done(1),
    Number(2, 3),
    Vectors(3, 2, b"\x00" * 16, 9),
    Failed(4, "ContextError", "too long", "messages"),
]


def cut(content: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    while at < len(content):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(content[at : at + size])
        at += size
    return pieces


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.sampled_from([(Asked, ASKED), (Told, TOLD)]))
def test_messages_come_through_however_they_are_cut(sizes, what):
    kind, messages = what
    splitter = Splitter(kind)
    content = b"".join(map(frame, messages))
    found = [message for piece in cut(content, sizes) for message in splitter.feed(piece)]
    assert found == messages
    assert [type(message) for message in found] == [type(message) for message in messages]
    assert type(Splitter(Asked).feed(frame(ASKED[1])).__next__().request.structure) is Structure


def test_every_kind_of_message_is_tried_above():
    assert {type(message) for message in ASKED} == set(typing.get_args(Asked))
    assert {type(message) for message in TOLD} == set(typing.get_args(Told))


@given(st.binary(max_size=200))
def test_what_is_no_frame_is_refused_or_waited_for(content):
    with contextlib.suppress(RequestError):  # and nothing else
        list(Splitter(Asked).feed(content))


@pytest.mark.parametrize("message", TOLD[1:])
def test_what_belongs_to_the_other_side_is_refused(message):
    with pytest.raises(RequestError, match="a frame cannot be read"):
        list(Splitter(Asked).feed(frame(message)))


def test_a_frame_that_is_announced_too_long_is_refused_at_once():
    with pytest.raises(RequestError, match="at most 67,108,864 are allowed"):
        list(Splitter(Asked).feed(struct.pack("!I", MAX_FRAME + 1)))
    assert list(Splitter(Asked).feed(struct.pack("!I", MAX_FRAME))) == []


def nested(depth):
    found = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "message",
    [
        Answer(1, Generate(prompt="x" * MAX_FRAME)),
        Answer(1, Generate(messages=[{"content": 2**64}])),
        Answer(1, Generate(messages=[{"content": -(2**63) - 1}])),
        Answer(1, Generate(prompt="\ud800")),
        Answer(1, Generate(messages=[nested(100_000)])),
        Answer(1, Generate(messages=[{"content": object()}])),
    ],
    ids=["long", "great", "small", "surrogate", "deep", "foreign"],
)
def test_what_cannot_be_sent_is_refused(message):
    with pytest.raises(RequestError):
        frame(message)


def test_a_frame_that_is_nested_too_deeply_is_refused():
    content = msgspec.msgpack.encode(["answer", 1])[:-1].replace(b"\x92", b"\x93", 1)
    deep = content + b"\x01" + b"\x81\xa8messages\x91" + b"\x81\xa1a" * 100_000 + b"\xc0"
    with pytest.raises(RequestError, match="a frame cannot be read"):
        list(Splitter(Asked).feed(struct.pack("!I", len(deep)) + deep))


@pytest.mark.parametrize(
    "error",
    [
        RequestError("no", "$.a"),
        ContextError("too long", "messages"),
        UnsupportedError("not here", "logprobs"),
        OverloadedError("full"),
        EngineGoneError("gone"),
    ],
)
def test_errors_come_back_as_they_were(error):
    [told] = Splitter(Told).feed(frame(failed(3, error)))
    found = error_of(told)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert getattr(found, "place", None) == getattr(error, "place", None)


def test_a_defect_of_the_engine_is_told_as_one():
    [told] = Splitter(Told).feed(frame(failed(3, KeyError("a\ud800"))))
    found = error_of(told)
    assert type(found) is EngineGoneError
    assert "the engine failed at this: KeyError" in str(found)


def test_no_name_makes_anything_but_an_error_of_ours():
    assert type(error_of(Failed(1, "importlib", "x", "$"))) is EngineGoneError
    for name in frames._RAISED_AGAIN:
        assert issubclass(getattr(errors, name), errors.MainspringError)
