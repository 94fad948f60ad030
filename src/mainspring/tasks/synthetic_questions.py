"""Questions about a collection that nobody asked yet: a language model writes them, a search has to find them again.

Where there are no questions of people, these tell at least whether one way to search is better than another. Each is
made from one passage and kept only if a search for it finds that passage's section among the first few (the round trip
of Promptagator: Dai and others, 2022). So they flatter every figure: what cannot be found is not among them. They are
marked as synthetic wherever they are counted.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from mainspring.data.documents.passages import Passage
from mainspring.errors import ContextError, MainspringError
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.language.protocol import Delta, Engine, Generate, JsonSchema, Sampling

_SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string", "maxLength": 160}},
    "required": ["question"],
    "additionalProperties": False,
}
_ASKED = (
    "{passage}\n\n"
    "Write one short question that a reader would ask and that the text above answers. Ask in words of your own, and "
    "name what the question is about."
)
_TOKENS = 80
_FEWEST_CHARACTERS = 160  # of a passage that can be asked about
_WORDS = range(4, 31)  # of a question
_MOST_COPIED = 0.8  # of a question's words, in one run of the passage
_AT_ONCE = 8
_WITHIN = 10


class Written(msgspec.Struct, frozen=True):
    """A question, and where it is answered: as a row of a table of questions."""

    question: str
    source: str
    synthetic: bool = True


@dataclass(frozen=True)
class Synthetic:
    """The questions that were kept, and how many were not, by reason."""

    questions: list[Written]
    dropped: dict[str, int]


async def write_questions(
    passages: Sequence[Passage],
    search: Search,
    engine: Engine,
    *,
    number: int,
    seed: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Synthetic:
    """Ask `engine` about passages, drawn at random and each once, until `number` questions are kept or none is left.

    Args:
        passages: those that may be asked about.
        search: has to find the section again.
        engine: a chat model that can be held to a JSON schema.
        number: of questions.
        seed: of the order.
        tell: told how many are kept, now and then.
    """
    waiting = [passage for passage in passages if len(passage.text) >= _FEWEST_CHARACTERS]
    random.Random(seed).shuffle(waiting)
    kept: dict[str, Written] = {}
    dropped: Counter[str] = Counter()
    for begin in range(0, len(waiting), _AT_ONCE):
        if len(kept) >= number:
            break
        some = waiting[begin : begin + _AT_ONCE]
        for passage, found in zip(some, await asyncio.gather(*(_question(engine, one) for one in some)), strict=True):
            reason = found[1] or _fault(found[0], passage) or await _not_found(search, found[0], passage)
            if reason or found[0].casefold() in kept:
                dropped[reason or "asked before"] += 1
            elif len(kept) < number:
                kept[found[0].casefold()] = Written(found[0], passage.address)
        if tell:
            tell(len(kept))
    return Synthetic(list(kept.values()), dict(dropped))


async def _question(engine: Engine, passage: Passage) -> tuple[str, str]:
    """What the model asks, and why it cannot be used, if it cannot."""
    request = Generate(
        messages=[{"role": "user", "content": _ASKED.format(passage=passage.indexed)}],
        structure=JsonSchema(_SCHEMA),
        sampling=Sampling(temperature=0.0, max_tokens=_TOKENS),
    )
    try:
        parts = [part.text async for part in engine.generate(request) if isinstance(part, Delta)]
        return " ".join(msgspec.json.decode("".join(parts))["question"].split()), ""
    except ContextError:
        return "", "the passage is too long for the model"
    except msgspec.DecodeError:
        return "", "cut off"


def _fault(question: str, passage: Passage) -> str:
    """Why it is no question, if it is none."""
    words = re.findall(r"\w+", question.casefold())
    if not question.endswith("?"):
        return "not a question"
    if len(words) not in _WORDS:
        return "too short or too long"
    there = " ".join(re.findall(r"\w+", passage.text.casefold()))
    run = int(len(words) * _MOST_COPIED)
    if any(" ".join(words[at : at + run]) in there for at in range(len(words) - run + 1)):
        return "copied from the passage"
    return ""


async def _not_found(search: Search, question: str, passage: Passage) -> str:
    try:
        searched = await search(question, _WITHIN)
    except MainspringError as error:
        return f"cannot be searched for: {error}"
    places = {(one.passage.source, one.passage.path) for one in searched.found}
    return "" if (passage.source, passage.path) in places else "not found again"
