"""The description of `/search` and `/ask` for `/openapi.json`, made from the very structs that bodies are read into."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.serving.retrieval.asking import AskPiece
from mainspring.serving.retrieval.bodies import AskRequest, SearchRequest
from mainspring.serving.retrieval.results import AskResult, SearchResult

Operation = tuple[str, dict[str, Any], dict[str, Any]]


def search_operation(model: str, version: str) -> Operation:
    """The path, the operation without errors and headers, and the schemas that it refers to."""
    found, components = _schemas(SearchRequest, SearchResult)
    content = {"application/json": {"schema": found[1]}}
    summary = f"Find the passages of {model}, version {version}, that answer a question"
    return f"/models/{model}/search", _operation(f"search_{model}", summary, found[0], content), components


def ask_operation(model: str, version: str) -> Operation:
    """The same of `/ask`. An event of a stream is described as those of `/v1` are: see `openai.schemas`."""
    found, components = _schemas(AskRequest, AskResult, AskPiece)
    one = [
        {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
        for schema in (found[2], found[1])
    ]
    event = {"type": "object", "properties": {"data": {"anyOf": [{"const": "[DONE]"}, *one]}}}
    content = {"application/json": {"schema": found[1]}, "text/event-stream": {"schema": event}}
    summary = f"Ask {model}, version {version}: an answer from documents, with citations"
    return f"/models/{model}/ask", _operation(f"ask_{model}", summary, found[0], content), components


def _schemas(*kinds: type[msgspec.Struct]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")


def _operation(name: str, summary: str, asked: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["retrieval"],
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {"200": {"description": "The answer.", "content": content}},
    }
