"""The outermost layer: everything that holds for every request, whatever it asks.

It gives the request an id, checks the API key and the limits, sends it on, and turns whatever goes wrong into an
answer; then it counts and logs it. What a model answers is called from here directly, the rest is FastAPI.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import perf_counter
from typing import Any, TypeAlias

from mainspring.serving import problems
from mainspring.serving.access_log import AccessLog
from mainspring.serving.keys import KeyRing
from mainspring.serving.messages import (
    BodyTooLargeError,
    ClientGoneError,
    Message,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    StreamedReply,
)
from mainspring.serving.metrics import Metrics
from mainspring.serving.problems import KEY_CODE, Problem
from mainspring.spec import ServingSpec

log = logging.getLogger("mainspring.serving")

Handler: TypeAlias = Callable[..., Awaitable[Reply | StreamedReply]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Health is asked by machines that hold no key, and must be answered when there is no room for anything else.
HEALTH_PATHS = frozenset(("/livez", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"))
_CLIENT_GONE = 499  # nginx's status for it: it is only ever logged
_STOPPING = "the gateway stops: ask again"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class Edge:
    """The ASGI application that the server calls.

    Args:
        pages: the application for everything but what models answer.
        endpoints: those where they answer, each a pattern of the path whose groups become the handler's arguments.
        limits: the sizes and times of `[serving]`.
    """

    def __init__(
        self,
        pages: App,
        endpoints: dict[str, Handler],
        limits: ServingSpec,
        keys: KeyRing,
        metrics: Metrics,
        access_log: AccessLog,
    ) -> None:
        self._pages = pages
        self._endpoints = [(re.compile(pattern), handler) for pattern, handler in endpoints.items()]
        self._limits = limits
        self._keys = keys
        self._metrics = metrics
        self._log = access_log
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        given = request.headers.get(b"x-request-id")
        if given and _REQUEST_ID.fullmatch(given):
            request.id = given.decode()
        answer = _Answer(send, request)
        counted = request.path not in HEALTH_PATHS
        self.in_flight += counted
        try:
            reply = await self._reply(request, answer, counted)
            if isinstance(reply, StreamedReply):
                await self._stream(request, answer, reply)
            elif reply is not None:
                await answer.send_reply(reply)
        except ClientGoneError:
            answer.status = _CLIENT_GONE
        finally:
            self.in_flight -= counted
        seconds = perf_counter() - request.started
        self._metrics.observe(request.model, request.version, answer.status, seconds, request.rows)
        self._log.add(request, answer.status, seconds, answer.size)

    async def _reply(self, request: Request, answer: _Answer, counted: bool) -> Reply | StreamedReply | None:
        """The reply, or None if the pages have sent it themselves."""
        try:
            if counted:
                self._admit(request)
            await self._read(request)
            for pattern, handler in self._endpoints:
                if match := pattern.fullmatch(request.path):
                    if request.method != "POST":
                        raise Problem(
                            405, f"{request.path} takes POST, not {request.method}", headers=((b"allow", b"POST"),)
                        )
                    return await handler(request, **match.groupdict())
            # Every page that can be read can be asked for its header alone.
            scope = {**request.scope, "method": "GET"} if request.method == "HEAD" else request.scope
            await self._pages(scope, request.replayed(), answer)
            return None
        except Problem as problem:
            return None if answer.status else problems.reply(problem, request.path)
        except ClientGoneError:
            raise
        except asyncio.CancelledError:  # the server stops, and has waited for this request as long as it waits for any
            return None if answer.status else problems.reply(Problem(503, _STOPPING), request.path)
        except Exception:
            log.exception("request %s to %s failed by a defect of ours", request.id, request.path)
            if answer.status:
                return None  # half of an answer is out: the server closes the connection
            return problems.reply(Problem(500, f"a defect of ours; the log has it under {request.id}"), request.path)

    async def _stream(self, request: Request, answer: _Answer, reply: StreamedReply) -> None:
        """Send an answer as it is made. What goes wrong now is its last piece, and the status that is logged."""
        try:
            async with aclosing(reply.pieces), request.unless_gone():
                await answer.begin_stream(reply)
                async for piece in reply.pieces:
                    # A client that reads nothing is as good as gone: it must not hold its place for ever.
                    async with asyncio.timeout(self._limits.generation_timeout):
                        await answer.send_piece(piece)
            last = b""
        except ClientGoneError:
            raise
        except TimeoutError:
            raise ClientGoneError from None
        except Problem as problem:
            last, answer.status = reply.failure(problem), problem.status
        except asyncio.CancelledError:  # as in `_reply`
            last, answer.status = reply.failure(Problem(503, _STOPPING)), 503
        except Exception:
            log.exception("request %s to %s failed by a defect of ours", request.id, request.path)
            last = reply.failure(Problem(500, f"a defect of ours; the log has it under {request.id}"))
            answer.status = 500
        await answer({"type": "http.response.body", "body": last})

    def _admit(self, request: Request) -> None:
        """Problem if the client may not ask, or if too many are asking."""
        if not self._keys.open:
            self._check_key(request)
        elif request.method == "POST" and request.headers.get(b"sec-fetch-site") == b"cross-site":
            # Without keys, a page of another site must not reach a gateway on its reader's own machine.
            raise Problem(403, "a page of another site asks: make an API key, and let that site's server ask with it")
        if self.in_flight > self._limits.queue:
            raise Problem(429, f"{self._limits.queue} requests are under way already: try again later")

    def _check_key(self, request: Request) -> None:
        secret = request.headers.get(b"x-api-key")
        if secret is None:
            scheme, _, token = request.headers.get(b"authorization", b"").partition(b" ")
            secret = token.strip() if scheme.lower() == b"bearer" else b""
        if not secret:
            ask = ((b"www-authenticate", b"Bearer"),)
            message = "an API key is needed: send Authorization: Bearer KEY, or X-API-Key: KEY"
            raise Problem(401, message, headers=ask, code=KEY_CODE)
        holder = self._keys.holder(secret)
        if holder is None:
            raise Problem(403, "this API key is not known, or was revoked", code=KEY_CODE)
        request.key = holder

    async def _read(self, request: Request) -> None:
        limit, seconds = self._limits.max_body, self._limits.timeout
        try:
            await request.read(limit, seconds)
        except BodyTooLargeError:
            raise Problem(413, f"the body is larger than {limit} bytes: send fewer records at a time", "$") from None
        except TimeoutError:
            close = ((b"connection", b"close"),)
            raise Problem(408, f"the body was not complete after {seconds:g} s", headers=close) from None


class _Answer:
    """ASGI's `send`: notes status and size for the log, and adds the request id to what the pages send."""

    __slots__ = ("_request", "_send", "size", "status")

    def __init__(self, send: Send, request: Request) -> None:
        self._send, self._request = send, request
        self.status = self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], (b"x-request-id", self._request.id.encode())]}
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)

    async def begin_stream(self, reply: StreamedReply) -> None:
        """Send the header and the first piece of an answer that is still being made."""
        self.status = 200
        headers = [
            (b"content-type", reply.content_type),
            (b"x-request-id", self._request.id.encode()),
            *reply.headers,
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send_piece(reply.first)

    async def send_piece(self, piece: bytes) -> None:
        """Send a piece of it."""
        self.size += len(piece)
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def send_reply(self, reply: Reply) -> None:
        """Send a whole reply."""
        self.status, self.size = reply.status, len(reply.body)
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (b"content-type", reply.content_type),
                (b"content-length", b"%d" % len(reply.body)),
                (b"x-request-id", self._request.id.encode()),
                *reply.headers,
            ],
        }
        await self._send(start)
        await self._send({"type": "http.response.body", "body": reply.body})
