"""Which requests are answered in the words of their own prompt: what prompt lookup is worth to them.

Prompt lookup (Saxena, 2023, https://github.com/apoorvumang/prompt-lookup-decoding) guesses that what followed the last
words before will follow them again, and has several tokens checked in one step. A step with guesses costs more than one
without, so it pays where enough of them come true: in summaries, extracts, corrections of a text; not in free writing.
Which of these a request is, its answer tells, but too late. Requests of like length that begin or end alike are mostly
of one application (instructions stand first or last), so that earlier answers tell of the next.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import chain
from typing import TypeAlias

GUESSED = 8  # tokens that a step checks
LONGEST = 3  # tokens, at most, that must have stood before
_LEAST_ALIKE, _MOST_ALIKE = 4, 16  # tokens, the first or the last ones, by which an application is known
_LOOKED_AT = 4096  # tokens of a prompt, the last ones: learning takes time from what is being written
_KINDS = 1 << 14
_FEWEST = 16  # tokens of an answer that tells something
_WEIGHT = 0.5  # of the newest answer
# Tokens a step from which guessing is faster, alone and for each answer that is written beside: on two cores, SmolLM2
# gained a quarter at 2.3 tokens a step alone, lost a sixth at 3.2 with seven others, and was even at 3.9.
_ALONE, _EACH_BESIDE = 1.6, 0.25

_Kind: TypeAlias = tuple[int, ...]


class Quoting:
    """How much of the answers stood in their prompts, by kind of request.

    Args:
        frame: two prompts of the model that differ in what is asked alone. What they have in common at the beginning
            and at the end is the chat template's, and tells nothing.
    """

    def __init__(self, frame: tuple[list[int], list[int]] = ([], [])) -> None:
        one, other = frame
        self._opening = one[: _alike(one, other)]
        self._closing = one[::-1][: _alike(one[::-1], other[::-1])]
        self._tokens_a_step: OrderedDict[_Kind, float] = OrderedDict()

    def pays(self, prompt: list[int], beside: int) -> bool:
        """Whether looking up is likely to be faster, with `beside` other answers being written."""
        known = (self._nearest(kinds) for kinds in self._kinds(prompt))
        return min((found for found in known if found), default=1.0) > _ALONE + _EACH_BESIDE * beside

    def learn(self, prompt: list[int], answer: list[int]) -> None:
        """Take account of an answer, however it was made."""
        if len(answer) < _FEWEST:
            return
        found = tokens_a_step(prompt[-_LOOKED_AT:], answer)
        for kind in chain.from_iterable(self._kinds(prompt)):
            before = self._tokens_a_step.pop(kind, 1.0)
            self._tokens_a_step[kind] = before + _WEIGHT * (found - before)
        while len(self._tokens_a_step) > _KINDS:
            self._tokens_a_step.popitem(last=False)

    def _nearest(self, kinds: list[_Kind]) -> float | None:
        """Of the requests that are most like this one."""
        return next((self._tokens_a_step[kind] for kind in kinds if kind in self._tokens_a_step), None)

    def _kinds(self, prompt: list[int]) -> tuple[list[_Kind], list[_Kind]]:
        """By how it begins, and by how it ends; by the most tokens first."""
        asked = prompt[_alike(prompt, self._opening) : len(prompt) - _alike(prompt[::-1], self._closing)]
        length, alike = len(prompt).bit_length(), range(_MOST_ALIKE, _LEAST_ALIKE - 1, -1)
        return [(0, length, *asked[:many]) for many in alike], [(1, length, *asked[-many:]) for many in alike]


def tokens_a_step(prompt: list[int], answer: list[int]) -> float:
    """How many tokens a step would have made, in the mean: 1 if nothing was quoted, 1 + GUESSED if all was."""
    text = prompt + answer
    followed: list[dict[tuple[int, ...], int]] = [{} for _ in range(LONGEST)]  # words → what is first after them
    known = 0

    def know(end: int) -> None:
        """Remember what follows all words that end before `end`."""
        nonlocal known
        for place in range(known + 1, end):
            for length, places in enumerate(followed, 1):
                if place >= length:
                    places.setdefault(tuple(text[place - length : place]), place)
        known = max(known, end - 1)

    place, steps = len(prompt), 0
    while place < len(text):
        know(place)
        found = next(
            (
                followed[length - 1][words]
                for length in range(min(LONGEST, place), 0, -1)
                if (words := tuple(text[place - length : place])) in followed[length - 1]
            ),
            None,
        )
        right = 0
        while found is not None and right < GUESSED and place + right < len(text):
            if found + right >= place or text[found + right] != text[place + right]:
                break
            right += 1
        place += right + 1
        steps += 1
    return len(answer) / steps


def _alike(one: list[int], other: list[int]) -> int:
    """How many tokens they have in common at their beginnings."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
