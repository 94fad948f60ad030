"""JSON schemas taken apart: what their words mean together, before any grammar."""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import unquote

from mainspring.errors import UnsupportedError

Schema: TypeAlias = dict[str, Any] | bool

NOTES = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "contentEncoding",
        "contentMediaType",
        "default",
        "definitions",
        "deprecated",
        "description",
        "discriminator",
        "example",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    ]
)
OBJECT = frozenset(["properties", "required", "additionalProperties", "minProperties", "maxProperties"])
ARRAY = frozenset(["items", "prefixItems", "minItems", "maxItems", "uniqueItems"])
STRING = frozenset(["minLength", "maxLength", "pattern", "format"])
NUMBER = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
ONE_OF_MANY = frozenset(["anyOf", "oneOf", "allOf"])
KNOWN = NOTES | OBJECT | ARRAY | STRING | NUMBER | ONE_OF_MANY | {"$ref", "type", "enum", "const"}
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def refused(message: str, place: str) -> UnsupportedError:
    """The error of a schema that cannot be enforced."""
    return UnsupportedError(f"the schema cannot be enforced: {message}", place)


def resolve(root: Schema, reference: Any, place: str) -> Schema:
    """What a reference into the same schema stands for."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise refused(f"references go into the schema itself, as '#/$defs/name'; found {reference!r:.100}", place)
    found: Any = root
    for part in reference.split("/")[1:]:
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise refused(f"there is nothing at {reference!r:.100}", place)
    if not isinstance(found, dict | bool):
        raise refused(f"what is at {reference!r:.100} is no schema", place)
    return found


def followed(root: Schema, schema: Schema, place: str) -> Schema:
    """The schema, or what it refers to."""
    for _ in range(64):
        if isinstance(schema, bool) or "$ref" not in schema:
            return schema
        schema = resolve(root, schema["$ref"], place)
    raise refused("a reference goes in circles", place)


def types(schema: dict[str, Any], place: str) -> tuple[str, ...]:
    """The types that it allows: those that it names, or else those that its words are about, or else all."""
    named = schema.get("type")
    if named is not None:
        found = (named,) if isinstance(named, str) else named
        if not isinstance(found, list | tuple) or not found or any(kind not in TYPES for kind in found):
            raise refused(
                f"type is one of {', '.join(TYPES)}, or a list of them; found {named!r:.100}", f"{place}.type"
            )
        return tuple(dict.fromkeys(found))
    about = {"object": OBJECT, "array": ARRAY, "string": STRING, "number": NUMBER}
    return tuple(kind for kind, words in about.items() if words & schema.keys()) or tuple(
        kind for kind in TYPES if kind != "integer"
    )


def merged(root: Schema, schema: dict[str, Any], place: str) -> dict[str, Any]:
    """`allOf`, and what stands beside it, as one schema: what must hold at the same time, where that is simple."""
    parts: list[dict[str, Any]] = [{word: value for word, value in schema.items() if word != "allOf"}]
    if not isinstance(schema["allOf"], list) or not schema["allOf"]:
        raise refused("allOf is a list of schemas", f"{place}.allOf")
    for at, part in enumerate(schema["allOf"]):
        found = followed(root, part, f"{place}.allOf[{at}]")
        if found is False:
            raise refused("it allows nothing", f"{place}.allOf[{at}]")
        if isinstance(found, dict):
            parts.append(merged(root, found, f"{place}.allOf[{at}]") if "allOf" in found else found)
    whole: dict[str, Any] = {}
    for part in parts:
        for word, value in part.items():
            if word in NOTES or word not in whole:
                whole.setdefault(word, dict(value) if word == "properties" and isinstance(value, dict) else value)
            elif word == "properties" and isinstance(value, dict):
                for name, property_ in value.items():
                    if whole[word].setdefault(name, property_) != property_:
                        raise refused(f"the property {name!r:.100} has two schemas", f"{place}.allOf")
            elif word == "required" and isinstance(value, list):
                whole[word] = list(dict.fromkeys([*whole[word], *value]))
            elif whole[word] != value:
                raise refused(f"{word} is there twice", f"{place}.allOf")
    if "additionalProperties" in whole and any("properties" in part for part in parts) and len(parts) > 1:
        closed = [part for part in parts if "additionalProperties" in part]
        everywhere = all(part.get("properties", {}).keys() == whole["properties"].keys() for part in closed)
        if not everywhere:
            raise refused("additionalProperties would forbid what another schema of allOf lists", f"{place}.allOf")
    return whole


def apart(root: Schema, one: Schema, other: Schema, place: str) -> bool:
    """Whether no value fits both, as far as is plain to see: by type, or by a constant, or by one of a property."""
    one, other = followed(root, one, place), followed(root, other, place)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is False or other is False
    constants, others = _constants(one), _constants(other)
    if constants is not None and others is not None:
        return not any(_same(value, another) for value in constants for another in others)
    if "type" in one and "type" in other:
        kinds, other_kinds = ({"number" if k == "integer" else k for k in types(s, place)} for s in (one, other))
        if not kinds & other_kinds:
            return True
    if one.get("type") != "object" or other.get("type") != "object":
        return False
    shared = set(one.get("required", ())) & set(other.get("required", ()))
    ours, theirs = one.get("properties", {}), other.get("properties", {})
    return any(name in ours and name in theirs and apart(root, ours[name], theirs[name], place) for name in shared)


def _constants(schema: dict[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. To Python true is 1; to JSON it is not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
