"""Texts of a grammar, drawn at random: what a model that follows it might write."""

from __future__ import annotations

import random

from mainspring.runtimes.language.gbnf import Chars, Either, Node, Repeat, Rule, Sequence, Text

_SHORT = 12  # how many nodes deep a text may get before it takes the shortest way out


class Drawer:
    """Draws texts of `root`. Deep inside, it takes whichever option ends soonest."""

    def __init__(self, root: Node, rules: dict[str, Node], seed: int) -> None:
        self._root, self._rules = root, rules
        self._random = random.Random(seed)
        self._cost: dict[str, float] = dict.fromkeys(rules, float("inf"))
        while True:
            new = {name: self._least(node) + 1 for name, node in rules.items()}
            if new == self._cost:
                break
            self._cost = new

    def text(self) -> str:
        return self._draw(self._root, 0)

    def _least(self, node: Node) -> float:
        if isinstance(node, Rule):
            return self._cost[node.name]
        if isinstance(node, Sequence):
            return sum(map(self._least, node.parts))
        if isinstance(node, Either):
            return min(map(self._least, node.options))
        if isinstance(node, Repeat):
            return node.least * self._least(node.part) if node.least else 0
        return 0

    def _draw(self, node: Node, depth: int) -> str:
        if isinstance(node, Text):
            return node.text
        if isinstance(node, Chars):
            low, high = self._random.choice(node.ranges)
            return chr(self._random.randint(low, min(high, low + 200)))
        if isinstance(node, Rule):
            return self._draw(self._rules[node.name], depth + 1)
        if isinstance(node, Sequence):
            return "".join(self._draw(part, depth + 1) for part in node.parts)
        if isinstance(node, Either):
            if depth > _SHORT:
                return self._draw(min(node.options, key=self._least), depth + 1)
            return self._draw(self._random.choice(node.options), depth + 1)
        most = node.least + 3 if node.most is None else node.most
        count = (
            node.least
            if depth > _SHORT
            else self._random.choice([node.least, most, self._random.randint(node.least, most)])
        )
        return "".join(self._draw(node.part, depth + 1) for _ in range(count))
