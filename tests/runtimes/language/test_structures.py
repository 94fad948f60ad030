"""Texts are drawn from the grammars of many schemas, and each must fit its schema: by jsonschema, and not by ours."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import UnsupportedError
from mainspring.runtimes.language import gbnf, numbers
from mainspring.runtimes.language.formats import FORMATS
from mainspring.runtimes.language.structures import Rules
from runtimes.language.grammar_texts import Drawer

KIND_A = {"type": "object", "properties": {"kind": {"const": "a"}, "v": {"type": "integer"}}, "required": ["kind", "v"]}
KIND_B = {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}
LINKED = {
    "type": "object",
    "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/linked"}, {"type": "null"}]}},
    "required": ["v", "next"],
}
HAS_A = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
HAS_B = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
ABC = {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "boolean"}}
SIMILAR = {"name": {"type": "integer"}, "nam": {"type": "null"}, "x": {"type": "null"}, 'q"': {"type": "null"}}

ENFORCED = [
    {},
    True,
    {"title": "anything", "description": "words about it"},
    {"type": "object"},
    {"type": "array"},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "object", "properties": ABC, "required": ["b"], "additionalProperties": False},
    {"type": "object", "properties": ABC},
    {"type": "object", "properties": SIMILAR, "required": ["nam", "zzz"], "additionalProperties": {"type": "string"}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 3},
    {"type": "object", "properties": ABC, "additionalProperties": False, "maxProperties": 3},
    {"properties": {"a": True, "b": {}, "c": False}, "required": ["a"]},
    {"type": "array", "items": {"enum": ["a", "b", 1, None, {"x": [1.5]}]}, "minItems": 2, "maxItems": 5},
    {"type": "array", "items": {"type": "integer"}, "minItems": 55, "maxItems": 170},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}, "minItems": 3, "maxItems": 4},
    {"type": "array", "items": False},
    {"const": 'a"b\\ü\n'},
    {"enum": ["x", 3, True], "type": "integer"},
    {"anyOf": [{"type": "integer"}, KIND_A, False]},
    {"type": "object", "anyOf": [KIND_A, KIND_B]},
    {"oneOf": [KIND_A, KIND_B]},
    {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
    {"oneOf": [{"const": 1}, {"enum": [2, True]}]},
    {"allOf": [HAS_A, HAS_B]},
    {"allOf": [{"$ref": "#/$defs/a"}], "description": "as pydantic wrote it", "$defs": {"a": HAS_A}},
    {"$defs": {"linked": LINKED}, "$ref": "#/$defs/linked"},
    {"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#"}}}, "required": ["c"]},
    {"properties": {"a~/b": {"type": "null"}, "c": {"$ref": "#/properties/a~0~1b"}}, "required": ["c"]},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"type": "string", "minLength": 120, "maxLength": 333},
    {"type": "string", "pattern": r"^[A-Z]{2}-\d+(\.\w*)?$"},
    {"type": "string", "pattern": "ab|c$"},
    {"type": "string", "pattern": r'^[^a-z"]+\\\.$'},
    {"type": "string", "pattern": r"^(foo|ba[rz]){2,3}?.$"},
    {"type": "string", "pattern": r"^[\s\-\]]\D\S\u0041\x42\t$"},
    {"type": "string", "pattern": r"^[^\s,]{3}[^\d]\W$"},
    {"type": "string", "pattern": r"^a{60,70}$"},
    {"type": "integer", "multipleOf": 1},
    {"type": "integer", "minimum": 0.5, "maximum": 3.7},
    {"type": "boolean"},
    {"type": "null"},
]
REFUSED = [
    (False, "it allows nothing", ""),
    ({"not": {}}, "'not' is not enforced here: leave it out", ".not"),
    ({"if": {}, "then": {}}, "'if' is not enforced", ".if"),
    ({"type": "object", "patternProperties": {}}, "'patternProperties' is not enforced", ".patternProperties"),
    ({"type": "object", "propertyNames": {}}, "'propertyNames' is not enforced", ".propertyNames"),
    ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not enforced", ".uniqueItems"),
    ({"type": "array", "contains": {}}, "'contains' is not enforced", ".contains"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "options 0 and 1 of oneOf may both fit", ".oneOf"),
    ({"oneOf": [HAS_A, HAS_B]}, "options 0 and 1 of oneOf may both fit", ".oneOf"),
    ({"oneOf": [{"enum": [1, 2]}, {"const": 2.0}]}, "options 0 and 1 of oneOf may both fit", ".oneOf"),
    ({"anyOf": [HAS_A], "required": ["b"]}, "'anyOf' is enforced only where 'required' does not stand", ""),
    ({"enum": ["a"], "minLength": 3}, "'enum' is enforced only where 'minLength' does not stand", ""),
    ({"$ref": "#/$defs/a", "type": "object", "$defs": {"a": {}}}, "'[$]ref' is enforced only where 'type'", ""),
    ({"$ref": "#/$defs/b", "$defs": {"a": {}}}, "there is nothing at '#/[$]defs/b'", ""),
    ({"$ref": "https://example.com/schema"}, "references go into the schema itself", ""),
    ({"$ref": "#"}, "it refers to itself in a way that no finite answer fits", ""),
    ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "it refers to itself", ""),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "it refers to itself", ""),
    ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, "it refers to itself", ""),
    ({"type": "string", "format": "regex"}, "format is one of date, time", ".format"),
    ({"type": "string", "pattern": "(?=a)"}, "a group that looks ahead or behind", ".pattern"),
    ({"type": "string", "pattern": "("}, "a group that is not closed", ".pattern"),
    ({"type": "string", "pattern": r"\bx"}, r"it has \\b", ".pattern"),
    ({"type": "string", "pattern": "a^b"}, "it has '.' where it stands", ".pattern"),
    ({"type": "string", "pattern": "a{2,1}"}, "a count that is wrong", ".pattern"),
    ({"type": "string", "pattern": "a", "minLength": 2}, "only without another word about the text", ".pattern"),
    ({"type": "string", "maxLength": 100_000}, "maxLength is enforced up to 2000, found 100000", ".maxLength"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength is more than maxLength", ".minLength"),
    ({"type": "number", "multipleOf": 0.1}, "'multipleOf' is not enforced here, but for whole", ".multipleOf"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "no number lies between its bounds", ""),
    ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4}, "no number lies between", ""),
    ({"type": "number", "minimum": 1e300}, "minimum is a number of 15 digits at most", ".minimum"),
    ({"type": "decimal"}, "type is one of object, array", ".type"),
    ({"enum": []}, "none of the values is of the type", ".enum"),
    ({"items": [{}]}, "a schema is an object, found \\[", ".items"),
    ({"required": [1]}, "required is a list of names", ".required"),
    ({"required": ["a"], "properties": {}, "additionalProperties": False}, "it allows nothing", ".properties.a"),
    ({"properties": {"a": 5}}, "a schema is an object, found 5", ".properties.a"),
    ({"type": "object", "properties": ABC, "minProperties": 1}, "counts of properties are enforced only", ""),
    ({"allOf": []}, "allOf is a list of schemas", ".allOf"),
    ({"allOf": [{"type": "integer", "minimum": 1}, {"minimum": 2}]}, "minimum is there twice", ".allOf"),
    ({"allOf": [HAS_A, {**HAS_B, "additionalProperties": False}]}, "would forbid what another schema", ".allOf"),
]


def drawer(schema, seed):
    rules = Rules()
    return Drawer(rules.schema(schema, "schema"), rules._rules, seed)


@pytest.mark.parametrize("schema", ENFORCED, ids=lambda schema: json.dumps(schema)[:80])
def test_whatever_the_grammar_gives_fits_the_schema(schema):
    validator = jsonschema.Draft202012Validator(schema)
    texts = {drawer(schema, seed).text() for seed in range(40)}
    for text in texts:
        validator.validate(json.loads(text))
    assert (
        len(texts) > 1
        or schema in ({"type": "null"}, {"type": "array", "items": False})
        or "const" in schema
        or "enum" in schema
    )


@pytest.mark.parametrize(("schema", "message", "place"), REFUSED, ids=lambda value: json.dumps(value)[:60])
def test_what_cannot_be_enforced_is_refused_with_its_place(schema, message, place):
    rules = Rules()
    with pytest.raises(UnsupportedError, match=message) as refused:
        rules.text(rules.schema(schema, "schema"))
    assert refused.value.place == f"schema{place}"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_formats_are_what_they_say(name):
    check = jsonschema.FormatChecker()
    for seed in range(60):
        text = json.loads(drawer({"type": "string", "format": name}, seed).text())
        if name == "time":  # jsonschema's own check, without another package, is that of draft 3
            assert re.fullmatch(r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
        else:
            check.check(text, name)


NUMBER = st.decimals(-2000, 2000, places=3, allow_nan=False)


@given(
    low=NUMBER | st.none(), high=NUMBER | st.none(), above=st.booleans(), below=st.booleans(), seed=st.integers(0, 99)
)
def test_numbers_lie_between_their_bounds(low, high, above, below, seed):
    node = numbers.number(low, high, above=above and low is not None, below=below and high is not None)
    if node is None:
        assert low > high or (low == high and (above or below))
        return
    value = Decimal(Drawer(node, {}, seed).text())
    assert low is None or value > low or (value == low and not above)
    assert high is None or value < high or (value == high and not below)


@given(low=st.integers(-1200, 1200), more=st.integers(0, 2500), seed=st.integers(0, 99))
def test_whole_numbers_lie_between_their_bounds(low, more, seed):
    node = numbers.integer(low, low + more)
    text = Drawer(node, {}, seed).text()
    assert low <= int(text) <= low + more
    assert text == str(int(text))


@pytest.mark.parametrize(("low", "high"), [(0, 12), (-3, 3), (95, 105), (-120, -99), (7, 7)])
def test_every_whole_number_can_be_written(low, high):
    node = numbers.integer(low, high)
    assert {int(Drawer(node, {}, seed).text()) for seed in range(2000)} == set(range(low, high + 1))


def test_a_schema_that_is_too_deep_or_too_large_is_refused():
    deep: dict = {}
    for _ in range(100):
        deep = {"type": "array", "items": deep}
    with pytest.raises(UnsupportedError, match="more than 2000 parts, or is more than 60 deep"):
        Rules().schema(deep, "schema")
    wide = {"anyOf": [{"type": "integer", "minimum": at} for at in range(3000)]}
    with pytest.raises(UnsupportedError, match="more than 2000 parts"):
        Rules().schema(wide, "schema")
    doubling = {"$defs": {"0": {"type": "null"}}}
    for level in range(1, 25):
        both = {"type": "array", "prefixItems": [{"$ref": f"#/$defs/{level - 1}"}] * 2, "items": False}
        doubling["$defs"][str(level)] = both
    rules = Rules()
    assert len(rules.text(rules.schema({**doubling, "$ref": "#/$defs/24"}, "schema"))) < 5000


def test_properties_come_in_the_order_of_the_schema_and_optional_ones_may_be_left_out():
    schema = {"type": "object", "properties": ABC, "required": ["b"], "additionalProperties": False}
    seen = {tuple(json.loads(drawer(schema, seed).text())) for seed in range(200)}
    assert seen == {("b",), ("a", "b"), ("b", "c"), ("a", "b", "c")}


def test_a_property_that_is_not_listed_never_has_a_listed_name():
    schema = {"type": "object", "properties": {"ab": {"type": "null"}}, "additionalProperties": {"type": "integer"}}
    for seed in range(300):
        pairs = json.loads(drawer(schema, seed).text(), object_pairs_hook=list)
        assert all(value is None for name, value in pairs if name == "ab")
        assert sum(name == "ab" for name, _ in pairs) <= 1


def as_regex(node: gbnf.Node, rules: dict[str, gbnf.Node]) -> str:
    if isinstance(node, gbnf.Rule):
        return as_regex(rules[node.name], rules)
    if isinstance(node, gbnf.Text):
        return re.escape(node.text)
    if isinstance(node, gbnf.Chars):
        return "[" + "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in node.ranges) + "]"
    if isinstance(node, gbnf.Sequence):
        return "".join(as_regex(part, rules) for part in node.parts)
    if isinstance(node, gbnf.Either):
        return f"(?:{'|'.join(as_regex(option, rules) for option in node.options)})"
    return f"(?:{as_regex(node.part, rules)}){{{node.least},{'' if node.most is None else node.most}}}"


@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4),
    text=st.text("abcd \U0001f642\n", max_size=6),
)
def test_a_text_that_is_unlike_others_is_any_that_begins_otherwise(texts, text):
    rules = {}
    node = gbnf.unlike(texts, gbnf.Chars(((0x20, 0x20),)), rules)
    allowed = not any(text.startswith(other) for other in texts) and not text.startswith(" ")
    assert bool(re.fullmatch(as_regex(node, rules), text)) == allowed
