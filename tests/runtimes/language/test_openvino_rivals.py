"""The likeliest tokens, against transformers, on small models with weights drawn at random."""

import time

import numpy as np
import pytest
from weights import small_models

from mainspring.errors import EngineGoneError, OverloadedError
from mainspring.runtimes.language.backend import Event, Job
from mainspring.runtimes.language.openvino import PROPERTIES, OpenVinoBackend
from mainspring.runtimes.language.openvino_graph import write_graph
from mainspring.runtimes.language.openvino_rivals import Rivals
from mainspring.runtimes.language.protocol import Sampling
from mainspring.runtimes.language.settings import Settings
from mainspring.runtimes.language.sizes import sizes
from mainspring.weights import to_gguf
from mainspring.weights.gguf import read_header
from runtimes.language.local_engines import penalised


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def small(folder):
    """Its logits are near zero, and half of them below."""
    made = small_models.make("smollm 2", folder, max_position_embeddings=2048)
    made.model.model.norm.weight.data *= 0.125
    made.model.save_pretrained(folder)
    to_gguf.convert(folder, folder / "model.gguf", "F16")
    write_graph(folder / "model.gguf", folder)
    return made


def rivals(folder, room):
    return Rivals(folder / "openvino_model.xml", PROPERTIES["32-bit"], room)


def drawn(small, count, seed=0):
    return np.random.default_rng(seed).integers(5, small.model.config.vocab_size - 5, count).tolist()


def told(reader, numbers):
    """All that is told of the answers until they end: their events."""
    events = {number: [] for number in numbers}
    deadline = time.monotonic() + 30
    while not all(found and (found[-1].finish or found[-1].error) for found in events.values()):
        assert time.monotonic() < deadline
        for event in reader.step(idle=True):
            events[event.job].append(event)
    return events


def check(small, prompt, answer, events, most):
    """The events tell all tokens of the answer, and of each what transformers says of it."""
    assert [token for event in events for token in event.tokens] == answer
    logprobs = [value for event in events for value in event.logprobs]
    tops = [top for event in events for top in event.top]
    expected = small.logprobs(np.array([prompt + answer]))[0, len(prompt) - 1 : -1]
    for token, value, top, row in zip(answer, logprobs, tops, expected, strict=True):
        assert value == pytest.approx(row[token], abs=1e-4)
        assert len(top) == most
        np.testing.assert_allclose([one for _, one in top], np.sort(row)[::-1][:most], atol=1e-4)
        np.testing.assert_allclose([row[one] for one, _ in top], [one for _, one in top], atol=1e-4)


def test_they_are_those_of_transformers_however_the_answer_comes(small, folder):
    reader = rivals(folder, lambda: 4096)
    reader.begin(9, [5, 6], 2)
    reader.add(Event(9, [7], finish="stop"))
    check(small, [5, 6], [7], told(reader, [9])[9], 2)  # from here on it is loaded
    asked = {0: (drawn(small, 1), 20), 1: (drawn(small, 300), 1), 2: (drawn(small, 129), 5)}
    answers = {number: drawn(small, 30 + number, seed=9 + number) for number in asked}
    for number, (prompt, most) in asked.items():
        reader.begin(number, prompt, most)
    events = {number: [] for number in asked}
    for place in range(0, 40, 3):
        for number, answer in answers.items():
            if new := answer[place : place + 3]:
                reader.add(Event(number, new, finish="stop" if place + 3 >= len(answer) else None))
        for event in reader.step(idle=True):
            events[event.job].append(event)
    for number, more in told(reader, [number for number in asked if number in reader]).items():
        events[number] += more
    for number, (prompt, most) in asked.items():
        check(small, prompt, answers[number], events[number], most)
    reader.close()


def test_where_there_is_no_room_the_last_waits_and_is_read_again(small, folder):
    reader = rivals(folder, lambda: 1000)
    first, second = drawn(small, 50), drawn(small, 300, seed=1)
    reader.begin(0, first, 3)
    reader.begin(1, second, 3)
    answers = [drawn(small, 800, seed=2), drawn(small, 20, seed=3)]
    reader.add(Event(1, answers[1][:10]))
    while not [event for event in reader.step(idle=True) if event.job == 1]:
        pass
    reader.add(Event(1, answers[1][10:], finish="length"))
    reader.add(Event(0, answers[0], finish="length"))
    events = told(reader, [0, 1])
    check(small, first, answers[0], events[0], 3)
    assert [token for event in events[1] for token in event.tokens] == answers[1][
        -sum(len(e.tokens) for e in events[1]) :
    ]
    expected = small.logprobs(np.array([second + answers[1]]))[0, -2]
    assert events[1][-1].logprobs[-1] == pytest.approx(expected[answers[1][-1]], abs=1e-4)
    reader.close()


def test_what_cannot_be_loaded_is_told_and_tried_again(small, folder):
    refusals = [OverloadedError("no memory"), OSError("no file")]

    def room():
        if refusals:
            raise refusals.pop(0)
        return 4096

    reader = rivals(folder, room)
    for kind in (OverloadedError, EngineGoneError):
        reader.begin(0, [5, 6], 2)
        [event] = told(reader, [0])[0]
        assert isinstance(event.error, kind)
        assert 0 not in reader
    reader.begin(0, [5, 6], 2)
    reader.add(Event(0, [7], finish="stop"))
    check(small, [5, 6], [7], told(reader, [0])[0], 2)
    reader.close()


@pytest.mark.parametrize("penalties", [{"presence_penalty": 2.0}, {"presence_penalty": 1.5, "frequency_penalty": 1.0}])
def test_penalties_lower_also_what_is_below_zero(small, folder, penalties):
    """Greedily; OpenVINO's sampler by itself would raise it, and write it again."""
    gguf = folder / "model.gguf"
    settings = Settings(precision="32-bit", cache_tokens=512, lookup=False)
    backend = OpenVinoBackend(gguf, sizes(read_header(gguf)), settings)
    prompt = drawn(small, 20)
    backend.submit(0, Job(prompt, Sampling(temperature=0, logprobs=2, **penalties), 40, 0, frozenset()))
    events = []
    while not (events and events[-1].finish):
        events += backend.step()
    backend.close()
    answer = [token for event in events for token in event.tokens]
    check(small, prompt, answer, events, 2)
    expected = small.logprobs(np.array([prompt + answer]))[0, len(prompt) - 1 : -1]
    for token, row in zip(answer, penalised(expected, answer, **penalties), strict=True):
        assert row.max() - row[token] < 1e-3
