"""What is live: `/models`, `/models/{name}`, and the index `/`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

import mainspring
from mainspring.serving.openapi import ERRORS, NOT_FOUND
from mainspring.serving.slots import Slot, State

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway


Role: TypeAlias = Literal["champion", "canary", "shadow"]


class RouteState(BaseModel):
    """A version that should be live. `share` is the part of the traffic that it is to answer, from 0 to 1; until it is
    `live` the champion does. A shadow answers beside the others and is not heard.
    """

    version: str
    role: Role
    share: float
    live: bool
    error: str | None = None


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
    routes: list[RouteState] = []


class ModelDetail(ModelState):
    """A model, with what its manifest says of the live version, and the monitoring of the traffic."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    metric: str | None = None
    metrics: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    created: str | None = None
    candidate: str | None = None
    monitoring: dict[str, Any] | None = None


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
        "routes": _routes(slot),
    }


def _routes(slot: Slot) -> list[RouteState]:
    if slot.desired is None:
        return []
    champion, *canaries = slot.desired.routes
    wanted: list[tuple[str, Role, float]] = [(champion.version, "champion", champion.share)]
    wanted += [(canary.version, "canary", canary.share) for canary in canaries]
    if slot.desired.shadow is not None:
        wanted.append((slot.desired.shadow, "shadow", 0.0))
    return [
        RouteState(
            version=version, role=role, share=share, live=version in slot.versions, error=slot.errors.get(version)
        )
        for version, role, share in wanted
    ]


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
        slot = gateway.slots.find(name)
        return ModelDetail(**_detail(slot), monitoring=msgspec.to_builtins(gateway.alarms.of(name)))

    return router
