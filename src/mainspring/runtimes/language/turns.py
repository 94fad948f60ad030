"""Who is next: a queue in which a flood of long requests does not starve the short ones.

A backend works on all of its jobs at once, first come, first served. Left alone, a 30-token question behind ten prompts
of 8,000 tokens would wait for all of them, and one behind a hundred long answers for one of these to end. So jobs
wait here, and

- a long prompt goes in by pieces. Each piece is a job of its own that makes one token, which is thrown away; what it
  leaves in the backend's prefix cache is what counts. One piece is under way at a time, and short prompts go in between
  (chunked prefill, Agrawal et al., 2023, but between requests). The next piece is of the prompt that has the fewest
  tokens left, where having been passed over counts as having fewer.
- long jobs hold three quarters of the places at most, so that a short one finds one free.
- a prompt whose beginning another job is just computing waits for that one's first token, and then shares it. So of
  many requests over one context, or the `n` choices of one request, one computes and the others read.

A prompt is known by the chained hashes of its blocks, as in vLLM's prefix caching; how many blocks are remembered is as
much as the backend keeps, the least recently used going first. That is an estimate of what the backend does: where it
is wrong something is computed twice, and nothing else.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mainspring.runtimes.language.backend import Abilities, Job
from mainspring.runtimes.language.protocol import Sampling

BLOCK = 32  # tokens; OpenVINO's block on a processor
_WORTH_STAYING = 16  # blocks that are known without lookup, and not with it


@dataclass(frozen=True)
class Turn:
    """What to submit now: `job`, as `number`. Of its prompt, `cached` tokens were known before it came.

    A `piece` only fills the cache: its number is negative, and its token is to be thrown away.
    """

    number: int
    job: Job
    cached: int = 0
    piece: bool = False


@dataclass(eq=False)
class _Waiting:
    number: int
    job: Job
    blocks: list[int]  # chained hashes of the whole blocks of the prompt
    long: bool
    pieced: int = 0  # how many of the blocks went in as pieces
    passed: int = 0  # how often another's piece went first
    cached: int | None = None


@dataclass(eq=False)
class _Running:
    blocks: list[int]
    made: set[int]  # the blocks that this one, and no other, is computing
    long: bool
    piece: bool


class Turns:
    """The waiting jobs, and what there is to know of the running ones.

    Args:
        abilities: the backend's.
        long: a job is long if the tokens still to be computed, of its prompt and its answer, are more than these.
    """

    def __init__(self, abilities: Abilities, *, long: int = 1024) -> None:
        self._abilities = abilities
        self._long = long
        self._waiting: dict[int, _Waiting] = {}
        self._running: dict[int, _Running] = {}
        self._ready: OrderedDict[int, None] = OrderedDict()  # blocks in the cache, the last used last
        self._making: set[int] = set()
        self._pieces = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, number: int, job: Job) -> None:
        """Put a job at the end of the queue. Numbers are not negative, and never used again."""
        blocks = list(_blocks(job))
        if job.lookup:  # in the other cache: what lookup saves, computing the prompt anew would cost
            plain = list(_blocks(other := replace(job, lookup=False)))
            if self._known(plain) - self._known(blocks) > _WORTH_STAYING:
                job, blocks = other, plain
        left = len(job.prompt) - self._known(blocks) * BLOCK + job.max_tokens
        self._waiting[number] = _Waiting(number, job, blocks, left > self._long)

    def began(self, number: int) -> None:
        """A running job made its first token: its prompt is in the cache now."""
        running = self._running.get(number)
        if running and running.blocks:
            self._making -= running.made
            self._remember(running.blocks)
            running.blocks, running.made = [], set()

    def remove(self, number: int) -> None:
        """A job has ended, or is not wanted any more."""
        self._waiting.pop(number, None)
        if running := self._running.pop(number, None):
            self._making -= running.made

    def take(self) -> list[Turn]:
        """What to submit now, in this order. It runs until it is removed."""
        turns = []
        to_piece = []
        for waiting in list(self._waiting.values()):
            if not self._has_place(waiting):
                continue
            known = self._known(waiting.blocks)
            if known < len(waiting.blocks) and waiting.blocks[known] in self._making:
                continue
            left = len(waiting.job.prompt) - max(known, waiting.pieced) * BLOCK
            if self._abilities.piece is not None and left > self._abilities.piece:
                to_piece.append((left - waiting.passed * self._abilities.piece // 4, waiting, known))
            else:
                turns.append(self._whole(waiting, known))
        if to_piece and not any(running.piece for running in self._running.values()):
            _, waiting, known = min(to_piece, key=lambda item: item[0])
            if self._has_place(waiting):
                turns.append(self._piece(waiting, known))
                for _, other, _ in to_piece:
                    other.passed += other is not waiting
        return turns

    def _has_place(self, waiting: _Waiting) -> bool:
        places = self._abilities.sequences
        if waiting.long and sum(running.long for running in self._running.values()) >= max(1, places * 3 // 4):
            return False
        return len(self._running) < places

    def _whole(self, waiting: _Waiting, known: int) -> Turn:
        """The job itself; of its prompt there is little enough to compute."""
        del self._waiting[waiting.number]
        self._start(waiting.number, waiting.blocks, long=waiting.long)
        cached = min(known * BLOCK, len(waiting.job.prompt) - 1)
        return Turn(waiting.number, waiting.job, cached if waiting.cached is None else waiting.cached)

    def _piece(self, waiting: _Waiting, known: int) -> Turn:
        """The next piece of its prompt."""
        assert self._abilities.piece is not None
        waiting.cached = known * BLOCK if waiting.cached is None else waiting.cached
        waiting.pieced = max(known, waiting.pieced) + max(1, self._abilities.piece // BLOCK)
        self._pieces += 1
        job = replace(
            waiting.job,
            prompt=waiting.job.prompt[: waiting.pieced * BLOCK],
            sampling=Sampling(temperature=0),
            max_tokens=1,
            grammar=None,
        )
        self._start(-self._pieces, waiting.blocks[: waiting.pieced], long=True, piece=True)
        return Turn(-self._pieces, job, piece=True)

    def _start(self, number: int, blocks: list[int], *, long: bool, piece: bool = False) -> None:
        made = {block for block in blocks if block not in self._ready and block not in self._making}
        self._making |= made
        self._running[number] = _Running(blocks, made, long, piece)

    def _known(self, blocks: list[int]) -> int:
        """How many of the blocks, from the first on, are in the cache as far as is known."""
        return next((count for count, block in enumerate(blocks) if block not in self._ready), len(blocks))

    def _remember(self, blocks: list[int]) -> None:
        for block in reversed(blocks):  # the first is the last to be forgotten, for without it the others are useless
            self._ready[block] = None
            self._ready.move_to_end(block)
        while len(self._ready) > self._abilities.remembers // BLOCK:
            self._ready.popitem(last=False)


def _blocks(job: Job) -> Iterator[int]:
    tokens = array("q", job.prompt)
    before = int(job.lookup)  # jobs with lookup and those without have a cache each
    for end in range(BLOCK, len(tokens) + 1, BLOCK):
        before = hash((before, tokens[end - BLOCK : end].tobytes()))
        yield before
