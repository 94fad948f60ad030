"""What is live: `/models`, `/models/{name}`, and the index `/`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

import mainspring
from mainspring.serving.openapi import ERRORS, NOT_FOUND
from mainspring.serving.slots import Slot, State

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway


class ModelState(BaseModel):
    """A model, in short. `version` is the one that answers; `since` is when it was promoted, `error` why another is not
    live that should be.
    """

    name: str
    state: State
    version: str | None = None
    wanted: str | None = None
    task: str | None = None
    since: str | None = None
    loaded_at: datetime | None = None
    error: str | None = None


class ModelDetail(ModelState):
    """A model, with what its manifest says of the live version."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    metric: str | None = None
    metrics: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    created: str | None = None
    candidate: str | None = None


class ModelList(BaseModel):
    """All models."""

    models: list[ModelState]


class Index(BaseModel):
    """Where to go from here."""

    project: str
    mainspring: str
    models: list[str]
    links: dict[str, str]


def _state(slot: Slot) -> dict[str, Any]:
    live, desired = slot.live, slot.desired
    return {
        "name": slot.name,
        "state": slot.state,
        "version": live and live.name,
        "wanted": slot.wanted,
        "task": live and live.manifest.task,
        "since": desired and desired.since,
        "loaded_at": live and live.loaded_at,
        "error": slot.error,
    }


def _detail(slot: Slot) -> dict[str, Any]:
    if slot.live is None:
        return _state(slot)
    manifest = slot.live.manifest
    return {
        **_state(slot),
        "schema": msgspec.to_builtins(manifest.schema),
        "metric": manifest.metric,
        "metrics": manifest.metrics,
        "verdict": manifest.verdict,
        "created": manifest.created,
        "candidate": manifest.candidate,
    }


def routes(gateway: Gateway) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["models"], responses=ERRORS)
    links = {
        "docs": "/docs",
        "models": "/models",
        "ready": "/readyz",
        "metrics": "/metrics",
        "openapi": "/openapi.json",
    }

    @router.get("/")
    async def index() -> Index:
        """Where to go from here."""
        names = sorted(slot.name for slot in gateway.slots)
        return Index(project=gateway.project.name, mainspring=mainspring.__version__, models=names, links=links)

    @router.get("/models")
    async def all_models() -> ModelList:
        """Every model and what is live."""
        return ModelList(models=[ModelState(**_state(slot)) for slot in sorted(gateway.slots, key=lambda s: s.name)])

    @router.get("/models/{name}", responses=NOT_FOUND)
    async def one_model(name: str) -> ModelDetail:
        """One model: what it takes and gives, and on what evidence it is live."""
        return ModelDetail(**_detail(gateway.slots.find(name)))

    return router
