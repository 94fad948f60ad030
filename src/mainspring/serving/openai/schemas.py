"""The description of `/v1` for `/openapi.json`, made from the very structs that requests are read into.

An event of a stream is described as OpenAPI 3.2 does it: an object whose `data` is JSON, written as a string, until it
is "[DONE]".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mainspring.serving.openai.answers import ChatChunk, ChatCompletion, TextCompletion
from mainspring.serving.openai.chat import ChatRequest
from mainspring.serving.openai.completions import CompletionRequest
from mainspring.serving.openai.embeddings import EmbeddingList, EmbeddingRequest

_SUMMARIES = {
    "chat/completions": "Answer a conversation",
    "completions": "Continue texts",
    "embeddings": "Give texts their vectors",
}
_TYPES: tuple[tuple[str, type[msgspec.Struct], type[msgspec.Struct], type[msgspec.Struct] | None], ...] = (
    ("chat/completions", ChatRequest, ChatCompletion, ChatChunk),
    ("completions", CompletionRequest, TextCompletion, TextCompletion),
    ("embeddings", EmbeddingRequest, EmbeddingList, None),
)


def openai_operations(models: list[str]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each path, its operation without errors and headers, and the schemas that it refers to."""
    for path, request, answer, event in _TYPES:
        kinds = [kind for kind in (request, answer, event) if kind]
        found, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        content = {"application/json": {"schema": found[1]}}
        if event:
            piece = {"type": "string", "contentMediaType": "application/json", "contentSchema": found[2]}
            data = {"anyOf": [{"const": "[DONE]"}, piece]}
            content["text/event-stream"] = {"schema": {"type": "object", "properties": {"data": data}}}
        operation = {
            "tags": ["openai"],
            "operationId": path.replace("/", "_"),
            "summary": _SUMMARIES[path],
            "description": f"Language models: {', '.join(models)}.",
            "requestBody": {"required": True, "content": {"application/json": {"schema": found[0]}}},
            "responses": {"200": {"description": "The answer.", "content": content}},
        }
        yield f"/v1/{path}", operation, components
