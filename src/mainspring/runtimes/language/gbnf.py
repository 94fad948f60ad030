"""Grammars in GBNF, the notation that llama.cpp and xgrammar (in OpenVINO) both read, so that one serves every backend.

A grammar is built from small nodes and written at the end. Before that it is checked for what backends take badly: a
rule that begins with itself, and one that has no finite text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias

LAST = 0x10FFFF  # the last character of Unicode
_SURROGATES = (0xD800, 0xDFFF)


@dataclass(frozen=True)
class Text:
    """Exactly this text."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character of these ranges, ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Rule:
    """What the rule of this name is."""

    name: str


@dataclass(frozen=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    """One of them."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """From `least` to `most` times; None is any number."""

    part: Node
    least: int
    most: int | None


Node: TypeAlias = Text | Chars | Rule | Sequence | Either | Repeat


def sequence(*parts: Node) -> Node:
    """One after the other."""
    parts = tuple(part for part in parts if part != Text("")) or (Text(""),)
    return parts[0] if len(parts) == 1 else Sequence(parts)


def either(*options: Node) -> Node:
    """One of them."""
    return options[0] if len(options) == 1 else Either(options)


def repeat(part: Node, least: int, most: int | None) -> Node:
    """From `least` to `most` times."""
    return Text("") if most == 0 else part if (least, most) == (1, 1) else Repeat(part, least, most)


def optional(part: Node) -> Node:
    """It, or nothing."""
    return Repeat(part, 0, 1)


def without(ranges: list[tuple[int, int]], removed: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The characters of `ranges` that are not in `removed`, in order, joined and without surrogates."""
    left = []
    end = -1
    for low, high in sorted(ranges):
        low = max(low, end + 1)
        end = max(end, high)
        for first, last in sorted([*removed, _SURROGATES]):
            if low <= min(high, last) and first <= high:
                if low < first:
                    left.append((low, first - 1))
                low = max(low, last + 1)
        if low <= high:
            left.append((low, high))
    return left


def unlike(texts: list[str], first: Chars, rules: dict[str, Node]) -> Node:
    """Any text that begins with none of `texts`, nor with one of the characters `first`. Its rules go into `rules`."""
    rules["anything"] = Repeat(Chars(((0, _SURROGATES[0] - 1), (_SURROGATES[1] + 1, LAST))), 0, None)
    known: dict[tuple[str, ...], Rule] = {}  # what many of `texts` end with is written once

    def otherwise(texts: tuple[str, ...], first: Chars) -> Node:
        begun: dict[str, list[str]] = {}
        for text in texts:
            begun.setdefault(text[0], []).append(text[1:])
        taken = [(ord(character), ord(character)) for character in begun]
        options: list[Node] = [sequence(Chars(tuple(without([(0, LAST)], [*taken, *first.ranges]))), Rule("anything"))]
        for character, rests in begun.items():
            if all(rests):
                options.append(sequence(Text(character), after(tuple(rests))))
        return either(Text(""), *options)

    def after(texts: tuple[str, ...]) -> Rule:
        if texts not in known:
            rule = known[texts] = Rule(f"u{len(known)}")
            rules[rule.name] = otherwise(texts, Chars(()))
        return known[texts]

    return otherwise(tuple(sorted(set(texts))), first)


def write(root: Node, rules: dict[str, Node]) -> str:
    """The grammar in GBNF, beginning at `root`, with those of `rules` that it needs."""
    needed = _reachable(root, rules)
    lines = [f"root ::= {_print(root)}", *(f"{name} ::= {_print(rules[name])}" for name in needed)]
    return "\n".join(lines) + "\n"


def is_sound(root: Node, rules: dict[str, Node]) -> bool:
    """Whether there is a finite text of the grammar, and no rule begins with itself."""
    needed = _reachable(root, rules)
    finite: set[str] = set()
    while more := {name for name in needed if name not in finite and _ends(rules[name], finite)}:
        finite |= more
    if not _ends(root, finite):
        return False
    first = {name: _first(rules[name], rules) for name in needed}
    for name in needed:
        seen: set[str] = set()
        ahead = set(first[name])
        while ahead:
            if name in ahead:
                return False
            seen |= ahead
            ahead = set().union(*(first[other] for other in ahead)) - seen
    return True


def _reachable(root: Node, rules: dict[str, Node]) -> list[str]:
    found: dict[str, None] = {}
    ahead = list(_names(root))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = None
            ahead += _names(rules[name])
    return list(found)


def _names(node: Node) -> set[str]:
    if isinstance(node, Rule):
        return {node.name}
    return set().union(*(_names(part) for part in _parts(node)))


def _parts(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Sequence):
        return node.parts
    if isinstance(node, Either):
        return node.options
    return (node.part,) if isinstance(node, Repeat) else ()


def _ends(node: Node, finite: set[str]) -> bool:
    """Whether it has a finite text, if the rules `finite` have."""
    if isinstance(node, Rule):
        return node.name in finite
    if isinstance(node, Either):
        return any(_ends(option, finite) for option in node.options)
    if isinstance(node, Repeat) and node.least == 0:
        return True
    return all(_ends(part, finite) for part in _parts(node))


def _empty(node: Node) -> bool:
    """Whether it may be nothing. Rules may not, in what is built here: each is a JSON value or a name."""
    if isinstance(node, Text):
        return not node.text
    if isinstance(node, Either):
        return any(map(_empty, node.options))
    if isinstance(node, Sequence):
        return all(map(_empty, node.parts))
    return isinstance(node, Repeat) and (node.least == 0 or _empty(node.part))


def _first(node: Node, rules: dict[str, Node]) -> set[str]:
    """The rules that it may begin with."""
    if isinstance(node, Rule):
        return {node.name}
    found: set[str] = set()
    for part in _parts(node):
        found |= _first(part, rules)
        if isinstance(node, Sequence) and not _empty(part):
            break
    return found


@singledispatch
def _print(node: Node) -> str:
    raise TypeError(node)


@_print.register
def _(node: Text) -> str:
    return '"' + "".join(_escaped(ord(character), '"\\') for character in node.text) + '"'


@_print.register
def _(node: Chars) -> str:
    ends = (
        _escaped(low, "\\]^-[") + ("" if low == high else "-" + _escaped(high, "\\]^-[")) for low, high in node.ranges
    )
    return f"[{''.join(ends)}]"


@_print.register
def _(node: Rule) -> str:
    return node.name


@_print.register
def _(node: Sequence) -> str:
    return " ".join(_inside(part) for part in node.parts)


@_print.register
def _(node: Either) -> str:
    return " | ".join(_print(option) for option in node.options)


@_print.register
def _(node: Repeat) -> str:
    counts = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    if (count := counts.get((node.least, node.most))) is None:
        most = "" if node.most is None else node.most
        count = f"{{{node.least}}}" if node.least == node.most else f"{{{node.least},{most}}}"
    inside = _print(node.part)
    return (inside if isinstance(node.part, Rule | Chars) else f"({inside})") + count


def _inside(node: Node) -> str:
    return f"({_print(node)})" if isinstance(node, Either) else _print(node)


def _escaped(code: int, special: str) -> str:
    if chr(code) in special and code not in (0x5B, 0x5D, 0x5E, 0x2D):
        return "\\" + chr(code)
    if 0x20 <= code < 0x7F and chr(code) not in special:
        return chr(code)
    # Not \x, of which xgrammar reads as many digits as follow.
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
