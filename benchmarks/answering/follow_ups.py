"""Questions that need the one before: made of two questions of the FAQ that share a word.

The word is replaced by "it" in the second, which then needs the first. What is searched for is the second as it is,
with the conversation in front, both, or a language model's rewriting.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from collection import Question

from mainspring.prompts.answering.wording import content, stem
from mainspring.runtimes.language.protocol import Message

_TOO_COMMON = 12  # questions that have a word which says little about any


@dataclass(frozen=True)
class FollowUp:
    """A question, the one before it, and the document that answers it."""

    before: str
    text: str
    whole: str
    source: str


def follow_ups(questions: list[Question]) -> list[FollowUp]:
    """One for each question that shares a word with another of its page."""
    having: dict[str, int] = {}
    for question in questions:
        for word in set(content(question.text)):
            having[word] = having.get(word, 0) + 1
    found = []
    for question in questions:
        assert question.source is not None
        page = question.source.split("#")[0]
        others = [one for one in questions if one is not question and one.source and one.source.split("#")[0] == page]
        shared = [
            (having[word], other.text, word)
            for other in others
            for word in set(content(question.text)) & set(content(other.text))
            if having[word] <= _TOO_COMMON and word.isalpha()
        ]
        if not shared:
            continue
        _, before, word = min(shared)
        text = re.sub(
            r"(?:\b(?:an?|the)\s+)?\b[^\W\d_]+\b",
            lambda match, word=word: "it" if stem(match[0].split()[-1]) == word else match[0],
            question.text,
        )
        if text != question.text:
            found.append(FollowUp(before, text, question.text, question.source))
    return found


REWRITE = (
    "Rewrite the user's last question so that it can be understood without the conversation: put in the names that it "
    "refers to. Answer with the question alone."
)


def conversation_to_rewrite(history: Sequence[Message], question: str) -> list[Message]:
    """What a language model is asked, to make `question` stand alone."""
    told = "\n".join(f"{message['role']}: {message['content']}" for message in history)
    asked = f"Conversation:\n{told[-2000:]}\n\nThe user's last question: {question}\n\nRewritten question:"
    return [{"role": "system", "content": REWRITE}, {"role": "user", "content": asked}]
