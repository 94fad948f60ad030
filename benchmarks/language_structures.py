"""Are answers that must fit a JSON schema really held to it?

    python benchmarks/language_structures.py [--each 10] [--out FILE]

Twenty schemas, the tricky ones included, each asked ten times through Mainspring's gateway with SmolLM2-135M at a
temperature of 1, sixteen at a time, by OpenAI's `response_format`. Every answer is checked by the `jsonschema` package,
the formats of texts by Python's own readers of dates and addresses. A schema may be refused, but then up front, and
with the place that cannot be enforced. An answer that the limit of tokens cut short says so (`length`), as with OpenAI,
and is counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import re
import statistics
import sys
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

import jsonschema
from asking import Answer, ask
from gateway import MODEL, fitted, gateway

AT_ONCE = 16
FORMATS = jsonschema.FormatChecker()
FORMATS.checks("date-time", raises=ValueError)(lambda text: bool(datetime.fromisoformat(text).tzinfo))
FORMATS.checks("uuid", raises=ValueError)(lambda text: str(uuid.UUID(text)) == text.lower())
FORMATS.checks("email")(lambda text: re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", text) is not None)
MAX_TOKENS = 500
TEXT = {"type": "string", "maxLength": 40}
TREE = {
    "type": "object",
    "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}},
    "required": ["name", "children"],
    "additionalProperties": False,
}


def record(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An object that must have all of these, and nothing else."""
    same = {"type": "object", "required": list(properties), "additionalProperties": False}
    return same | {"properties": properties} | more


SCHEMAS: dict[str, dict[str, Any]] = {
    "a person": record({"name": TEXT, "age": {"type": "integer", "minimum": 0, "maximum": 130}}),
    "an enumeration": record({"mood": {"enum": ["glad", "sad", "so-so"]}}),
    "an enumeration of several types": record({"value": {"enum": ["1", 1, True, None, 1.5, [], {"a": "b"}]}}),
    "optional properties": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": TEXT, "c": {"type": "boolean"}, "d": {"type": "null"}},
        "required": ["c"],
        "additionalProperties": False,
    },
    "any of three": record({"id": {"anyOf": [{"type": "integer"}, TEXT, record({"x": {"type": "number"}})]}}),
    "one type or null": record({"nickname": {"type": ["string", "null"], "maxLength": 10}}),
    "a tuple": {
        "type": "array",
        "prefixItems": [TEXT, {"type": "integer"}, {"type": "boolean"}],
        "items": False,
        "minItems": 3,
    },
    "a list of two to four": record(
        {
            "words": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[a-z]{2,8}$"},
                "minItems": 2,
                "maxItems": 4,
            }
        }
    ),
    "bounds of numbers": record(
        {
            "percent": {"type": "integer", "minimum": -15, "exclusiveMaximum": 101},
            "part": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        }
    ),
    "a pattern": record({"plate": {"type": "string", "pattern": "^[A-Z]{1,3}-[A-Z]{1,2} [1-9][0-9]{0,3}$"}}),
    "formats": record(
        {
            "day": {"type": "string", "format": "date"},
            "moment": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "format": "uuid"},
            "host": {"type": "string", "format": "ipv4"},
        }
    ),
    "e-mail": record({"to": {"type": "string", "format": "email"}}),
    "lengths": record({"code": {"type": "string", "minLength": 5, "maxLength": 7}}),
    "a tree that refers to itself": {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}},
    "a dictionary of numbers": {"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 5},
    "odd keys": record(
        {'a "quoted" key': TEXT, "clé": {"type": "integer"}, "tab\there": {"type": "boolean"}, "": TEXT}
    ),
    "deep": record({"a": record({"b": record({"c": record({"d": record({"e": {"const": "the end"}})})})})}),
    "all of two": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": TEXT}, "required": ["b"]},
        ]
    },
    "different items only": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 5},
    "not, and a condition": {
        "type": "object",
        "properties": {"kind": TEXT},
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"required": ["size"]},
        "not": {"required": ["forbidden"]},
    },
}


@dataclass
class Line:
    """What became of a schema's requests. `invalid` has what the checker said."""

    valid: int = 0
    cut: int = 0
    refused: int = 0
    invalid: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refusal: str = ""
    different: set[str] = field(default_factory=set)
    first: list[float] = field(default_factory=list)


async def play(url: str, each: int) -> dict[str, Line]:
    """Ask everything."""
    lines: dict[str, Line] = collections.defaultdict(Line)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, seed: int) -> None:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"Invent an example of {name}, number {seed}, as JSON."}],
            "temperature": 1.0,
            "seed": seed,
            "max_tokens": MAX_TOKENS,
            "response_format": {"type": "json_schema", "json_schema": {"name": "example", "schema": SCHEMAS[name]}},
        }
        async with places:
            judge(lines[name], SCHEMAS[name], await ask(url, body))

    await asyncio.gather(*(one(name, seed) for seed in range(each) for name in SCHEMAS))
    return lines


def judge(line: Line, schema: dict[str, Any], answer: Answer) -> None:
    """Count an answer."""
    if answer.status == 400:
        line.refused += 1
        line.refusal = json.loads(answer.error or "{}")["error"]["message"]
    elif answer.status != 200 or answer.error:
        line.failed.append(f"{answer.status}: {answer.error}")
    elif answer.finish == "length":
        line.cut += 1
    else:
        line.first.append(answer.first)
        line.different.add(answer.text)
        try:
            checker = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
            checker.validate(json.loads(answer.text))
            line.valid += 1
        except (ValueError, jsonschema.ValidationError) as error:
            line.invalid.append(f"{answer.text!r}: {str(error).splitlines()[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    fitted()
    with gateway() as service:
        lines = asyncio.run(play(service.chat, options.each))
    print("| schema | valid | different | cut by the limit | refused at once | wrong |")
    print("| --- | ---: | ---: | ---: | --- | ---: |")
    for name in SCHEMAS:
        line = lines[name]
        refused = f"{line.refused}: {line.refusal}" if line.refused else "0"
        wrong = len(line.invalid) + len(line.failed)
        print(f"| {name} | {line.valid} | {len(line.different)} | {line.cut} | {refused} | {wrong} |")
    everything = list(lines.values())
    sums = {key: sum(getattr(line, key) for line in everything) for key in ("valid", "cut", "refused")}
    wrong = [text for line in everything for text in line.invalid + line.failed]
    first = statistics.median(seconds for line in everything for seconds in line.first)
    print(f"\n{sums['valid']} valid, {sums['cut']} cut, {sums['refused']} refused, {len(wrong)} wrong.", end=" ")
    print(f"First token after {first:.2f} s at the median, {AT_ONCE} at a time.", *wrong, sep="\n")
    if options.out:
        told = {
            name: {key: value for key, value in vars(line).items() if key != "different"}
            for name, line in lines.items()
        }
        options.out.write_text(json.dumps(told, indent=2) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
