"""Where in a document what a passage says stands: from the text without markup back to the characters of the source."""

from __future__ import annotations

from mainspring.prompts.answering.sentences import split
from mainspring.prompts.answering.wording import Token, tokens
from mainspring.runtimes.index.found import Found

_AHEAD = 60  # tokens of markup that may stand between two words: an address, a directive
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
        begin, end = (spans[0][0], _closed(found.quote, spans[-1][1])) if spans else (0, len(found.quote))
        places.append((text[a:b], found.passage.begin + begin, found.passage.begin + end))
    return places


def _aligned(written: list[Token], quoted: list[Token]) -> list[tuple[int, int] | None]:
    """For each token of the text the place of its fellow in the quote, in order; None where there is none near."""
    matched: list[tuple[int, int] | None] = []
    at = 0
    for token in written:
        if token.kind == "pause":
            matched.append(None)
            continue
        ahead = range(at, min(at + _AHEAD, len(quoted)))
        fellow = next((place for place in ahead if quoted[place].form == token.form), None)
        # A short word far ahead is another one of the same form.
        if fellow is None or (token.kind == "stop" and fellow - at > 6):
            matched.append(None)
            continue
        matched.append((quoted[fellow].begin, quoted[fellow].end))
        at = fellow + 1
    return matched


def _closed(quote: str, end: int) -> int:
    """With the marks that close what ends there."""
    while end < len(quote) and quote[end] in _CLOSES:
        end += 1
    return end
