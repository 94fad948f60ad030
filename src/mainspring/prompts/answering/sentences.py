"""Where sentences end, in a text that is there and in one that is being written.

By rule: a mark of the end, what closes after it (quotes, brackets, the numbers of citations), white space, and then no
small letter; not after an abbreviation, an initial, or the number of a list's item. Items of a list and rows of a table
are sentences of their own, and so are paragraphs, headings and indented code. A line that is long and ends without a
mark goes on in the next.
"""

from __future__ import annotations

import re
from itertools import pairwise

MARK = r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]"  # of a citation: [1], [1, 2]

_END = re.compile(rf"(?:[.!?…]+[\"'”’»)\]]*(?:[ \t]*{MARK})*(?=\s|$)|[。！？]+[」』”]*(?:[ \t]*{MARK})*)")
_BREAK = re.compile(r"\n[ \t\r]*\n|\n(?=[ \t]*(?:[-*•–]|\d{1,3}[.)])[ \t])|\n(?=[^\n]* \| )")
_LINES = re.compile(r"(?<![^\n])([^\n]*)\n(?=([^\n]{0,3}))")
_SHORT = 60  # characters of a line that is not a wrapped one
_ITEM = re.compile(r"(?:^|\n)[ \t]*\d{1,3}$")
_ROW_END = re.compile(r" \| [^\n]*\n(?=[^\n])")
_ABBREVIATED = """
    approx al apr aug ca cf co corp dec dept dr e.g eg est etc feb fig figs i.e ie inc jan jr jul jun ltd mar max min mr
    mrs ms no nos nov nr oct op p pp prof sec sect sep sept sr st tel viz vol vs z.b bzw usw
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


def split(text: str) -> list[tuple[int, int]]:
    """The places of the sentences in `text`, without the white space around them.

    >>> text = "It leaves at 8 a.m. daily. Bags, e.g. rucksacks, weigh 8 kg [1]."
    >>> [text[begin:end] for begin, end in split(text)]
    ['It leaves at 8 a.m. daily.', 'Bags, e.g. rucksacks, weigh 8 kg [1].']
    """
    cuts = {0, len(text)}
    cuts |= {found.start() for found in _BREAK.finditer(text)}
    cuts |= {found.end() for found in _LINES.finditer(text) if _parts(found[1], found[2])}
    cuts |= {found.end() for found in _ROW_END.finditer(text)}
    cuts |= {found.end() for found in _END.finditer(text) if _ends(text, found)}
    bounds = sorted(cuts)
    places = []
    for begin, end in pairwise(bounds):
        piece = text[begin:end]
        left = len(piece) - len(piece.lstrip())
        if bare := piece.strip():
            places.append((begin + left, begin + left + len(bare)))
    return places


def _parts(line: str, following: str) -> bool:
    """Whether what follows a line's end is something else."""
    if line.startswith(("  ", "\t")) or following.startswith(("  ", "\t")):
        return not (line.startswith(("  ", "\t")) and following.startswith(("  ", "\t")))
    if following[:1].islower():
        return False
    return len(line) < _SHORT or line.rstrip().endswith((".", "!", "?", ":", ";", "…"))


def _ends(text: str, found: re.Match[str]) -> bool:
    after = text[found.end() :].lstrip()
    if text[found.start()] in "。！？":
        return True
    if after[:1].islower():
        return False
    if found[0][0] != "." or found[0].startswith(".."):
        return True
    before = text[: found.start()]
    if _ITEM.search(before):
        return False
    word = re.search(r"[\w.]*$", before)
    last = word[0] if word else ""
    return not (last.casefold() in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last.isupper()))


class Sentences:
    """The sentences of a text that comes in pieces. Each is given when the next has begun, for only then has it ended.

    >>> growing = Sentences()
    >>> growing.feed("It is 8 kg. [1] You"), growing.feed(" may not"), growing.end()
    ([('', 'It is 8 kg. [1]')], [], [(' ', 'You may not')])
    """

    def __init__(self) -> None:
        self._text = ""
        self._given = 0

    def feed(self, piece: str) -> list[tuple[str, str]]:
        """The sentences that `piece` completes, each with the white space before it."""
        self._text += piece
        if not any(character in ".!?…\n。！？" for character in self._text):
            return []
        places = split(self._text)
        # What stands in brackets at the beginning may be the number that belongs to the sentence before.
        if len(places) > 1 and self._text[places[-1][0]] == "[" and places[-1][1] - places[-1][0] < 6:
            places = places[:-1]
        return self._give(places[:-1])

    def end(self) -> list[tuple[str, str]]:
        """The rest."""
        return self._give(split(self._text))

    def _give(self, places: list[tuple[int, int]]) -> list[tuple[str, str]]:
        found, at = [], 0
        for begin, end in places:
            found.append((self._text[at:begin], self._text[begin:end]))
            at = end
        self._text = self._text[at:]
        return found
