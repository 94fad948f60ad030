"""JSON schemas as grammars: an answer that follows the grammar fits the schema.

What xgrammar and llama.cpp make of a schema leaves out much without a word (`oneOf` taken for `anyOf`, `allOf`, counts
of properties, what stands beside `$ref` or `enum`), and lets a small model write spaces or digits for ever. Here every
word of a schema is enforced, or refused with its place, the same on every backend. A grammar may give less than its
schema allows, and never more:

- there is one way to write a thing: `{"a": 1, "b": [2, 3]}`, properties in the schema's order;
- numbers have at most 15 digits before the point, and after it;
- an object has the properties that the schema lists, and others only if it says so (`additionalProperties`) or lists
  none; a tuple (`prefixItems`) is whole.

Refused are `not`, `if`, `dependent…`, `patternProperties`, `propertyNames`, `unevaluated…`, `contains`, `uniqueItems`,
`multipleOf` (but for 1), a `oneOf` whose options may hold at the same time, an `allOf` that is more than a union of
properties, and references out of the schema. (JSON Schema 2020-12: https://json-schema.org/draft/2020-12.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from mainspring.runtimes.language import gbnf, numbers, schemas
from mainspring.runtimes.language.formats import FORMATS
from mainspring.runtimes.language.gbnf import (
    LAST,
    Chars,
    Node,
    Repeat,
    Rule,
    Text,
    either,
    optional,
    repeat,
    sequence,
    without,
)
from mainspring.runtimes.language.patterns import pattern
from mainspring.runtimes.language.schemas import Schema, refused

_MOST_SCHEMAS = 2000
_MOST_VALUES = 5000  # of enum
_MOST_REPEATS = 2000  # of characters or items that are counted
_DEEPEST = 60
_CHUNK = 50  # a long repetition is one of these: xgrammar takes seconds for a flat one of hundreds
_BETWEEN = Text(", ")
# A lone surrogate is no character, so \uD800 to \uDFFF are left out.
_HEX = Chars(((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)))
_CHARACTER = either(
    Chars(tuple(without([(0x20, LAST)], [(0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F)]))),
    sequence(
        Text("\\"),
        either(
            Chars(tuple((code, code) for code in sorted(map(ord, '"\\/bfnrt')))),
            sequence(
                Text("u"),
                either(
                    sequence(Chars(((0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66))), _HEX),
                    sequence(Chars(((0x44, 0x44), (0x64, 0x64))), Chars(((0x30, 0x37),))),
                ),
                _HEX,
                _HEX,
            ),
        ),
    ),
)


class Rules:
    """The rules of one grammar. It may be made of several schemas."""

    def __init__(self) -> None:
        self._rules: dict[str, Node] = {}
        self._known: dict[tuple[int, str], Rule] = {}  # what a reference of a schema became
        self._roots: list[Schema] = []
        self._count = 0

    def schema(self, schema: Schema, place: str) -> Node:
        """The JSON that fits `schema`, which is at `place` of the request.

        Raises:
            UnsupportedError: it cannot be enforced.
        """
        self._roots.append(schema)
        node = self._convert(schema, place, 0)
        if not gbnf.is_sound(node, self._rules):
            raise refused("it refers to itself in a way that no finite answer fits", place)
        return node

    def unlike(self, texts: list[str], first: Chars) -> Node:
        """See `gbnf.unlike`."""
        return gbnf.unlike(texts, first, self._rules)

    def text(self, root: Node) -> str:
        """The whole grammar, in GBNF."""
        return gbnf.write(root, self._rules)

    def _convert(self, schema: Any, place: str, depth: int) -> Node:
        self._count += 1
        if self._count > _MOST_SCHEMAS or depth > _DEEPEST:
            raise refused(f"it has more than {_MOST_SCHEMAS} parts, or is more than {_DEEPEST} deep", place)
        if schema is True:
            return self._anything()
        if not isinstance(schema, dict):
            what = "it allows nothing" if schema is False else f"a schema is an object, found {schema!r:.100}"
            raise refused(what, place)
        if unknown := sorted(schema.keys() - schemas.KNOWN):
            raise refused(f"{unknown[0]!r:.100} is not enforced here: leave it out", f"{place}.{unknown[0]:.100}")
        words = schema.keys() - schemas.NOTES
        if not words:
            return self._anything()
        if "$ref" in words:
            self._alone("$ref", words, place)
            return self._reference(schema["$ref"], place, depth)
        if "enum" in words or "const" in words:
            return self._constants(schema, words, place)
        if "allOf" in words:
            return self._convert(schemas.merged(self._roots[-1], schema, place), place, depth + 1)
        if "anyOf" in words or "oneOf" in words:
            return self._options(schema, words, place, depth)
        return either(*(self._typed(kind, schema, place, depth) for kind in schemas.types(schema, place)))

    def _typed(self, kind: str, schema: dict[str, Any], place: str, depth: int) -> Node:
        if kind == "object":
            return self._object(schema, place, depth)
        if kind == "array":
            return self._array(schema, place, depth)
        if kind == "string":
            return self._string(schema, place)
        if kind == "boolean":
            return either(Text("true"), Text("false"))
        return Text("null") if kind == "null" else _number(kind, schema, place)

    def _anything(self) -> Rule:
        """Any JSON value."""
        if "any" not in self._rules:
            rule = self._rules["any"] = Rule("any")
            pair = sequence(Text('"'), self._text(0, None), Text('": '), rule)
            number = numbers.number(None, None)
            assert number is not None
            self._rules["any"] = either(
                sequence(Text("{"), self._list(pair, 0, None), Text("}")),
                sequence(Text("["), self._list(rule, 0, None), Text("]")),
                self._string({}, ""),
                number,
                either(Text("true"), Text("false"), Text("null")),
            )
        return Rule("any")

    def _reference(self, reference: Any, place: str, depth: int) -> Node:
        target = schemas.resolve(self._roots[-1], reference, place)
        key = (len(self._roots), reference)
        if key not in self._known:
            rule = self._known[key] = Rule(f"r{len(self._known)}")
            self._rules[rule.name] = self._convert(target, place, depth + 1)
        return self._known[key]

    def _constants(self, schema: dict[str, Any], words: set[str], place: str) -> Node:
        word = "const" if "const" in words else "enum"
        self._alone(word, words - {"type"}, place)
        values = [schema["const"]] if word == "const" else schema["enum"]
        if not isinstance(values, list) or len(values) > _MOST_VALUES:
            raise refused(f"enum is a list of {_MOST_VALUES} values at most", f"{place}.enum")
        kinds = schemas.types({"type": schema["type"]}, place) if "type" in schema else schemas.TYPES
        fitting = [value for value in values if any(_is(kind, value) for kind in kinds)]
        if not fitting:
            raise refused("none of the values is of the type", f"{place}.{word}")
        try:
            return either(*(Text(json.dumps(value, ensure_ascii=False, allow_nan=False)) for value in fitting))
        except (ValueError, RecursionError):
            raise refused("a value is no JSON", f"{place}.{word}") from None

    def _options(self, schema: dict[str, Any], words: set[str], place: str, depth: int) -> Node:
        word = "oneOf" if "oneOf" in words else "anyOf"
        self._alone(word, words - {"type"}, place)
        options = schema[word]
        if not isinstance(options, list) or not options:
            raise refused(f"{word} is a list of schemas", f"{place}.{word}")
        options = [(at, option) for at, option in enumerate(options) if option is not False]
        if not options:
            raise refused("it allows nothing", f"{place}.{word}")
        if "type" in words:
            options = [(at, self._with_type(option, schema["type"], f"{place}.{word}[{at}]")) for at, option in options]
        if word == "oneOf":
            for at, option in options:
                for other_at, other in options:
                    if at < other_at and not schemas.apart(self._roots[-1], option, other, place):
                        raise refused(
                            f"options {at} and {other_at} of oneOf may both fit, and a grammar cannot tell: "
                            "use anyOf, or give them a required property with different constants",
                            f"{place}.oneOf",
                        )
        return either(*(self._convert(option, f"{place}.{word}[{at}]", depth + 1) for at, option in options))

    def _with_type(self, option: Schema, kind: Any, place: str) -> Schema:
        """An option under a type that stands beside it."""
        option = schemas.followed(self._roots[-1], option, place)
        if isinstance(option, bool):
            return {"type": kind} if option else False
        if option.get("type", kind) != kind:
            raise refused("its type is not the one beside it", place)
        return {**option, "type": kind}

    def _object(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise refused("properties is an object, and required a list of names", place)
        others = schema.get("additionalProperties", "properties" not in schema)
        members: list[tuple[Node, bool]] = []
        missing = [name for name in required if name not in properties]
        for name, inside in [*properties.items(), *((name, others) for name in missing)]:
            if inside is False and name not in required:
                continue
            if not isinstance(name, str):
                raise refused("required is a list of names", f"{place}.required")
            value = self._convert(inside, f"{place}.properties.{name}", depth + 1)
            members.append((sequence(Text(json.dumps(name, ensure_ascii=False) + ": "), value), name in required))
        rest = None
        if others is not False:
            key = _other_name([*properties, *missing])
            value = self._convert(others, f"{place}.additionalProperties", depth + 1)
            rest = sequence(Text('"'), key, Text('": '), value)
        least, most = _counts(schema, "minProperties", "maxProperties", place)
        if not members and rest is not None and least < 2:
            return sequence(Text("{"), self._list(rest, least, most), Text("}"))
        if least > sum(needed for _, needed in members) or (most is not None and (rest or most < len(members))):
            raise refused("counts of properties are enforced only where any number of listed ones fits", place)
        return sequence(Text("{"), self._members(members, rest), Text("}"))

    def _members(self, members: list[tuple[Node, bool]], rest: Node | None) -> Node:
        """What stands between the braces: from the last member to the first, what may follow, and what may begin."""
        following: Node = Text("") if rest is None else Repeat(sequence(_BETWEEN, rest), 0, None)
        beginning: Node = Text("") if rest is None else self._list(rest, 0, None)
        for member, required in reversed(members):
            rule = self._named(member)
            begun = sequence(rule, following)
            beginning = begun if required else either(begun, beginning)
            again = sequence(_BETWEEN, rule)
            following = self._named(sequence(again if required else optional(again), following))
        return beginning

    def _array(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        first = schema.get("prefixItems", [])
        if not isinstance(first, list):
            raise refused("prefixItems is a list of schemas", f"{place}.prefixItems")
        if schema.get("uniqueItems", False) is not False:
            raise refused("'uniqueItems' is not enforced here: leave it out", f"{place}.uniqueItems")
        parts = [self._convert(item, f"{place}.prefixItems[{at}]", depth + 1) for at, item in enumerate(first)]
        others = schema.get("items", not first)
        least, most = _counts(schema, "minItems", "maxItems", place)
        if most is not None and most < len(parts):
            raise refused("a tuple (prefixItems) is whole, and maxItems is less", f"{place}.maxItems")
        least, most = max(0, least - len(parts)), None if most is None else most - len(parts)
        if others is False or most == 0:
            if least:
                raise refused("minItems is more than there may be", f"{place}.minItems")
            inside = [part for at, item in enumerate(parts) for part in ([_BETWEEN, item] if at else [item])]
            return sequence(Text("["), *inside, Text("]"))
        item = self._convert(others, f"{place}.items", depth + 1)
        if not parts:
            return sequence(Text("["), self._list(item, least, most), Text("]"))
        inside = [part for at, item_ in enumerate(parts) for part in ([_BETWEEN, item_] if at else [item_])]
        return sequence(Text("["), *inside, self._repeated(sequence(_BETWEEN, item), least, most), Text("]"))

    def _string(self, schema: dict[str, Any], place: str) -> Node:
        least, most = _counts(schema, "minLength", "maxLength", place)
        if "pattern" in schema or "format" in schema:
            word = "pattern" if "pattern" in schema else "format"
            if least or most is not None or {"pattern", "format"} <= schema.keys():
                raise refused(
                    "a pattern or a format is enforced only without another word about the text", f"{place}.{word}"
                )
            text = schema[word]
            if word == "format":
                if text not in FORMATS:
                    raise refused(f"format is one of {', '.join(FORMATS)}; found {text!r:.100}", f"{place}.format")
                text = FORMATS[text]
            if not isinstance(text, str):
                raise refused(f"a pattern is text, found {text!r:.100}", f"{place}.pattern")
            inside = pattern(text, f"{place}.pattern", self._repeated)
        else:
            inside = self._text(least, most)
        return sequence(Text('"'), inside, Text('"'))

    def _text(self, least: int, most: int | None) -> Node:
        """Characters of a JSON string."""
        self._rules.setdefault("character", _CHARACTER)
        return self._repeated(Rule("character"), least, most)

    def _list(self, item: Node, least: int, most: int | None) -> Node:
        """Items with commas between them."""
        if most == 0:
            return Text("")
        item = self._named(item)
        rest = self._repeated(sequence(_BETWEEN, item), max(0, least - 1), None if most is None else most - 1)
        return sequence(item, rest) if least else optional(sequence(item, rest))

    def _repeated(self, part: Node, least: int, most: int | None) -> Node:
        """`part`, from `least` to `most` times; many of them as chunks and a rest, in one way only."""
        if max(least, most or 0) <= _CHUNK:
            return repeat(part, least, most)
        part = self._named(part)
        chunk = self._named(repeat(part, _CHUNK, _CHUNK))
        chunks, rest = divmod(least, _CHUNK)
        needed = [repeat(chunk, chunks, chunks), repeat(part, rest, rest)]
        if most is None:
            return sequence(*needed, repeat(part, 0, None))
        chunks, rest = divmod(most - least, _CHUNK)
        if not chunks:
            return sequence(*needed, repeat(part, 0, rest))
        fewer = sequence(repeat(chunk, 0, chunks - 1), repeat(part, 0, _CHUNK - 1))
        return sequence(*needed, either(fewer, sequence(repeat(chunk, chunks, chunks), repeat(part, 0, rest))))

    def _named(self, node: Node) -> Node:
        """The node as a rule of its own, so that it is written once."""
        if isinstance(node, Rule) or node == Text(""):
            return node
        rule = Rule(f"m{len(self._rules)}")
        self._rules[rule.name] = node
        return rule

    def _alone(self, word: str, words: set[str], place: str) -> None:
        if beside := sorted(words - {word}):
            raise refused(f"{word!r} is enforced only where {beside[0]!r} does not stand beside it", place)


def _number(kind: str, schema: dict[str, Any], place: str) -> Node:
    if schema.get("multipleOf", 1) != 1 or (kind == "number" and "multipleOf" in schema):
        raise refused(
            "'multipleOf' is not enforced here, but for whole numbers: use type integer", f"{place}.multipleOf"
        )
    low, above = _bound(schema, "minimum", "exclusiveMinimum", place, max)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", place, min)
    if kind == "number":
        found = numbers.number(low, high, above=above, below=below)
    else:
        least = None if low is None else int(low.to_integral_value("ROUND_FLOOR" if above else "ROUND_CEILING")) + above
        most = (
            None if high is None else int(high.to_integral_value("ROUND_CEILING" if below else "ROUND_FLOOR")) - below
        )
        found = numbers.integer(least, most)
    if found is None:
        raise refused("no number lies between its bounds", place)
    return found


def _bound(
    schema: dict[str, Any], word: str, exclusive: str, place: str, tighter: Callable[..., Any]
) -> tuple[Decimal | None, bool]:
    """The bound, and whether it is left out itself."""
    found = []
    for name, left_out in ((word, False), (exclusive, True)):
        value = schema.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 10**15:
            raise refused(f"{name} is a number of 15 digits at most, found {value!r:.100}", f"{place}.{name}")
        found.append((Decimal(str(value)), left_out))
    if not found:
        return None, False
    value = tighter(value for value, _ in found)
    return value, any(left_out for other, left_out in found if other == value)


def _counts(schema: dict[str, Any], least_word: str, most_word: str, place: str) -> tuple[int, int | None]:
    counts: list[int | None] = []
    for word in (least_word, most_word):
        value = schema.get(word)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise refused(f"{word} is a count, found {value!r:.100}", f"{place}.{word}")
        if value is not None and value > _MOST_REPEATS:
            raise refused(f"{word} is enforced up to {_MOST_REPEATS}, found {value}", f"{place}.{word}")
        counts.append(value)
    least, most = counts[0] or 0, counts[1]
    if most is not None and least > most:
        raise refused(f"{least_word} is more than {most_word}", f"{place}.{least_word}")
    return least, most


def _other_name(names: list[str]) -> Node:
    """The inside of a property's name, in plain characters, that is none of `names`."""
    plain = without([(0x20, LAST)], [(0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F)])
    firsts = sorted({name[0] for name in names if name})
    options: list[Node] = [] if "" in names else [Text("")]
    taken = [(ord(first), ord(first)) for first in firsts]
    options.append(sequence(Chars(tuple(without(plain, taken))), Repeat(Chars(tuple(plain)), 0, None)))
    options += [
        sequence(Text(first), _other_name([name[1:] for name in names if name[:1] == first]))
        for first in firsts
        if any(low <= ord(first) <= high for low, high in plain)
    ]
    return either(*options)


def _is(kind: str, value: Any) -> bool:
    """Whether a JSON value is of a type."""
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int | float):
        return kind == "number" or (kind == "integer" and float(value).is_integer())
    return {dict: "object", list: "array", str: "string", type(None): "null"}.get(type(value)) == kind
