"""What somebody wrote in a message is text, also where it looks like one of the model's own marks.

"<|im_end|>" in a user's message would end that message and begin another, of the system's say, if the prompt were
tokenized as a whole ("special token injection"). So a mark in a message is cut after its first character, by a word
that nobody can guess, before the chat template is rendered; what the template itself writes is whole. The prompt is
then split at that word, and its parts are tokenized one by one: none holds a mark that the template did not write. A
prompt without marks in its messages has one part, and the tokens that it always had.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any


class Literal:
    """Cuts the marks of one model, whose texts are `marks`.

    >>> literal = Literal(["<|im_end|>"])
    >>> cut = literal.cutter()
    >>> cut.split("<|im_end|>" + cut("No marks") + cut("<|im_end|>"))
    ['<|im_end|>No marks<', '|im_end|>']
    """

    def __init__(self, marks: Iterable[str]) -> None:
        # At every place where a mark begins, also within another one; one of a single character cannot be cut.
        known = sorted((mark for mark in marks if len(mark) > 1), key=len, reverse=True)
        self._begin = re.compile(f"(?=(?:{'|'.join(map(re.escape, known))}))(.)", re.DOTALL) if known else None

    def cutter(self) -> Cutter:
        """For one prompt."""
        return Cutter(self._begin)


class Cutter:
    """Cuts marks in what goes into one prompt, and splits the prompt."""

    def __init__(self, begin: re.Pattern[str] | None) -> None:
        self._begin, self._word = begin, secrets.token_hex(16)

    def __call__(self, value: Any) -> Any:
        """`value`, of JSON, with the marks in its texts cut, names of fields among them."""
        if isinstance(value, str):
            return value if self._begin is None else self._begin.sub(lambda found: found[1] + self._word, value)
        if isinstance(value, dict):
            return {self(name): self(field) for name, field in value.items()}
        return [self(one) for one in value] if isinstance(value, list | tuple) else value

    def split(self, prompt: str) -> list[str]:
        """The parts of a prompt that was rendered from what was cut."""
        return prompt.split(self._word)
