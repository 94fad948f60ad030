"""An answer, sentence by sentence: each is kept where a passage supports it, and bears that passage's number.

The numbers that a model wrote are tried first, and not trusted: where the passage with that number does not support the
sentence and another does, the other's is put there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mainspring.prompts.answering.sentences import MARK
from mainspring.prompts.answering.support import VERBATIM, Evidence, Support, Window
from mainspring.prompts.answering.wording import content, tokens
from mainspring.runtimes.language.protocol import Citation

UNSUPPORTED = "[unsupported]"

_MARKS = re.compile(rf"[ \t]*{MARK}")
_CLAIMED = 3  # content words of a lead that says something
_BULLET = re.compile(r"[-*•–] ")


class Answer:
    """The answer so far: its text, its citations, and what was removed.

    Args:
        evidence: the passages, in the order in which the model saw them numbered from 1.
        marks: keep what is not supported, with a mark.
    """

    def __init__(self, evidence: Evidence, *, marks: bool = False) -> None:
        self.text = ""
        self.citations: list[Citation] = []
        self.removed = 0
        self.removed_in_a_row = 0
        self._evidence = evidence
        self._marks = marks
        self._numbers: dict[int, int] = {}
        self._said: set[tuple[str, ...]] = set()

    def take(self, gap: str, sentence: str) -> str:
        """A sentence of the model's, after the white space `gap`; what it adds to the answer, which may be nothing."""
        claimed = [int(number) - 1 for mark in _MARKS.findall(sentence) for number in re.findall(r"\d+", mark)]
        bare = _MARKS.sub("", sentence).strip()
        words = tuple(token.form for token in tokens(bare) if token.kind != "pause")
        if not words or (bare.endswith(":") and len(content(bare)) < _CLAIMED):
            return ""  # "Here is an example:" claims nothing
        if words in self._said:
            self.removed_in_a_row += 1  # a small model that begins to repeat itself does not end by itself
            return ""
        self._said.add(words)
        support = self._support(bare, [at for at in dict.fromkeys(claimed) if 0 <= at < len(self._evidence.passages)])
        if support is not None and support.enough:
            self.removed_in_a_row = 0
            return self.cite(gap, bare, support)
        self.removed += 1
        self.removed_in_a_row += 1
        return self._add(gap, f"{bare} {UNSUPPORTED}") if self._marks else ""

    def cite(self, gap: str, sentence: str, support: Support) -> str:
        """Add a sentence that is supported; the same as text."""
        passage = self._evidence.passages[support.passage]
        number = self._numbers.setdefault(support.passage, len(self._numbers) + 1)
        added = self._add(gap, f"{sentence} [{number}]")
        begin = len(self.text) - len(added.lstrip())
        window = support.window
        at = passage.passage.begin
        self.citations.append(
            Citation(
                begin=begin,
                end=begin + len(sentence),
                number=number,
                passage=passage.id,
                source=passage.passage.source,
                title=passage.title,
                place=(window.begin, window.end),
                quote=passage.quote[window.begin - at : window.end - at],
                supported=round(support.probability, 4),
                page=passage.passage.page,
                anchor=passage.passage.anchor,
                header=window.header,
            )
        )
        return added

    def quote(self, gap: str, passage: int, window: Window) -> str:
        """Add a sentence of a passage as it stands there; the same as text."""
        return self.cite(gap, _BULLET.sub("", window.text, count=1), Support(passage, window, VERBATIM))

    def say(self, gap: str, text: str) -> str:
        """Add words that claim nothing of the documents; the same as text."""
        return self._add(gap, text)

    def cited(self) -> Sequence[tuple[int, tuple[int, int]]]:
        """The places that are cited, each with its passage's place in the list."""
        passages = {number: at for at, number in self._numbers.items()}
        return [(passages[citation.number], citation.place) for citation in self.citations]

    def _support(self, sentence: str, claimed: list[int]) -> Support | None:
        named = self._evidence.best(sentence, claimed) if claimed else None
        return named if named is not None and named.enough else self._evidence.best(sentence)

    def _add(self, gap: str, text: str) -> str:
        """`text` after a space, or after as many line ends as the model wrote."""
        lines = min(gap.count("\n"), 2)
        added = text if not self.text else "\n" * lines + text if lines else f" {text}"
        self.text += added
        return added
