"""An answer with penalties on llama.cpp, asked for token by token.

llama.cpp's own penalties count the tokens of the prompt among those that were written, and OpenAI's API does not. So
each token is a request of its own, with what the penalties take from the logits as biases; what was computed for one
token is still there for the next. These requests go to the server's socket: of a token that is a part of a character,
only what it answers there has the id. Logprobs of such a token it has nowhere.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mainspring.errors import EngineGoneError
from mainspring.runtimes.language.backend import Event, Job

_PATIENCE = 600.0  # seconds, for one token behind a long prompt


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def tokens(path: str, key: str, number: int, job: Job, request: dict[str, Any]) -> Iterator[Event]:
    """The events of the answer `number`, until it ends, from the server at the socket `path`.

    Args:
        key: the server's.
        request: what is asked for `job`, but for prompt, length, seed and biases.
    """
    sampling, written = job.sampling, Counter[int]()
    seeds = random.Random(job.seed)
    prompt = list(job.prompt)
    connection = _Connection(path)
    try:
        while True:
            each = {
                "prompt": prompt,
                "n_predict": 1,
                "seed": seeds.getrandbits(32),
                "logit_bias": [
                    (token, -sampling.presence_penalty - count * sampling.frequency_penalty)
                    for token, count in written.items()
                ],
                "stream": False,
                "return_tokens": True,
            }
            event = _event(number, _ask(connection, key, request | each), sampling.logprobs)
            prompt += event.tokens
            written.update(event.tokens)
            if written.total() > len(event.tokens):
                event = replace(event, cached=None)
            if event.finish == "length" and written.total() < job.max_tokens:
                event = replace(event, finish=None)
            yield event
            if event.finish:
                return
    finally:
        connection.close()


def _ask(connection: _Connection, key: str, request: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/completion", json.dumps(request), headers)
    response = connection.getresponse()
    found: dict[str, Any] = json.loads(response.read())
    if response.status != 200 or not found.get("tokens"):
        raise EngineGoneError(f"llama.cpp gives no token: {found.get('error', found)}")
    return found


def _event(number: int, found: dict[str, Any], most: int | None) -> Event:
    told = [] if most is None else found.get("completion_probabilities", [])
    return Event(
        number,
        tokens=found["tokens"],
        logprobs=[one["logprob"] for one in told],
        top=[[(other["id"], other["logprob"]) for other in one["top_logprobs"][:most]] for one in told],
        finish="stop" if found["stop_type"] == "eos" else "length",
        cached=found.get("timings", {}).get("cache_n"),
    )
