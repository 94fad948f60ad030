"""What the demo's acts share: commands are printed before they run, and a service is started, asked and stopped."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent
MAINSPRING = Path(sys.executable).with_name("mainspring")


def say(text: str) -> None:
    """A line that stands out."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*arguments: str, project: Path = HERE, allowed: tuple[int, ...] = (0,)) -> None:
    """Run a command of `mainspring`; another exit code than the `allowed` ones ends the demo."""
    shown = " ".join(arguments)
    say(f"$ mainspring {shown} --project {_shown(project)}")
    code = subprocess.run([MAINSPRING, *arguments, "--project", project]).returncode
    if code not in allowed:
        sys.exit(f"mainspring {shown} ended with {code}")


class Service:
    """A running `mainspring serve` or `up` on a free port of this machine, asked over one connection.

    Usage: `with Service("serve", HERE) as service: service.ask("/models")`
    """

    def __init__(self, command: str, project: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        arguments = [command, *options, "--port", str(self.port), "--project"]
        say(f"$ mainspring {' '.join(arguments)} {_shown(project)}")
        with (project / ".mainspring" / "demo.log").open("wb") as log:
            self._process = subprocess.Popen([MAINSPRING, *arguments, project], stdout=log, stderr=log)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def __enter__(self) -> Service:
        began = time.perf_counter()
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - began > 60:
                self._stop()
                sys.exit("the service did not become ready")
            time.sleep(0.02)
        print(f"ready after {time.perf_counter() - began:.1f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """GET, or POST of a JSON body: the status and the answer."""
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def _is_ready(self) -> bool:
        try:
            return self.ask("/readyz")[0] == 200
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return False

    def _stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait(30)


def _shown(project: Path) -> str:
    """The project's folder as seen from the repository."""
    return str(project.relative_to(HERE.parents[1]))
