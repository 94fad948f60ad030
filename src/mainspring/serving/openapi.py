"""The API's description: the readable pages as FastAPI describes them, and each live model's endpoints by its schema.

So `/docs` shows, for every model, the very fields that it takes, with their units, and the categories seen in the data.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from mainspring.runtimes.record_schemas import Json, record_schema
from mainspring.serving.feedback import target_of
from mainspring.serving.json_schemas import (
    BUSINESS_KEY,
    answer_schema,
    feedback_schema,
    inference_schema,
    prediction_schema,
)
from mainspring.serving.language import LanguageVersion
from mainspring.serving.live import LiveVersion
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.openai.schemas import openai_operations
from mainspring.serving.programs import PromptVersion
from mainspring.serving.retrieval.schemas import Operation, ask_operation, search_operation
from mainspring.serving.retrieval.version import RetrievalVersion
from mainspring.spec import ServingSpec


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


class OpenAIErrorDetail(BaseModel):
    """What went wrong; `param` is the parameter's name, `code` a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """An error as OpenAI's API writes it."""

    error: OpenAIErrorDetail


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

OPENAI_ERRORS = _responses(OpenAIError, _EVERYWHERE)
OPENAI_NOT_FOUND = _responses(OpenAIError, _NOT_FOUND, _NOT_READY)


def describe(base: Json, live: list[LiveVersion], limits: ServingSpec) -> Json:
    """`base`, which is FastAPI's description, with the endpoints of the `live` versions."""
    paths: Json = {path: _without_422(item) for path, item in base["paths"].items()}
    schemas: Json = dict(base.get("components", {}).get("schemas", {}))
    for model in (Error, ErrorDetail, ProtocolError, ScoringError, OpenAIError, OpenAIErrorDetail):
        schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas[model.__name__].pop("$defs", None)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    tables = [loaded for loaded in live if isinstance(loaded, LoadedVersion)]
    for loaded in tables:
        schema = loaded.manifest.schema
        record, answer, infer = (f"{loaded.model}.{part}" for part in ("record", "prediction", "tensors"))
        schemas[record] = record_schema(schema)
        schemas[answer] = prediction_schema(schema)
        schemas[infer] = inference_schema(schema)
        paths[f"/models/{loaded.model}/predict"] = {"post": _predict(loaded, record, answer, limits)}
        paths[f"/models/{loaded.model}/feedback"] = {"post": _feedback(loaded, limits)}
        paths[f"/v2/models/{loaded.model}/infer"] = {"post": _infer(loaded, infer)}
    if tables:
        paths["/invocations"] = {"post": _invocations([loaded.model for loaded in tables])}
    for program in (loaded for loaded in live if isinstance(loaded, PromptVersion)):
        record, answer = f"{program.model}.record", f"{program.model}.prediction"
        schemas[record] = record_schema(program.manifest.schema)
        schemas[answer] = answer_schema(program.manifest.schema)
        paths[f"/models/{program.model}/predict"] = {"post": _predict(program, record, answer, limits)}
        paths[f"/models/{program.model}/feedback"] = {"post": _feedback(program, limits)}
    languages = [loaded for loaded in live if isinstance(loaded, LanguageVersion)]
    if languages:
        models = [loaded.model for loaded in languages]
        for path, operation, components in openai_operations(models):
            refused = {400: "A parameter is not known, not supported, or not what it can be; it is named."}
            operation["responses"] |= _errors("OpenAIError", refused, _EVERYWHERE, _PREDICTING)
            operation["responses"]["200"]["headers"] = _HEADERS
            operation["parameters"] = [_KEY_HEADER]
            paths[path] = {"post": operation}
            schemas |= components
    for path, operation, components in _retrieval_operations(live):
        refused = {400: "The body is not JSON.", 422: "A field is not what it can be; the place is named."}
        operation["responses"] |= _errors("Error", refused, _EVERYWHERE, _PREDICTING)
        operation["responses"]["200"]["headers"] = _HEADERS
        operation["parameters"] = [_KEY_HEADER]
        paths[path] = {"post": operation}
        schemas |= components
    for documents in filter(_of_documents, live):
        paths[f"/models/{documents.model}/feedback"] = {"post": _feedback(documents, limits)}
    schemes = {
        "key": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {**base, "paths": paths, "components": {"schemas": schemas, "securitySchemes": schemes}}


def _of_documents(loaded: LiveVersion) -> bool:
    """Whether it is a collection, or answers from one."""
    return isinstance(loaded, RetrievalVersion) or (
        isinstance(loaded, LanguageVersion) and loaded.knowledge is not None
    )


def _retrieval_operations(live: list[LiveVersion]) -> Iterator[Operation]:
    for loaded in filter(_of_documents, live):
        if isinstance(loaded, RetrievalVersion):
            yield search_operation(loaded.model, loaded.name)
        yield ask_operation(loaded.model, loaded.name)


def _without_422(item: Json) -> Json:
    """FastAPI supposes that every path parameter can be refused with 422; ours are names, and unknown ones are 404."""
    for operation in item.values():
        operation["responses"].pop("422", None)
    return item


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _errors(model: str, *groups: dict[int, str]) -> Json:
    content = {"application/json": {"schema": _reference(model)}}
    return {str(code): {"description": text, "content": content} for group in groups for code, text in group.items()}


_HEADERS: Json = {
    "X-Model-Version": {"description": "The version that answered.", "schema": {"type": "string"}},
    "X-Prediction-Id": {"description": "The prediction id.", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "The request's id, or ours.", "schema": {"type": "string"}},
}


def _answered(schema: Json) -> Json:
    content = {"application/json": {"schema": schema}}
    return {"description": "The predictions.", "headers": _HEADERS, "content": content}


_KEY_HEADER: Json = {
    "name": "X-Prediction-Key",
    "in": "header",
    "required": False,
    # A business key, and a header's value has no spaces at its ends.
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,126}[!-~])?$"},
    "description": "Your own name for what is predicted, by which its true label can be told. That of record k of many "
    "is `<key>-<k>`. Requests with the same key are answered by the same version while a canary is live.",
}


