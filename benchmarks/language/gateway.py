"""Mainspring's gateway with one language model, as the benchmarks of language models ask it.

The project lies in `.benchmarks/language/project`, is fitted once, and kept.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import WORK, BenchmarkError

from mainspring import spec
from mainspring.lifecycle import fit, promote
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version

PROJECT = WORK / "project"
MODEL = "desk"
BASE = "smollm2-135m-instruct"
_START_SECONDS = 300.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Gateway:
    """A running one. `url`: its OpenAI API, without a slash at the end."""

    url: str
    pid: int

    @property
    def chat(self) -> str:
        """Where chats are posted."""
        return f"{self.url}/chat/completions"

    @property
    def completions(self) -> str:
        """Where texts are posted."""
        return f"{self.url}/completions"

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by its name with its labels."""
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/metrics", timeout=30) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def fitted(text: str = f'[models.{MODEL}]\ntask = "chat"\nbase = "{BASE}"\n', folder: Path = PROJECT) -> Version:
    """The project's model, fitted if it is not yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / spec.FILE_NAME).write_text(f'[project]\nname = "benchmark"\n\n{text}')
    project = spec.load(folder)
    for result in fit.fit(project):
        if result.outcome == "kept" and result.version:  # of changed code: no benchmark asks which version is better
            promote.promote(project, result.model, result.version, reason="it is to be measured")
        elif result.outcome not in ("promoted", "unchanged"):
            raise SystemExit(f"the fit of {result.model} was {result.outcome}: {result.message}")
    return versions.load(project.state, MODEL, desired.read(project.state).champion(MODEL))


@contextlib.contextmanager
def gateway(folder: Path = PROJECT) -> Iterator[Gateway]:
    """`mainspring serve` of the project in `folder`, ready, and stopped at the end."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mainspring.cli", "serve", "--project", str(folder), "--port", str(port)]
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/readyz", process, log)
        yield Gateway(f"http://127.0.0.1:{port}/v1", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_until_up(url: str, process: subprocess.Popen[Any], log: Path) -> None:
    """Return when `url` answers 200; BenchmarkError with the end of the log if the process ends, or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise BenchmarkError(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def engine_pids(folder: Path = PROJECT) -> dict[str, int]:
    """The engines' processes, by model, as the running service tells them."""
    told = json.loads((folder / ".mainspring/engines.json").read_text())
    return {engine["model"]: engine["process"]["pid"] for engine in told["engines"]}
