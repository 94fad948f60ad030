"""Runs a gateway on uvicorn (httptools and uvloop), and stops it gracefully.

Several workers can share one port: a supervisor binds the socket and hands each of them its descriptor (`fd`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mainspring.errors import MainspringError
from mainspring.serving.gateway import Gateway
from mainspring.spec import Project

_KEEP_ALIVE_SECONDS = 75  # longer than the idle time of the usual proxies in front (60 s)
_PATIENCE_SECONDS = 20.0
_MOST_HEADER_BYTES = 65_536
_GRACE_SECONDS = 5


def run(
    project: Project,
    *,
    host: str | None = None,
    port: int | None = None,
    fd: int | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve `project` until SIGINT or SIGTERM, then finish what has begun.

    Args:
        project: what to serve.
        host: where to listen; by default what `[serving]` says.
        port: likewise; 0 takes a free one.
        fd: a listening socket to use instead, inherited from a supervisor.
        ready: called with one line once requests are answered; by default it is printed on standard error.

    Raises:
        MainspringError: the address cannot be listened on, or the gateway cannot start.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    gateway = Gateway(project)
    listener = socket.socket(fileno=fd) if fd is not None else _listen(project, host, port)

    def announce() -> None:
        # What is here now stays: the collector need not walk through it again and again, which costs milliseconds.
        gc.collect()
        gc.freeze()
        (ready or _print)(_ready_line(gateway, listener))

    server = GatewayServer(gateway, announce)
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the start failed
        raise MainspringError("the gateway cannot start; the log above says why") from None


def _listen(project: Project, host: str | None, port: int | None) -> socket.socket:
    address = (host or project.serving.host, project.serving.port if port is None else port)
    try:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return socket.create_server(address, family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise MainspringError(
            f"cannot listen on {address[0]}:{address[1]}: {error}; choose another with --host and --port"
        ) from None


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _ready_line(gateway: Gateway, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    live = ", ".join(f"{loaded.model} {loaded.name}" for loaded in gateway.slots.live())
    failed = any(slot.error for slot in gateway.slots)
    nothing = "no version can be loaded, see above;" if failed else "no model has a version yet, run `mainspring fit`;"
    what = f"serving {live}" if live else nothing
    return f"mainspring: {what} on http://{f'[{host}]' if ':' in host else host}:{port} (docs at /docs)"


class GatewayServer(uvicorn.Server):
    """uvicorn, told when to announce itself, and ending normally when it was asked to stop."""

    def __init__(self, gateway: Gateway, announce: Callable[[], None] | None = None) -> None:
        limits = gateway.project.serving
        config = uvicorn.Config(
            gateway,
            http=PatientProtocol,
            ws="none",
            lifespan="on",
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(limits.timeout) + _GRACE_SECONDS,
        )
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which returns when the gateway is ready and the sockets are listened on."""
        await super().startup(sockets)
        if self.started and self._announce:
            self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but without raising the signal again afterwards: having stopped as asked is no failure."""
        try:
            previous = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread, as in tests
            yield
            return
        try:
            yield
        finally:
            for sign, handler in previous.items():
                signal.signal(sign, handler)


class WholeWrites:
    """A transport that sends what is written in one turn of the event loop as one: a response's header and its body.

    uvloop sends each write at once. One system call and one packet instead of two is a tenth of a small request's time.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        # What uvicorn asks for on every request is not looked up through __getattr__.
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        """Send what is left, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits that it lacks: on the size and on the time of a request's header.

    Patient, but not for ever: a client that opens a connection and never asks, or sends its header drop by drop, is
    disconnected, and so is one that goes on for too long with a body that was refused already. A refused body is read
    to its end if that comes soon: closing at once would reset the connection before the client has read why.
    (A body that is being waited for has limits of its own, see `Edge`.)
    """

    _patience: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_body = False

    def connection_made(self, transport: Any) -> None:
        """A client has connected: its first header is due."""
        super().connection_made(WholeWrites(transport, self.loop))  # type: ignore[arg-type]
        self._begin_patience()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._end_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a header, or of a body."""
        was_in_body = self._in_body
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            return  # a request is under way
        if not was_in_body and not self._in_body:
            self._header_bytes += len(data)
            if self._header_bytes > _MOST_HEADER_BYTES:
                self.send_400_response("The header is too large.")
                return
        if self._patience is None:
            self._begin_patience()

    def on_headers_complete(self) -> None:
        """A request begins."""
        self._end_patience()
        self._header_bytes = 0
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Its body is there, too."""
        self._in_body = False
        super().on_message_complete()

    def _begin_patience(self) -> None:
        self._patience = self.loop.call_later(_PATIENCE_SECONDS, self.timeout_keep_alive_handler)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
