"""`mainspring serve` and `mainspring up`."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring import spec
from mainspring.cli.options import project_option
from mainspring.errors import MainspringError

if TYPE_CHECKING:
    from mainspring.lifecycle.supervise import Part


def _listening_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--host", help="Where to listen.  [default: the spec's, 127.0.0.1]"),
        click.option("--port", type=click.IntRange(0, 65535), help="Which port.  [default: the spec's, 8000]"),
        click.option("--workers", type=click.IntRange(1, 64), help="How many processes.  [default: the spec's, 1]"),
    ):
        command = option(command)
    return command


@click.command()
@_listening_options
@project_option
def serve(host: str | None, port: int | None, workers: int | None, folder: Path) -> None:
    """Serve the champions over HTTP. A promotion, here or in MLflow, goes live without a restart."""
    _run(spec.load(folder), host, port, workers, loop=False)


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@_listening_options
@project_option
def up(directory: Path | None, host: str | None, port: int | None, workers: int | None, folder: Path) -> None:
    """Fit what is stale, serve, monitor and renew. Champions that there are answer at once; new ones as they come.

    DIRECTORY is the project's folder, as with --project.
    """
    _run(spec.load(directory or folder), host, port, workers, loop=True)


def _run(project: spec.Project, host: str | None, port: int | None, workers: int | None, *, loop: bool) -> None:
    for module in ("onnxruntime", "fastapi", "uvicorn"):
        if find_spec(module) is None:
            raise MainspringError(f"this needs {module}, which is not installed: pip install 'mainspring[serve]'")
    from mainspring.lifecycle.supervise import Supervisor

    host, port = host or project.serving.host, project.serving.port if port is None else port
    workers = workers or project.serving.workers
    _one_process_for_lite(project, workers)
    listener = _listen(host, port)
    _warn_if_open(project, host)
    parts = _parts(project, listener.fileno(), workers, loop)
    with listener, _shared_metrics(workers) as forget:
        Supervisor(parts, descriptors=[listener.fileno()], say=_say, on_end=forget).run()


def _one_process_for_lite(project: spec.Project, workers: int) -> None:
    """Refuse several workers where Milvus Lite keeps an index: all but one of them would answer 503."""
    for name, model in project.retrievals.items():
        if workers > 1 and model.store.is_of_one_process:
            raise project.mistake(
                ("models", name, "store"),
                f"Milvus Lite is open in one process at a time, and {workers} gateway workers are asked for: serve "
                "with one (`--workers 1`), or give the `url` of a Milvus server",
            )


@contextlib.contextmanager
def _shared_metrics(workers: int) -> Iterator[Callable[[int], None]]:
    """Several workers count together, in files that they share; gives what forgets the gauges of one that died."""
    if workers == 1:
        yield lambda pid: None
        return
    from prometheus_client.multiprocess import mark_process_dead

    with tempfile.TemporaryDirectory(prefix="mainspring-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield lambda pid: mark_process_dead(pid, folder)


def _parts(project: spec.Project, listener: int, workers: int, loop: bool) -> list[Part]:
    from mainspring.lifecycle.supervise import Part

    def python(module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments]

    where = str(project.folder)
    gateway = python("mainspring.serving", "--project", where, "--fd", str(listener), "--workers", str(workers))
    stop_seconds = project.serving.timeout + 10.0
    parts = [Part(f"gateway worker {number}", gateway, stop_seconds=stop_seconds) for number in range(1, workers + 1)]
    if project.languages or project.retrievals:
        engines = python("mainspring.serving.engines", "--project", where)
        parts.append(Part("the engine room", engines, stop_seconds=stop_seconds + 5.0))
    # Importing MLflow and what reads the log takes seconds of a processor, which the workers need first.
    if loop:
        control = python("mainspring.lifecycle", where, "--control")
        parts.append(Part("the controller", control, niceness=10, delay=2.0, stop_seconds=15.0))
        fitting = python("mainspring.cli", "fit", "--project", where)
        parts.append(Part("the fit", fitting, once=True, niceness=10, stop_seconds=5.0))
    elif project.tracking.uri is not None or find_spec("mlflow") is not None:
        parts.append(Part("the follower of MLflow", python("mainspring.lifecycle", where), niceness=10, delay=2.0))
    return parts


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise MainspringError(
            f"cannot listen on {host}:{port}: {error.strerror or error}: stop what listens there, or choose another "
            "with --host and --port"
        ) from None


def _warn_if_open(project: spec.Project, host: str) -> None:
    from mainspring.serving import keys

    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host != "localhost" and keys.names(project.state) is None:
        _say(f"anybody who reaches {host} is answered: make a key with `mainspring keys create NAME`")


def _say(line: str) -> None:
    click.echo(f"mainspring: {line}", err=True)
