"""The rest of the Open Inference Protocol v2: health, metadata, and the repository extension.

Load and unload write desired state, so that every worker follows; the answer waits until this one has.
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

import mainspring
from mainspring.errors import RegistryError
from mainspring.registry import desired
from mainspring.runtimes.strict_json import broken_json, shown
from mainspring.serving import tensors
from mainspring.serving.health import model_readiness, readiness, version_readiness
from mainspring.serving.live import LiveVersion
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.openapi import OIP_ERRORS, OIP_NOT_FOUND, ProtocolError
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slot

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway

_STATES = {"live": "READY", "loading": "LOADING"}  # Triton's words; everything else is UNAVAILABLE


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's tensors."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


class IndexEntry(BaseModel):
    """A model in the repository."""

    name: str
    version: str = ""
    state: str
    reason: str = ""


def _metadata(loaded: LiveVersion, versions: tuple[str, ...]) -> ModelMetadata:
    if not isinstance(loaded, LoadedVersion):
        raise loaded.wrong_kind()
    schema = loaded.manifest.schema
    return ModelMetadata(
        name=loaded.model,
        versions=list(versions),
        platform="onnxruntime_onnx",
        inputs=[
            TensorMetadata(name=column.name, datatype=tensors.input_datatype(column), shape=[-1, 1])
            for column in schema.features
        ],
        outputs=[
            TensorMetadata(name=name, datatype=datatype, shape=shape)
            for name, datatype, shape in tensors.output_tensors(schema)
        ],
    )


def _entries(slot: Slot) -> list[IndexEntry]:
    """A model's live versions, the one that answers first."""
    if slot.live is None:
        state = _STATES.get(slot.state, "UNAVAILABLE")
        return [IndexEntry(name=slot.name, state=state, reason=slot.error or slot.state)]
    reasons = [slot.error or "", *("" for _ in slot.beside)]
    return [
        IndexEntry(name=slot.name, version=version, state="READY", reason=reason)
        for version, reason in zip(slot.versions, reasons, strict=True)
    ]


def _options(body: bytes) -> dict[str, Any]:
    """The JSON object that a repository request may have."""
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise Problem(400, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem.of(broken_json(body, error)) from None


def routes(gateway: Gateway) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=OIP_ERRORS)
    not_found = OIP_NOT_FOUND
    not_ready = {**OIP_NOT_FOUND, 503: {"model": ModelReady | ProtocolError, "description": "It does not answer."}}

    async def switch(name: str, loaded: bool, body: bytes) -> Response:
        parameters = _options(body).get("parameters") or {}
        # Triton's client sends it always; what it asks for has no meaning here, where no model depends on another.
        unknown = (
            [key for key in parameters if key != "unload_dependents"]
            if isinstance(parameters, dict)
            else ["parameters"]
        )
        if unknown:
            raise Problem(400, f"the parameter {shown(unknown[0])!r} is not supported")
        slot = gateway.slots.find(name)
        if slot.desired is None:
            raise Problem(409, f"{name} has no version yet: run `mainspring fit {name}`")
        try:
            await asyncio.to_thread(desired.set_loaded, gateway.project.state, name, loaded)
        except RegistryError as error:
            raise Problem(503, str(error)) from None
        except KeyError:  # it is live, but the file that says so was damaged, and is being made anew
            raise Problem(409, f"{name} is not promoted: run `mainspring promote {name} VERSION`") from None
        try:
            async with asyncio.timeout(gateway.project.serving.timeout):
                await gateway.reconciler.settle_one(slot)
        except TimeoutError:
            raise Problem(503, f"{name} is still being loaded: ask for its readiness, or try again") from None
        if loaded and (slot.live is None or slot.live.name != slot.wanted):
            raise Problem(503, f"{name} could not be loaded: {slot.error}")
        return Response(b"{}", media_type="application/json")

    @router.get("")
    async def server() -> ServerMetadata:
        """What this server is and can."""
        extensions = ["model_repository", "binary_tensor_data"]
        return ServerMetadata(name="mainspring", version=mainspring.__version__, extensions=extensions)

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """Answers while the process does."""
        return {"live": True}

    @router.get("/health/ready", responses={503: {"description": "Some wanted model does not answer."}})
    async def ready(response: Response) -> dict[str, bool]:
        """Whether every wanted model answers a golden example."""
        found = (await readiness(gateway)).ready
        response.status_code = 200 if found else 503
        return {"ready": found}

    @router.get("/models/{name}", responses=not_found)
    async def model(name: str) -> ModelMetadata:
        """A model's tensors."""
        slot = gateway.slots.find(name)
        return _metadata(slot.current(), slot.versions)

    @router.get("/models/{name}/versions/{version}", responses=not_found)
    async def model_version(name: str, version: str) -> ModelMetadata:
        """A live version's tensors."""
        return _metadata(gateway.slots.find(name).current(version), (version,))

    @router.get("/models/{name}/ready", responses=not_ready)
    async def model_ready(name: str, response: Response) -> ModelReady:
        """Whether a model answers a golden example."""
        found = (await model_readiness(gateway.slots.find(name))).ready
        response.status_code = 200 if found else 503
        return ModelReady(name=name, ready=found)

    @router.get("/models/{name}/versions/{version}/ready", responses=not_ready)
    async def version_ready(name: str, version: str, response: Response) -> ModelReady:
        """Whether a version is live and answers a golden example."""
        found = (await version_readiness(gateway.slots.find(name).current(version))).ready
        response.status_code = 200 if found else 503
        return ModelReady(name=name, ready=found)

    @router.post("/repository/index", responses={400: OIP_ERRORS[400]})
    async def repository_index(request: Request) -> list[IndexEntry]:
        """Every model and its state; `{"ready": true}` asks for those that answer only."""
        only_ready = _options(await request.body()).get("ready", False)
        slots = sorted(gateway.slots, key=lambda slot: slot.name)
        entries = [entry for slot in slots for entry in _entries(slot)]
        return [entry for entry in entries if entry.state == "READY" or not only_ready]

    @router.post("/repository/models/{name}/load", responses=not_found)
    async def load(name: str, request: Request) -> Response:
        """Switch a model on, in every worker."""
        return await switch(name, True, await request.body())

    @router.post("/repository/models/{name}/unload", responses=not_found)
    async def unload(name: str, request: Request) -> Response:
        """Switch a model off, in every worker."""
        return await switch(name, False, await request.body())

    return router
