"""The readable rest of the API, as a FastAPI application: models, health, metrics, the protocol's metadata, docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

import mainspring
from mainspring.serving import health, models, openapi, problems, repository
from mainspring.serving.openai import models as openai_models
from mainspring.serving.problems import Problem

if TYPE_CHECKING:
    from mainspring.serving.gateway import Gateway


class Pages(FastAPI):
    """FastAPI, whose description of the API also has what is served beside it: each live model's own endpoints."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            title=gateway.project.name,
            description=gateway.project.project.description or "",
            version=mainspring.__version__,
            redirect_slashes=False,
            redoc_url=None,
        )
        self._gateway = gateway

    def openapi(self) -> dict[str, Any]:
        """The description, made anew after a version changed."""
        if self.openapi_schema is None:
            limits = self._gateway.project.serving
            self.openapi_schema = openapi.describe(super().openapi(), self._gateway.slots.live(), limits)
        return self.openapi_schema


def application(gateway: Gateway) -> Pages:
    """The application for `gateway`."""
    app = Pages(gateway)
    for routes in (models.routes, health.routes, repository.routes, openai_models.routes):
        app.include_router(routes(gateway))
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _defect)
    return app


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    reply = problems.reply(error, request.url.path)
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers, media_type="application/json")


async def _http_exception(request: Request, error: Exception) -> Response:
    """FastAPI's own: no such page, or not that method."""
    assert isinstance(error, HTTPException)
    messages = {
        404: f"no page {request.url.path[:100]!r}: /docs shows what there is",
        405: f"{request.url.path[:100]} does not take {request.method}",
    }
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    message = messages.get(error.status_code, str(error.detail))
    return await _problem(request, Problem(error.status_code, message, headers=headers))


async def _defect(request: Request, error: Exception) -> Response:
    """Only the answer: Starlette raises the error again, and the edge logs it."""
    return await _problem(request, Problem(500, "a defect of ours; the log has more"))
