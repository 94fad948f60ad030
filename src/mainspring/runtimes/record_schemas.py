"""The JSON schema of a model's records, made from its schema: for the API's description, and for who asks as a tool."""

from __future__ import annotations

from typing import Any

from mainspring.schema import Column, Schema

Json = dict[str, Any]

_MOST_EXAMPLES = 20


def record_schema(schema: Schema) -> Json:
    """The JSON schema of one record."""
    return {
        "type": "object",
        "title": "record",
        "properties": {column.name: _column_schema(column) for column in schema.features},
        "required": [column.name for column in schema.features],
        "additionalProperties": False,
    }


def _column_schema(column: Column) -> Json:
    types = {
        "number": ["number"],
        "boolean": ["boolean"],
        "category": ["string"],
        "text": ["string"],
        "time": ["string"],
    }
    kinds = types[column.kind]
    if column.kind == "category" and column.integer:
        kinds = ["string", "integer"]
    found: Json = {"type": [*kinds, "null"] if column.nullable else kinds[0] if len(kinds) == 1 else kinds}
    said = [column.description, column.unit and f"Unit: {column.unit}.", _range(column)]
    if any(said):
        found["description"] = " ".join(part for part in said if part)
    if column.unit:
        found["x-unit"] = column.unit
    if column.kind == "time":
        found["format"] = "date-time"
    if column.kind in ("category", "text") and not column.nullable:
        found["minLength"] = 1
    if column.levels:
        found["examples"] = list(column.levels[:_MOST_EXAMPLES])
    return found


def _range(column: Column) -> str | None:
    if column.kind != "number" or column.low is None or column.high is None:
        return None
    return f"Seen at fit: {column.low:g} to {column.high:g}."
