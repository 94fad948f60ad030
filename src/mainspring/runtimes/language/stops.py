"""Stop strings in text that comes in pieces."""

from __future__ import annotations


class StopFinder:
    """Finds the first of some strings in growing text, over the borders of its pieces.

    Text that may be the beginning of a stop string is held back until the next piece tells.

    >>> finder = StopFinder(("END",))
    >>> finder.feed("one E"), finder.feed("ND two"), finder.found
    ('one ', '', True)
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """The text that is certain now. Once a stop string is found there is no more."""
        if self.found:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        first = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if first >= 0:
            self.found, self._held = True, ""
            return text[:first]
        keep = held_back(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """The text that was held back, as no more comes."""
        held, self._held = self._held, ""
        return held


def held_back(text: str, strings: tuple[str, ...]) -> int:
    """How many characters at the end of `text` may be the beginning of one of `strings`."""
    longest = min(len(text), max(map(len, strings)) - 1)
    for count in range(longest, 0, -1):
        ending = text[len(text) - count :]
        if any(string.startswith(ending) for string in strings):
            return count
    return 0
