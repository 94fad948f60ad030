"""Where in a document what a passage says stands: from the text without markup back to the characters of the source."""

from __future__ import annotations

from mainspring.prompts.answering.sentences import split
from mainspring.prompts.answering.wording import Token, tokens
from mainspring.runtimes.index.found import Found

_AHEAD = 60  # tokens of markup that may stand between two words: an address, a directive
_OPENS = "*_`[(\"'“«"
_CLOSES = "\"'”’»)]}.!?…。！？*`_:"


def sentence_places(found: Found) -> list[tuple[str, int, int]]:
    """The sentences of a passage, each with its place [begin, end) in the document.

    A table's header, which stands elsewhere in the document, is none of them. Where no word of a sentence is found at
    the passage's place, its place is that of the passage.
    """
    text = found.passage.text
    if text == found.quote:
        return [(text[a:b], found.passage.begin + a, found.passage.begin + b) for a, b in split(text)]
    written = tokens(text)
    matched = _aligned(written, tokens(found.quote))
    places = []
    for a, b in split(text):
        within = [matched[at] for at, token in enumerate(written) if a <= token.begin < b and matched[at] is not None]
        if found.passage.header and not within:
            continue
        spans = [place for place in within if place is not None]
        begin, end = _whole(found.quote, spans[0][0], spans[-1][1]) if spans else (0, len(found.quote))
        places.append((text[a:b], found.passage.begin + begin, found.passage.begin + end))
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
