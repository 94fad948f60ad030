"""The API's description: the readable pages as FastAPI describes them, and each live model's endpoints by its schema.

So `/docs` shows, for every model, the very fields that it takes, with their units, and the categories seen in the data.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from mainspring.schema import Column, Schema, label_text
from mainspring.serving import tensors
from mainspring.serving.loading import LoadedVersion
from mainspring.spec import ServingSpec

Json = dict[str, Any]

_MOST_EXAMPLES = 20


class ErrorDetail(BaseModel):
    """What went wrong: a code for programs, a message for people, and where in the request (a JSON path)."""

    code: str
    message: str
    place: str | None = None


class Error(BaseModel):
    """An answer that is none."""

    error: ErrorDetail


class ProtocolError(BaseModel):
    """An error of the Open Inference Protocol."""

    error: str


class ScoringError(BaseModel):
    """An error of MLflow's scoring server."""

    error_code: str
    message: str


_EVERYWHERE = {
    401: "An API key is needed.",
    403: "The API key is not known.",
    408: "The body took too long to arrive.",
    413: "The body, or the number of records, is over the limit.",
    429: "Too many requests are under way: try again after Retry-After seconds.",
    500: "A defect of ours.",
}
_NOT_FOUND = {404: "There is no such model, or no such live version."}
_NOT_READY = {503: "Not ready, or too slow: try again after Retry-After seconds."}
_PREDICTING = {**_NOT_FOUND, **_NOT_READY, 415: "The content type is not one of those below."}


def _responses(model: type[BaseModel], *groups: dict[int, str]) -> dict[int | str, Json]:
    return {code: {"model": model, "description": text} for group in groups for code, text in group.items()}


# What FastAPI's routes are declared with.
ERRORS = _responses(Error, _EVERYWHERE)
NOT_FOUND = _responses(Error, _NOT_FOUND)
OIP_ERRORS = _responses(ProtocolError, _EVERYWHERE, {400: "The request is not what the protocol says."})
OIP_NOT_FOUND = _responses(ProtocolError, _NOT_FOUND, _NOT_READY, {409: "The model has no version yet."})


def describe(base: Json, live: list[LoadedVersion], limits: ServingSpec) -> Json:
    """`base`, which is FastAPI's description, with the endpoints of the `live` versions."""
    paths: Json = {path: _without_422(item) for path, item in base["paths"].items()}
    schemas: Json = dict(base.get("components", {}).get("schemas", {}))
    for model in (Error, ErrorDetail, ProtocolError, ScoringError):
        schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas[model.__name__].pop("$defs", None)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for loaded in live:
        schema = loaded.manifest.schema
        record, answer, infer = (f"{loaded.model}.{part}" for part in ("record", "prediction", "tensors"))
        schemas[record] = record_schema(schema)
        schemas[answer] = prediction_schema(schema)
        schemas[infer] = inference_schema(schema)
        paths[f"/models/{loaded.model}/predict"] = {"post": _predict(loaded, record, answer, limits)}
        paths[f"/v2/models/{loaded.model}/infer"] = {"post": _infer(loaded, infer)}
    if live:
        paths["/invocations"] = {"post": _invocations([loaded.model for loaded in live])}
    schemes = {
        "key": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {**base, "paths": paths, "components": {"schemas": schemas, "securitySchemes": schemes}}


def _without_422(item: Json) -> Json:
    """FastAPI supposes that every path parameter can be refused with 422; ours are names, and unknown ones are 404."""
    for operation in item.values():
        operation["responses"].pop("422", None)
    return item


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


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _errors(model: str, *groups: dict[int, str]) -> Json:
    content = {"application/json": {"schema": _reference(model)}}
    return {str(code): {"description": text, "content": content} for group in groups for code, text in group.items()}


def _answered(schema: Json) -> Json:
    headers = {
        "X-Model-Version": {"description": "The version that answered.", "schema": {"type": "string"}},
        "X-Prediction-Id": {"description": "The prediction id.", "schema": {"type": "string"}},
        "X-Request-Id": {"description": "The request's id, or ours.", "schema": {"type": "string"}},
    }
    return {"description": "The predictions.", "headers": headers, "content": {"application/json": {"schema": schema}}}


def _predict(loaded: LoadedVersion, record: str, answer: str, limits: ServingSpec) -> Json:
    many = {"type": "array", "items": _reference(record), "minItems": 1, "maxItems": limits.max_rows}
    forms = [_reference(record), many]
    if all(column.name != "records" for column in loaded.manifest.schema.features):
        wrapped = {
            "type": "object",
            "properties": {"records": many},
            "required": ["records"],
            "additionalProperties": False,
        }
        forms.append(wrapped)
    content: Json = {"schema": {"anyOf": forms}, "example": loaded.example}
    answered: Json = {
        "type": "object",
        "properties": {
            "model": {"const": loaded.model},
            "version": {"type": "string"},
            "id": {"type": "string", "description": "The prediction id; that of record k of many is `<id>-<k>`."},
            "predictions": {"type": "array", "items": _reference(answer), "minItems": 1},
        },
        "required": ["model", "version", "id", "predictions"],
    }
    broken = {400: "The body is not JSON.", 422: "A record does not fit the schema; the place is named."}
    return {
        "tags": ["predict"],
        "operationId": f"predict_{loaded.model}",
        "summary": f"Predict {loaded.manifest.schema.target.name} with {loaded.model}, version {loaded.name}",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": _answered(answered), **_errors("Error", broken, _EVERYWHERE, _PREDICTING)},
    }


def _infer(loaded: LoadedVersion, infer: str) -> Json:
    answered: Json = {
        "type": "object",
        "properties": {
            "model_name": {"const": loaded.model},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {
                "type": "array",
                "items": {"type": "object", "required": ["name", "datatype", "shape", "data"]},
            },
        },
        "required": ["model_name", "model_version", "id", "outputs"],
    }
    content = {"application/json": {"schema": _reference(infer)}}
    broken = {400: "A tensor is missing, unknown or not what the schema says; it is named."}
    answers = _answered(answered)
    # With binary outputs the JSON is followed by their bytes.
    answers["content"]["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "tags": ["open inference protocol"],
        "operationId": f"infer_{loaded.model}",
        "summary": f"Predict with {loaded.model}, version {loaded.name}: one tensor a column",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answers, **_errors("ProtocolError", broken, _EVERYWHERE, _PREDICTING)},
    }


def _invocations(models: list[str]) -> Json:
    split = {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "items": {"type": "array"}},
            "index": {"type": "array"},
        },
        "required": ["columns", "data"],
    }
    lists = {"type": "object", "additionalProperties": {"type": "array"}}
    records = {"type": "array", "items": {"type": "object"}, "minItems": 1}
    formats: Json = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": {"anyOf": [records, lists]},
        "inputs": {"anyOf": [records, lists]},
    }
    body: Json = {"type": "object", "properties": formats, "minProperties": 1, "maxProperties": 1}
    answered: Json = {"type": "object", "properties": {"predictions": {"type": "array"}}, "required": ["predictions"]}
    broken = {400: "A record does not fit the schema, or the model is not named."}
    which = {"name": "model", "in": "query", "required": False, "schema": {"enum": models}}
    return {
        "tags": ["mlflow"],
        "operationId": "invocations",
        "summary": "Predict as MLflow's scoring server does",
        "parameters": [{**which, "description": "Which model, where there are several and no default."}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body}, "text/csv": {"schema": {"type": "string"}}},
        },
        "responses": {"200": _answered(answered), **_errors("ScoringError", broken, _EVERYWHERE, _PREDICTING)},
    }
