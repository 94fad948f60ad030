"""`GET /v1/models`, `GET /v1/models/{name}`: which language models can be asked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from mainspring.serving.language import LanguageVersion
from mainspring.serving.live import LiveVersion
from mainspring.serving.openapi import OPENAI_ERRORS, OPENAI_NOT_FOUND
from mainspring.serving.problems import Problem

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway


class OpenAIModel(BaseModel):
    """A model, as OpenAI's API writes it. `created` is when the version was fitted, in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class OpenAIModelList(BaseModel):
    """All that can be asked."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


def _model(name: str, loaded: LiveVersion) -> OpenAIModel:
    manifest = loaded.manifest
    created = int(datetime.fromisoformat(manifest.created).timestamp())
    return OpenAIModel(id=name, created=created, owned_by=manifest.project)


def routes(gateway: Gateway) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["openai"], responses=OPENAI_ERRORS)

    @router.get("/v1/models")
    async def openai_models() -> OpenAIModelList:
        """The language models that are live."""
        live = [loaded for loaded in gateway.slots.live() if isinstance(loaded, LanguageVersion)]
        return OpenAIModelList(data=[_model(loaded.model, loaded) for loaded in live])

    @router.get("/v1/models/{name}", responses=OPENAI_NOT_FOUND)
    async def openai_model(name: str) -> OpenAIModel:
        """One language model, or one of its live versions: `name:version`."""
        model, pinned, version = name.partition(":")
        loaded = gateway.slots.find(model).current(version if pinned else None)
        if not isinstance(loaded, LanguageVersion):
            raise Problem(404, str(loaded.wrong_kind()), code="model_not_found")
        return _model(name, loaded)

    return router