def _predict(loaded: LoadedVersion | PromptVersion, record: str, answer: str, limits: ServingSpec) -> Json:
    many = {"type": "array", "items": _reference(record), "minItems": 1, "maxItems": limits.max_rows}
    forms = [_reference(record), many]
    if all(column.name != "records" for column in loaded.manifest.schema.features):
        wrapped = {
            "type": "object",
            "properties": {
                "records": many,
                "keys": {"type": "array", "items": BUSINESS_KEY, "description": "A business key a record."},
            },
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
    broken = {
        400: "The body is not JSON, or X-Prediction-Key no key.",
        422: "A record does not fit the schema; the place is named.",
    }
    return {
        "tags": ["predict"],
        "operationId": f"predict_{loaded.model}",
        "parameters": [_KEY_HEADER],
        "summary": f"Predict {loaded.manifest.schema.target.name} with {loaded.model}, version {loaded.name}",
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": _answered(answered), **_errors("Error", broken, _EVERYWHERE, _PREDICTING)},
    }


def _feedback(loaded: LiveVersion, limits: ServingSpec) -> Json:
    target = target_of(loaded.manifest)
    counts = ("accepted", "late", "unknown")
    answered: Json = {
        "type": "object",
        "properties": {"model": {"const": loaded.model}} | {name: {"type": "integer", "minimum": 0} for name in counts},
        "required": ["model", *counts],
    }
    broken = {
        400: "The body is not JSON.",
        409: "Predictions of this model are not logged.",
        422: "A label is not one of the model's, or has neither id nor key; the place is named.",
    }
    content = {"application/json": {"schema": answered}}
    return {
        "tags": ["predict"],
        "operationId": f"feedback_{loaded.model}",
        "summary": f"Tell what {target.name} really was, for earlier predictions of {loaded.model}",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": feedback_schema(target, limits.max_rows)}},
        },
        "responses": {
            "200": {"description": "The labels are stored.", "content": content},
            **_errors("Error", broken, _EVERYWHERE, _PREDICTING),
        },
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
        "parameters": [_KEY_HEADER],
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
        "parameters": [{**which, "description": "Which model, where there are several and no default."}, _KEY_HEADER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body}, "text/csv": {"schema": {"type": "string"}}},
        },
        "responses": {"200": _answered(answered), **_errors("ScoringError", broken, _EVERYWHERE, _PREDICTING)},
    }
