"""JSON schemas of what a model takes and gives, made from its schema: what `openapi` describes each endpoint with."""

from __future__ import annotations

from mainspring.runtimes.record_schemas import Json
from mainspring.schema import Schema, Target, label_text
from mainspring.serving import tensors

BUSINESS_KEY: Json = {"type": "string", "pattern": "^[ -~]{1,128}$"}
_PREDICTION_ID = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(-(0|[1-9][0-9]{0,8}))?$"


def prediction_schema(schema: Schema) -> Json:
    """The JSON schema of one prediction."""
    target = schema.target
    if not target.labels:
        value: Json = {"type": "number", "description": target.name}
        if target.unit:
            value["x-unit"] = target.unit
        return {"type": "object", "properties": {"value": value}, "required": ["value"], "additionalProperties": False}
    names = [label_text(label) for label in target.labels]
    probability = {"type": "number", "minimum": 0, "maximum": 1.000001}  # rounding may lift a float32 over 1
    return {
        "type": "object",
        "properties": {
            "label": {"enum": list(target.labels), "description": target.name},
            "probabilities": {
                "type": "object",
                "properties": dict.fromkeys(names, probability),
                "required": names,
                "additionalProperties": False,
            },
        },
        "required": ["label", "probabilities"],
        "additionalProperties": False,
    }


def answer_schema(schema: Schema) -> Json:
    """The JSON schema of one answer of a prompt program."""
    target = schema.target
    answer: Json = {"description": f"{target.name}; null where the model said nothing that can be read as one."}
    if target.labels:
        answer["enum"] = [*target.labels, None]
    elif not target.text:
        answer["type"] = ["number", "null"]
    count = {"type": "integer", "minimum": 0}
    stopped = {"type": ["string", "null"], "description": "Which limit of the prompt ended it early."}
    properties = {
        "answer": answer,
        "tokens": {**count, "description": "Of all prompts and completions."},
        "calls": {**count, "description": "Of the chat model."},
        "stopped": stopped,
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def inference_schema(schema: Schema) -> Json:
    """The JSON schema of an inference request: one tensor a column."""
    shape = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2}
    one_input = {
        "type": "object",
        "properties": {
            "name": {"enum": [column.name for column in schema.features]},
            "datatype": {"type": "string", "examples": ["FP64", "INT64", "BOOL", "BYTES"]},
            "shape": {**shape, "description": "[n, 1] or [n], with the same n for every input"},
            "data": {"type": "array", "items": {}},
            "parameters": {"type": "object"},
        },
        "required": ["name", "datatype", "shape"],
        "additionalProperties": False,
    }
    one_output = {
        "type": "object",
        "properties": {
            "name": {"enum": [name for name, _, _ in tensors.output_tensors(schema)]},
            "parameters": {"type": "object"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    count = len(schema.features)
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": one_input, "minItems": count, "maxItems": count},
            "outputs": {"type": "array", "items": one_output},
            "parameters": {"type": "object"},
        },
        "required": ["inputs"],
        "additionalProperties": False,
    }


def feedback_schema(target: Target, max_rows: int) -> Json:
    """The JSON schema of feedback: one true label of `target`, or up to `max_rows` of them."""
    label: Json = {"enum": list(target.labels)} if target.labels else {"type": "string" if target.text else "number"}
    if target.unit:
        label["x-unit"] = target.unit
    label["description"] = f"What {target.name} really was."
    prediction = {
        "type": "string",
        "pattern": _PREDICTION_ID,
        "description": "The prediction id: `<id>` or `<id>-<k>`.",
    }
    by = {"id": prediction, "key": {**BUSINESS_KEY, "description": "The business key that the prediction has."}}
    forms: list[Json] = [
        {
            "type": "object",
            "properties": {name: one, "label": label},
            "required": [name, "label"],
            "additionalProperties": False,
        }
        for name, one in by.items()
    ]
    many = {"type": "array", "items": {"anyOf": forms}, "minItems": 1, "maxItems": max_rows}
    wrapped: Json = {
        "type": "object",
        "properties": {"feedback": many},
        "required": ["feedback"],
        "additionalProperties": False,
    }
    return {"anyOf": [*forms, wrapped]}
