"""Numbers between bounds, as grammars: `12 <= x < 340.5` is a question of digits."""

from __future__ import annotations

from decimal import Decimal

from mainspring.runtimes.language.gbnf import Chars, Node, Repeat, Text, either, optional, sequence

DIGIT = Chars(((0x30, 0x39),))
_MOST_DIGITS = 15  # of a whole number or a fraction; so a double holds what is written
_FARTHEST = 10**_MOST_DIGITS - 1
_WHOLE = either(Text("0"), sequence(Chars(((0x31, 0x39),)), Repeat(DIGIT, 0, _MOST_DIGITS - 1)))
_FRACTION = sequence(Text("."), Repeat(DIGIT, 1, _MOST_DIGITS))
_EXPONENT = sequence(
    Chars(((0x45, 0x45), (0x65, 0x65))), optional(Chars(((0x2B, 0x2B), (0x2D, 0x2D)))), Repeat(DIGIT, 1, 2)
)


def integer(low: int | None, high: int | None) -> Node | None:
    """The whole numbers from `low` to `high`, of at most 15 digits; None if there are none."""
    if low is None and high is None:
        return sequence(optional(Text("-")), _WHOLE)
    low = -_FARTHEST if low is None else low
    high = _FARTHEST if high is None else high
    options = []
    if low < 0 and low <= min(high, -1):
        options.append(sequence(Text("-"), _counting(-min(high, -1), -low)))
    if high >= 0 and max(low, 0) <= high:
        options.append(_counting(max(low, 0), high))
    return either(*options) if options else None


def number(low: Decimal | None, high: Decimal | None, *, above: bool = False, below: bool = False) -> Node | None:
    """The decimal numbers from `low` to `high`; None if there are none.

    `above` leaves out `low` itself, `below` leaves out `high`.
    """
    if low is None and high is None:
        return sequence(optional(Text("-")), _WHOLE, optional(_FRACTION), optional(_EXPONENT))
    low = Decimal(-_FARTHEST) if low is None else low
    high = Decimal(_FARTHEST) if high is None else high
    if low > high or (low == high and (above or below)):
        return None
    options = []
    if low < 0:
        farther = (min(-low, Decimal(_FARTHEST)), above)
        nearer = (-high, below) if high < 0 else (Decimal(0), True)  # there is no -0
        options.append(_decimal(nearer, farther, sign="-"))
    if high >= 0:
        options.append(_decimal((low, above) if low >= 0 else (Decimal(0), False), (high, below)))
    found = [option for option in options if option is not None]
    return either(*found) if found else None


def _decimal(low: tuple[Decimal, bool], high: tuple[Decimal, bool], sign: str = "") -> Node | None:
    """As `number`, for bounds that are not negative, each with whether it is left out itself."""
    (low_whole, low_digits), (high_whole, high_digits) = _split(low[0]), _split(high[0])
    if low_whole == high_whole:
        ends = [(low_whole, _fraction(low_digits, high_digits, low[1], high[1]))]
    else:
        ends = [
            (low_whole, _fraction(low_digits, None, low[1], False)),
            (high_whole, _fraction(None, high_digits, False, high[1])),
        ]
    options = [sequence(Text(f"{sign}{whole}"), fraction) for whole, fraction in ends if fraction is not None]
    if high_whole - low_whole > 1:
        whole = _counting(low_whole + 1, high_whole - 1)
        options.append(sequence(*([Text(sign)] if sign else []), whole, optional(_FRACTION)))
    return either(*options) if options else None


def _split(value: Decimal) -> tuple[int, str]:
    """The whole part, and the digits of the fraction without zeros at the end."""
    whole, _, digits = f"{value:f}".partition(".")
    return int(whole), digits.rstrip("0")


def _fraction(low: str | None, high: str | None, above: bool, below: bool) -> Node | None:
    """A point and digits, or nothing: what lies between the fractions `low` and `high`; None is no bound."""
    options: list[Node] = []
    if _may_end(low, high, above, below):
        options.append(Text(""))
    longest = max(len(low or ""), len(high or "")) + 2 if low or high else _MOST_DIGITS
    digits = _digits(low, high, above, below, longest, first=True)
    if digits is not None:
        options.append(sequence(Text("."), digits))
    return either(*options) if options else None


def _may_end(low: str | None, high: str | None, above: bool, below: bool) -> bool:
    """Whether what has been written lies between the bounds, of which these digits are left."""
    enough = low is None or (low == "" and not above)
    return enough and (high is None or high != "" or not below)


def _digits(low: str | None, high: str | None, above: bool, below: bool, most: int, first: bool = False) -> Node | None:
    """Up to `most` digits between what is left of the bounds; None as a bound is one that is passed already."""
    if low == "" and not above:
        low = None
    if low is None and high is None:
        return Repeat(DIGIT, int(first), most)
    options: list[Node] = []
    if not first and _may_end(low, high, above, below):
        options.append(Text(""))
    if most:
        least = 0 if low is None else int(low[:1] or 0)
        last = 9 if high is None else int(high[:1] or 0)
        edges = {digit for digit, bound in ((least, low), (last, high)) if bound is not None}
        for digit in sorted(edge for edge in edges if least <= edge <= last):
            rest = _digits(
                low[1:] if low is not None and digit == least else None,
                high[1:] if high is not None and digit == last else None,
                above,
                below,
                most - 1,
            )
            if rest is not None:
                options.append(sequence(Text(str(digit)), rest))
        inner = [digit for digit in range(least, last + 1) if digit not in edges]
        if inner:
            options.append(sequence(Chars(((0x30 + inner[0], 0x30 + inner[-1]),)), Repeat(DIGIT, 0, most - 1)))
    return either(*options) if options else None


def _counting(low: int, high: int) -> Node:
    """The whole numbers from `low` to `high`, neither of them negative."""
    options = []
    for length in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (length - 1) if length > 1 else 0)
        options.append(_same_length(str(least), str(min(high, 10**length - 1))))
    return either(*options)


def _same_length(low: str, high: str) -> Node:
    if not low:
        return Text("")
    if set(low) == {"0"} and set(high) == {"9"}:
        return Repeat(DIGIT, len(low), len(low))
    if low[0] == high[0]:
        return sequence(Text(low[0]), _same_length(low[1:], high[1:])) if low[1:] else Text(low[0])
    rest = len(low) - 1
    first, last = ord(low[0]), ord(high[0])
    options: list[Node] = []
    if set(low[1:]) - {"0"}:
        options.append(sequence(Text(low[0]), _same_length(low[1:], "9" * rest)))
        first += 1
    if set(high[1:]) - {"9"}:
        options.append(sequence(Text(high[0]), _same_length("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        options.append(sequence(Chars(((first, last),)), *([Repeat(DIGIT, rest, rest)] if rest else [])))
    return either(*options)
