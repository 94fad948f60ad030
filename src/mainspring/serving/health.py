"""Health and metrics. Alive means that the process answers; ready means that every wanted model really predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

import mainspring
from mainspring.serving.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway
    from mainspring.serving.live import LiveVersion
    from mainspring.serving.slots import Slot


class ModelReadiness(BaseModel):
    """Whether a model answers. `reason` says why not, or why it is not the wanted version that does."""

    ready: bool
    version: str | None = None
    reason: str | None = None


class Readiness(BaseModel):
    """Whether every wanted model answers."""

    ready: bool
    reason: str | None = None
    models: dict[str, ModelReadiness] = {}


async def readiness(gateway: Gateway) -> Readiness:
    """Ask each wanted model a golden example."""
    wanted = [slot for slot in gateway.slots if slot.wanted is not None or slot.error]
    known = [slot for slot in gateway.slots if slot.desired]
    if not known:
        return Readiness(ready=False, reason="no model has a version yet: run `mainspring fit`")
    found = {slot.name: await model_readiness(slot) for slot in wanted}
    return Readiness(ready=all(model.ready for model in found.values()), models=found)


async def model_readiness(slot: Slot) -> ModelReadiness:
    """Ask one model's champion a golden example: without its canary and its shadow a model is still ready."""
    if slot.live is None:
        return ModelReadiness(ready=False, reason=slot.error or f"it is {slot.state}")
    found = await version_readiness(slot.live)
    return found.model_copy(update={"reason": found.reason or slot.error})


async def version_readiness(loaded: LiveVersion) -> ModelReadiness:
    """Ask one version a golden example."""
    try:
        await loaded.prove()
    except Exception as error:  # whatever it is, the model does not answer
        return ModelReadiness(ready=False, version=loaded.name, reason=f"a golden example fails: {error}")
    return ModelReadiness(ready=True, version=loaded.name)


def routes(gateway: Gateway) -> APIRouter:
    """`/livez`, `/readyz`, `/metrics`, and MLflow's `/ping`, `/health`, `/version`."""
    router = APIRouter(tags=["health"])
    not_ready: dict[int | str, dict[str, Any]] = {
        503: {"model": Readiness, "description": "Some wanted model does not answer; says which and why."}
    }

    @router.get("/livez", response_class=PlainTextResponse)
    async def live() -> str:
        """Answers while the process does."""
        return "ok\n"

    @router.get("/readyz", response_model=Readiness, responses=not_ready, response_model_exclude_none=True)
    async def ready() -> Response:
        """Predicts a golden example with every wanted model."""
        found = await readiness(gateway)
        headers = {} if found.ready else {"Retry-After": "1"}
        return JSONResponse(found.model_dump(exclude_none=True), 200 if found.ready else 503, headers)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus's text format."""
        gateway.metrics.in_flight.set(gateway.edge.in_flight)
        return Response(gateway.metrics.text(), media_type=CONTENT_TYPE)

    @router.get("/ping", response_model=Readiness, responses=not_ready, response_model_exclude_none=True)
    @router.get("/health", response_model=Readiness, responses=not_ready, response_model_exclude_none=True)
    async def ping() -> Response:
        """As `/readyz`, under the names that MLflow's clients use."""
        return await ready()

    @router.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """The version of Mainspring."""
        return mainspring.__version__

    return router
