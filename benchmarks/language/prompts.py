"""Prompts of real English text, of exactly so many tokens each, no two of which begin alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from peers import HERE, BenchmarkError

from mainspring.runtimes.language.tokens import Tokenizer

# Beginnings, and what any sane model goes on with.
SURE = {
    "The capital of Japan is": "Tokyo",
    "1, 2, 3, 4, 5, 6, 7, 8,": "9, 10",
    "The days of the week are Monday, Tuesday, Wednesday,": "Thursday",
}
_STRIDE = 61  # words from the start of one to the start of the next
_DOCUMENTS = HERE.parents[1] / "docs"


@dataclass(frozen=True)
class Prompt:
    """A text and its tokens."""

    text: str
    ids: list[int]


def prompts(tokenizer: Tokenizer, length: int) -> Iterator[Prompt]:
    """Pieces of the project's documentation, `length` tokens each.

    They overlap, but begin at other places: what a cache of beginnings keeps of one is of no use to another.

    Raises:
        BenchmarkError: there are no more.
    """
    texts = [path.read_text() for path in sorted(_DOCUMENTS.rglob("*.md"))]
    words = " ".join(" ".join(line for line in text.splitlines() if not line.startswith("|")) for text in texts).split()
    seen = set()
    for offset in range(_STRIDE):  # more rounds over the text than one will hardly ever be needed
        for start in range(offset, len(words) - length, _STRIDE):
            ids = tokenizer.encode(" ".join(words[start : start + length]))[:length]
            text = tokenizer.decode(ids)
            beginning = tuple(ids[:16])
            if len(ids) == length and beginning not in seen and tokenizer.encode(text) == ids:
                seen.add(beginning)
                yield Prompt(text, ids)
    raise BenchmarkError(f"{_DOCUMENTS} has {len(seen)} prompts of {length} tokens only: ask for fewer rounds")
