"""The rule that says whether a passage supports a claim: fitted on one half of built claims, tried on the other.

Claims are sentences of Python's documentation, edited. Those that stay true: a word left out, a lead put in front, the
last clause cut off, two joined. Those that don't: a content word, a number or two words' places changed, a negation put
in or taken away, and sentences of another part of the same document.

    python benchmarks/answering/support.py ROOT     (…/html/_sources) prints the constants of `answering/support.py`
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from collection import python_collection

from mainspring.data.documents.document import Document
from mainspring.data.documents.passages import Passage
from mainspring.evaluation.intervals import clopper_pearson
from mainspring.prompts.answering import support as rule
from mainspring.prompts.answering.sentences import split
from mainspring.prompts.answering.support import Evidence
from mainspring.prompts.answering.wording import read, tokens
from mainspring.runtimes.index.found import Found
from mainspring.tasks.answerability import logistic

TRUE = ("whole", "light word left out", "content word left out", "lead", "clause left out", "two joined")
FALSE = ("word changed", "number changed", "negation", "places changed", "elsewhere")
_LEADS = (
    "According to the documentation,",
    "It is worth noting that",
    "The answer is that",
    "In short,",
    "As the text explains,",
)
_MOST_FALSE = 0.02  # of the spoilt claims of the fitted half that the rule may take for supported


@dataclass(frozen=True)
class Claim:
    """A claim about some passages, and whether they support it."""

    text: str
    evidence: Evidence
    kind: str


def claims(documents: list[Document], seed: int = 0) -> Iterator[Claim]:
    """Some claims of every kind from every document that has enough to say."""
    draw = random.Random(seed)
    paragraphs = [block.text for document in documents for block in document.blocks if block.kind == "paragraph"]
    said = {text[token.begin : token.end] for text in paragraphs for token in tokens(text) if token.kind == "word"}
    words = sorted(word for word in said if word.islower() and len(word) > 3)
    for document in documents:
        blocks = [block for block in document.blocks if block.kind == "paragraph" and len(block.text) > 120]
        if len(blocks) < 8:
            continue
        draw.shuffle(blocks)
        evidence = Evidence([_found(document, block.begin, block.end, block.text) for block in blocks[:4]])
        away = [text for block in blocks[4:8] for text in _sentences(block.text)]
        for block in blocks[:4]:
            said = _sentences(block.text)
            for sentence, following in zip(said[:2], (*said[1:], ""), strict=False):
                for kind, text in _edits(sentence, following, draw, words, away):
                    yield Claim(text, evidence, kind)


def _found(document: Document, begin: int, end: int, text: str) -> Found:
    passage = Passage(source=document.source, begin=begin, end=end, text=text, path=(document.title,))
    return Found(
        id=passage.id("built"),
        passage=passage,
        quote=document.text[begin:end],
        score=1.0,
        dense=1.0,
        sparse=1.0,
        title=document.title,
    )


def _sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in split(text) if len(read(text[a:b]).content) >= 5 and text[b - 1] == "."]


def _edits(
    sentence: str, following: str, draw: random.Random, words: list[str], away: list[str]
) -> Iterator[tuple[str, str]]:
    found = tokens(sentence)
    content = [token for token in found if token.kind == "word"]
    yield "whole", sentence
    light = [token for token in found if token.kind == "stop" and token.begin]
    if light:
        gone = draw.choice(light)
        yield "light word left out", sentence[: gone.begin].rstrip() + sentence[gone.end :]
    if len(content) >= 6:
        gone = draw.choice(content[1:-1])
        yield "content word left out", sentence[: gone.begin].rstrip() + sentence[gone.end :]
    yield "lead", f"{draw.choice(_LEADS)} {sentence[0].lower()}{sentence[1:]}"
    if following:
        yield "two joined", f"{sentence[:-1]}, and {following[0].lower()}{following[1:]}"
    if "," in sentence and not read(sentence).negated:
        begin = sentence[: sentence.rindex(",")]
        if len(read(begin).content) >= 4:
            yield "clause left out", begin + "."
    changed = draw.choice(content)
    other = draw.choice(words)
    if other.casefold() not in sentence.casefold():
        yield "word changed", sentence[: changed.begin] + other.lower() + sentence[changed.end :]
    numbers = [token for token in found if token.kind == "number"]
    if numbers:
        one = draw.choice(numbers)
        yield "number changed", sentence[: one.begin] + str(draw.randint(1000, 9999)) + sentence[one.end :]
    negations = [token for token in found if token.kind == "negation" and token.form == "not"]
    if negations:
        yield "negation", re.sub(r"\bnot\s", "", sentence, count=1)
    elif verb := re.search(r"\b(is|are|can|will|may|must|does|should)\b", sentence):
        yield "negation", f"{sentence[: verb.end()]} not{sentence[verb.end() :]}"
    first, last = content[0], content[-1]
    if len(content) >= 4 and first.form != last.form:
        middle = sentence[first.end : last.begin]
        swapped = sentence[last.begin : last.end] + middle + sentence[first.begin : first.end]
        yield "places changed", sentence[: first.begin] + swapped + sentence[last.end :]
    if away:
        yield "elsewhere", draw.choice(away)


def fit(built: list[Claim]) -> tuple[float, float, float]:
    """Bias, weight of what is contained and of the order: fitted on the claims that nothing else decides."""
    best = [(claim.evidence.best(claim.text), claim.kind) for claim in built]
    open_ = [(found.overlap, kind in TRUE) for found, kind in best if found and not found.overlap.verbatim]
    values = np.array([(overlap.contained, overlap.order) for overlap, _ in open_])
    right = np.array([true for _, true in open_])
    weights, _ = logistic(values, right)
    bias = -float(np.quantile((values @ weights)[~right], 1 - _MOST_FALSE * (len(built) / max(1, (~right).sum()))))
    return bias, float(weights[0]), float(weights[1])


def judged(built: list[Claim]) -> dict[str, tuple[int, int]]:
    """By kind: how many claims were taken for supported, and how many there were."""
    found = {}
    for kind in (*TRUE, *FALSE):
        these = [claim.evidence.best(claim.text) for claim in built if claim.kind == kind]
        found[kind] = (sum(one is not None and one.enough for one in these), len(these))
    return found


def table(built: list[Claim]) -> str:
    """What `judged` finds, as Markdown."""
    lines = ["| claim | true | claims | taken for supported |", "| --- | --- | ---: | ---: |"]
    for kind, (taken, number) in judged(built).items():
        low, high = clopper_pearson(taken, number, 0.95)
        true = "yes" if kind in TRUE else "no"
        lines.append(f"| {kind} | {true} | {number} | {taken / max(1, number):.3f} ({low:.3f} to {high:.3f}) |")
    return "\n".join(lines)


def main() -> None:
    documents, _ = python_collection(Path(sys.argv[1]))
    built = list(claims(documents))
    half = [claim for number, claim in enumerate(built) if number // 16 % 2 == 0]
    rest = [claim for number, claim in enumerate(built) if number // 16 % 2 == 1]
    rule.BIAS, rule.CONTAINMENT, rule.ORDER = fit(half)
    print(f"BIAS, CONTAINMENT, ORDER = {rule.BIAS:.2f}, {rule.CONTAINMENT:.2f}, {rule.ORDER:.2f}")
    print(table(rest))


if __name__ == "__main__":
    main()
