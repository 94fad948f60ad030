"""Regular expressions as grammars, for the inside of a JSON string.

Read is what JSON Schema recommends for interoperability (section 6.4) and a little more: characters, classes, groups,
alternatives, counts, and the anchors at the ends. A pattern without anchors may stand anywhere in the text, as JSON
Schema says. Characters that JSON escapes are written escaped. ECMAScript and Python differ in which characters beyond
ASCII are digits, words or spaces; so what is said to be none of these is ASCII here.
"""

from __future__ import annotations

from collections.abc import Callable

from mainspring.errors import UnsupportedError
from mainspring.runtimes.language.gbnf import LAST, Chars, Node, Text, either, sequence, without

_MOST_REPEATS = 1000
_DIGITS = [(0x30, 0x39)]
_WORD = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE = [(0x09, 0x0D), (0x20, 0x20)]
_ALL = [(0, LAST)]
_ASCII = [(0x00, 0x1B), (0x20, 0x7F)]  # without four that are spaces to Python alone
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
_ESCAPED = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}


def characters(ranges: list[tuple[int, int]]) -> Node:
    """One character of `ranges`, as it stands in a JSON string."""
    plain = without(ranges, [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])
    written = [*range(0x20), 0x22, 0x5C]
    escaped = [code for code in written if any(low <= code <= high for low, high in ranges)]
    options: list[Node] = [Chars(tuple(plain))] if plain else []
    options += [Text(_ESCAPED.get(code, f"\\u{code:04X}")) for code in escaped]
    return either(*options)


ANY = characters(_ALL)


def pattern(text: str, place: str, repeated: Callable[[Node, int, int | None], Node]) -> Node:
    """The inside of the JSON strings that `text` matches. `repeated` makes the nodes of what is there several times.

    Raises:
        UnsupportedError: it is no regular expression, or one with more than is read here.
    """
    return _Parser(text, place, repeated).whole()


class _Parser:
    def __init__(self, text: str, place: str, repeated: Callable[[Node, int, int | None], Node]) -> None:
        self._text = text
        self._place = place
        self._repeated = repeated
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        options = []
        while True:
            anchored = self._take("^")
            body = self._sequence()
            ended = self._take("$")
            anywhere = self._repeated(ANY, 0, None)
            options.append(sequence(*([] if anchored else [anywhere]), *body, *([] if ended else [anywhere]), Text("")))
            if self._at == len(self._text):
                return either(*options)
            if not self._take("|"):
                raise self._refused(f"{self._text[self._at]!r}")

    def _alternatives(self) -> Node:
        options = [sequence(*self._sequence(), Text(""))]
        while self._take("|"):
            options.append(sequence(*self._sequence(), Text("")))
        return either(*options)

    def _sequence(self) -> list[Node]:
        parts = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            parts.append(self._counted(self._atom()))
        return parts

    def _atom(self) -> Node:
        character = self._next()
        if character == "(":
            if self._take("?") and not self._take(":"):
                raise self._refused("a group that looks ahead or behind, or has a name")
            self._depth += 1
            if self._depth > 20:
                raise self._refused("groups in groups in groups")
            inside = self._alternatives()
            if not self._take(")"):
                raise self._refused("a group that is not closed")
            self._depth -= 1
            return inside
        if character == "[":
            return characters(self._class())
        if character == ".":
            return characters(without(_ALL, [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]))
        if character == "\\":
            return characters(self._escape())
        if character in "^*+?{}]":
            raise self._refused(f"{character!r} where it stands")
        return characters([(ord(character), ord(character))])

    def _counted(self, part: Node) -> Node:
        if self._at == len(self._text):
            return part
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._text[self._at], (1, 1))
        if (least, most) != (1, 1):
            self._at += 1
        elif self._take("{"):
            least = self._number()
            most = (
                least
                if not self._take(",")
                else (None if self._text[self._at : self._at + 1] == "}" else self._number())
            )
            if not self._take("}") or (most is not None and most < least) or max(least, most or 0) > _MOST_REPEATS:
                raise self._refused(f"a count that is wrong, or beyond {_MOST_REPEATS}")
        else:
            return part
        self._take("?")  # greedy or not, the texts are the same
        return self._repeated(part, least, most)

    def _number(self) -> int:
        start = self._at
        while self._at < len(self._text) and self._text[self._at] in "0123456789":
            self._at += 1
        if not 0 < self._at - start < 7:
            raise self._refused("a count that is no number")
        return int(self._text[start : self._at])

    def _class(self) -> list[tuple[int, int]]:
        negated = self._take("^")
        start = self._at
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            low = self._member()
            dash = self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1 : self._at + 2] not in (
                "]",
                "",
            )
            if dash:
                self._at += 1
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] < low[0][0]:
                    raise self._refused("a range of characters that is none")
                low = [(low[0][0], high[0][1])]
            ranges += low
        told = self._text[start : self._at]
        everything = _ASCII if any(f"\\{letter}" in told for letter in "dwsDWS") else _ALL
        ranges = without(everything, ranges) if negated else without(ranges, [])
        if not ranges:
            raise self._refused("a class with no characters")
        return ranges

    def _member(self) -> list[tuple[int, int]]:
        character = self._next()
        return self._escape() if character == "\\" else [(ord(character), ord(character))]

    def _escape(self) -> list[tuple[int, int]]:
        character = self._next()
        if character.lower() in _CLASSES:
            found = _CLASSES[character.lower()]
            return found if character.islower() else without(_ASCII, found)
        if character in _CONTROLS:
            code = _CONTROLS[character]
        elif character in "xu":
            length = 2 if character == "x" else 4
            digits, self._at = self._text[self._at : self._at + length], self._at + length
            try:
                code = int(digits, 16) if len(digits) == length else -1
            except ValueError:
                code = -1
            if code < 0 or 0xD800 <= code <= 0xDFFF:
                raise self._refused(f"\\{character}{digits}")
        elif character.isalnum():
            raise self._refused(f"\\{character}")
        else:
            code = ord(character)
        return [(code, code)]

    def _next(self) -> str:
        if self._at == len(self._text):
            raise self._refused("an end that comes too early")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, character: str) -> bool:
        found = self._text[self._at : self._at + 1] == character
        self._at += found
        return found

    def _refused(self, what: str) -> UnsupportedError:
        return UnsupportedError(f"the pattern {self._text!r:.200} cannot be enforced: it has {what}", self._place)
