"""What a local engine runs on: something that turns token ids into more token ids, for many jobs at the same time.

A backend knows neither text nor chat nor streams; `local` adds them, so that they are the same on every backend. It is
used from one thread: jobs are put in, and each `step` moves all of them on by about one token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from mainspring.errors import MainspringError
from mainspring.runtimes.language.protocol import Sampling


@dataclass(frozen=True)
class Grammar:
    """What an answer is made of: a grammar in GBNF, whose first rule is `root`.

    With `begin`, the answer is free until it has that text; from there on it is `begin`, the grammar, `end`, and free
    again.
    """

    text: str
    begin: str = ""
    end: str = ""


@dataclass(frozen=True)
class Job:
    """One answer to be made. `sampling` is as in the protocol, but `n` is 1 and `max_tokens` and `seed` are numbers."""

    prompt: list[int]
    sampling: Sampling
    max_tokens: int
    seed: int
    end_ids: frozenset[int]
    grammar: Grammar | None = None
    lookup: bool = False


@dataclass(frozen=True)
class Event:
    """New tokens of the job `job`, in order.

    `logprobs` has the natural logarithm of each token's probability where it was asked for, and `top` the most likely
    tokens in the place of each as (id, logprob), the likeliest first. `finish` comes with the last tokens, `error` in
    place of them. `cached` comes once, when the job begins: how many tokens of its prompt were known, as far as is
    known. A backend that tells its tokens as `text`, and not all of their ids, tells at the end how many there were, in
    `total`.
    """

    job: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[list[tuple[int, float]]] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None
    error: MainspringError | None = None
    cached: int | None = None
    text: str | None = None
    total: int | None = None


@dataclass(frozen=True)
class Abilities:
    """What a backend can do.

    `sequences` is how many jobs run well together. `piece` is how many tokens of a prompt may be computed in one go
    without the other jobs being held up for long, or None if the backend sees to that itself. `remembers` is how many
    tokens it keeps, so that a prompt that begins as an earlier one is cheap.
    """

    context: int
    sequences: int
    piece: int | None
    remembers: int
    logprobs: int | None
    lookup: bool


class Backend(Protocol):
    """Runs jobs. All methods but `can_look_up` are called from one thread."""

    @property
    def abilities(self) -> Abilities:
        """What it can do."""

    def can_look_up(self) -> bool:
        """Whether a job with `lookup` would be looked up for now. If that has to be got ready, that begins."""

    def submit(self, number: int, job: Job) -> None:
        """Begin `job`, which events will call `number`."""

    def step(self) -> list[Event]:
        """Move all jobs on, and tell what is new. An exception means that the backend is beyond repair."""

    def cancel(self, number: int) -> None:
        """Forget a job, which need not be there any more. No event of it comes after this."""

    def close(self) -> None:
        """Let go of the model."""
