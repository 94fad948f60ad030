"""Where in a document what a passage says stands: from the text without markup back to the characters of the source."""

from __future__ import annotations

import re
from typing import NamedTuple

from mainspring.prompts.answering.sentences import split
from mainspring.prompts.answering.wording import Token, tokens
from mainspring.runtimes.index.found import Found

_AHEAD = 60  # tokens of markup that may stand between two words: an address, a directive
_ADDRESS = re.compile(r"(?<=\])\([^()\s]*\)")  # of a link in Markdown, whose words are not said
_OPENS = "*_`[(\"'“«"
_CLOSES = "\"'”’»)]}.!?…。！？*`_:"


class Placed(NamedTuple):
    """A sentence at [begin, end) of its document. With `header` it is a row of a table, which names its columns, and
    that is where the names stand.
    """

    text: str
    begin: int
    end: int
    header: tuple[int, int] | None = None


def sentence_places(found: Found) -> list[Placed]:
    """The sentences of a passage.

    A table's header is none of them: each of its rows has the names. Where no word of a sentence is found at the
    passage's place, its place is that of the passage.
    """
    places = []
    for a, b, begin, end in _places(found):
        table = next((one for one in found.passage.tables if one.begin <= a and b <= one.end), None)
        said = found.passage.text[a:b]
        if table is None:
            places.append(Placed(said, begin, end))
        elif a >= table.rows and (named := _named(found.passage.text[table.begin : table.rows], said)):
            places.append(Placed(named, begin, end, table.header))
        elif a >= table.rows:
            places.append(Placed(said, begin, end))
    return places


def _named(header: str, row: str) -> str | None:
    """The cells of a row behind the names of their columns; None where they don't fit together.

    >>> _named("Fare | Bags | Refund", "Basic | 1 |")
    'Fare: Basic; Bags: 1.'
    """
    above, cells = [_cells(line) for line in header.strip().split("\n")], _cells(row)
    if len(cells) < 2 or any(len(one) != len(cells) for one in above):
        return None
    names = [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*above, strict=True)]
    said = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=True) if cell]
    text = "; ".join(said)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in f" {row} ".split(" | ")]


def _places(found: Found) -> list[tuple[int, int, int, int]]:
    """The sentences, each at [a, b) of the passage's text, and [begin, end) of the document."""
    text = found.passage.text
    if text == found.quote:
        return [(a, b, found.passage.begin + a, found.passage.begin + b) for a, b in split(text)]
    written = tokens(text)
    matched = _aligned(written, tokens(_ADDRESS.sub(lambda address: " " * len(address[0]), found.quote)))
    places = []
    for a, b in split(text):
        within = [matched[at] for at, token in enumerate(written) if a <= token.begin < b and matched[at] is not None]
        if found.passage.header and not within:
            continue
        spans = [place for place in within if place is not None]
        begin, end = _whole(found.quote, spans[0][0], spans[-1][1]) if spans else (0, len(found.quote))
        places.append((a, b, found.passage.begin + begin, found.passage.begin + end))
    return places


def _aligned(written: list[Token], quoted: list[Token]) -> list[tuple[int, int] | None]:
    """For each token of the text the place of its fellow in the quote, in order; None where there is none near."""
    said = [token for token in written if token.kind != "pause"]
    there = [token for token in quoted if token.kind != "pause"]
    forms = [token.form for token in there]
    places: dict[int, tuple[int, int]] = {}
    at = 0
    for number, token in enumerate(said):
        fellows = [place for place in range(at, min(at + _AHEAD, len(there))) if forms[place] == token.form]
        following = said[number + 1].form if number + 1 < len(said) else None
        # One whose neighbour fits, too: a small word stands in addresses and markup as well.
        sure = next((place for place in fellows if following in forms[place + 1 : place + 3]), None)
        fellow = sure if sure is not None else next(iter(fellows), None) if token.kind != "stop" else None
        if fellow is not None:
            places[token.begin] = (there[fellow].begin, there[fellow].end)
            at = fellow + 1
    return [places.get(token.begin) for token in written]


def _whole(quote: str, begin: int, end: int) -> tuple[int, int]:
    """With the marks that open before it and close after it, and the address of a link that it ends with."""
    while begin and quote[begin - 1] in _OPENS:
        begin -= 1
    while end < len(quote):
        if quote[end] in _CLOSES:
            end += 1
        elif quote[end - 1 : end + 1] == "](" and (close := quote.find(")", end)) > 0:
            end = close + 1
        else:
            break
    return begin, end
