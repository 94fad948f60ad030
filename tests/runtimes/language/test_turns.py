from __future__ import annotations

import random

import pytest

from mainspring.runtimes.language.backend import Abilities, Job
from mainspring.runtimes.language.protocol import Sampling
from mainspring.runtimes.language.turns import BLOCK, Turns

PIECE = 64


def turns(sequences=4, remembers=10_000, piece=PIECE, long=100):
    able = Abilities(context=8192, sequences=sequences, piece=piece, remembers=remembers, logprobs=None, lookup=False)
    return Turns(able, long=long)


def job(length, *, first=0, answer=10, fill=None):
    prompt = list(range(first, first + length)) if fill is None else [fill] * length
    return Job(prompt=prompt, sampling=Sampling(), max_tokens=answer, seed=0, end_ids=frozenset())


def finish(queue, turn):
    queue.began(turn.number)
    queue.remove(turn.number)


def test_jobs_are_taken_in_order_as_far_as_there_is_room():
    queue = turns(sequences=2)
    for number in range(3):
        queue.add(number, job(10, first=100 * number))
    first = queue.take()
    assert [turn.number for turn in first] == [0, 1]
    assert queue.take() == []
    assert len(queue) == 1
    finish(queue, first[0])
    assert [turn.number for turn in queue.take()] == [2]


def test_a_long_prompt_goes_in_by_pieces_and_then_whole():
    queue = turns()
    queue.add(0, job(200))
    seen = []
    while True:
        [turn] = queue.take()
        seen.append(len(turn.job.prompt))
        if not turn.piece:
            break
        assert turn.number < 0
        assert turn.job.max_tokens == 1
        finish(queue, turn)
    assert seen == [64, 128, 192, 200]
    assert turn.job.prompt == list(range(200))
    assert turn.cached == 0, "what its own pieces computed was not known before"


def test_short_ones_go_before_the_next_piece():
    queue = turns()
    queue.add(0, job(200))
    [piece] = queue.take()
    assert piece.piece
    queue.add(1, job(10, first=5000))
    assert [turn.number for turn in queue.take()] == [1]
    finish(queue, piece)
    queue.add(2, job(10, first=6000))
    taken = queue.take()
    assert taken[0].number == 2
    assert taken[1].piece


def test_one_piece_is_under_way_at_a_time_and_the_least_that_is_left_goes_first():
    queue = turns()
    queue.add(0, job(1000))
    queue.add(1, job(200, first=5000))
    [piece] = queue.take()
    assert piece.job.prompt[0] == 5000
    assert queue.take() == []


def test_the_longest_prompt_is_not_passed_over_for_ever():
    queue = turns()
    queue.add(0, job(1000))
    for number in range(1, 200):
        queue.add(number, job(100, first=10_000 * number))
        for turn in queue.take():
            finish(queue, turn)
            if turn.number == 0:
                return
    pytest.fail("the long one never had its turn")


def test_long_ones_leave_a_quarter_of_the_places():
    queue = turns(sequences=4)
    for number in range(6):
        queue.add(number, job(10, first=100 * number, answer=1000))
    assert [turn.number for turn in queue.take()] == [0, 1, 2]
    queue.add(6, job(10, first=900))
    assert [turn.number for turn in queue.take()] == [6]


def test_who_shares_a_beginning_waits_for_it_and_reads_it():
    queue = turns()
    prompt = job(60, fill=7)
    queue.add(0, prompt)
    queue.add(1, prompt)
    queue.add(2, job(60, fill=8))
    taken = queue.take()
    assert [turn.number for turn in taken] == [0, 2]
    assert queue.take() == []
    queue.began(0)
    [turn] = queue.take()
    assert (turn.number, turn.cached) == (1, BLOCK)


def test_who_waits_for_one_that_is_cancelled_goes_ahead():
    queue = turns()
    queue.add(0, job(60, fill=7))
    queue.add(1, job(60, fill=7))
    assert [turn.number for turn in queue.take()] == [0]
    queue.remove(0)
    [turn] = queue.take()
    assert (turn.number, turn.cached) == (1, 0)


def test_what_is_remembered_is_bounded_and_the_oldest_goes():
    queue = turns(remembers=4 * BLOCK, sequences=1)
    for number, fill in enumerate([1, 2, 3, 1, 3]):
        queue.add(number, job(2 * BLOCK, fill=fill))
        [turn] = queue.take()
        finish(queue, turn)
        known = turn.cached
    assert known == 2 * BLOCK - 1, "of a prompt that is known whole, its last token is computed again"
    queue.add(9, job(2 * BLOCK, fill=2))
    [turn] = queue.take()
    assert turn.cached == 0


def test_a_cancelled_one_is_never_taken():
    queue = turns()
    queue.add(0, job(10))
    queue.remove(0)
    assert queue.take() == []
    assert len(queue) == 0


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_everything_is_served(seed):
    """Also with a memory that is too small for what is asked."""
    rng = random.Random(seed)
    queue = turns(sequences=rng.choice([1, 2, 5]), remembers=rng.choice([BLOCK, 300, 5000]))
    waiting = set()
    running = []
    number = 0
    for step in range(3000):
        if step < 300 and rng.random() < 0.3:
            queue.add(number, job(rng.choice([5, 50, 300, 900]), fill=rng.randrange(4), answer=rng.choice([5, 500])))
            waiting.add(number)
            number += 1
        running += queue.take()
        if running and rng.random() < 0.7:
            turn = running.pop(rng.randrange(len(running)))
            finish(queue, turn)
            waiting.discard(turn.number)
    assert not waiting
    assert len(queue) == 0
