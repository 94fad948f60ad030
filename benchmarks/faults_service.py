"""What `faults.py` breaks: the service of a small project, and the tools to break it and to look at what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults_world import Answer, Clients, World, ask
from loop import Gateway

from mainspring.monitoring import log_reader
from mainspring.registry import desired, history, versions

HERE = Path(__file__).resolve().parent
WORKERS = 2
PATIENCE = 60.0
DISK = "400m"  # the file system of `.mainspring`, where we may mount one
CAN_MOUNT = os.geteuid() == 0 and shutil.which("mount") is not None


class Service(Gateway):
    """`mainspring up` with two workers; what it says lies in `log`, in which nothing is lost."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int) -> None:
        super().__init__(port=port)
        self.folder, self._environment = folder, environment
        self.log = folder / "up.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "mainspring.cli", "up", str(self.folder), "--port", str(self.port)]
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=self._environment)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def children(self, what: str) -> list[int]:
        """The process numbers of the supervisor's children whose command line holds `what`."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", what], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    @property
    def controller(self) -> int:
        return until(lambda: self.children("mainspring.lifecycle"), "a controller")[0]

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """The status and the answer."""
        return ask(self.port, path, body)

    def answers(self, version: str | None) -> bool:
        """Whether both workers are there and several requests in a row are answered, by `version` if one is given."""
        if len(self.workers()) < WORKERS:
            return False
        for _ in range(8):
            try:
                status, found = self.ask("/models/delay")
                ready, _ = self.ask("/readyz")
            except OSError:
                return False
            if (status, ready) != (200, 200) or found["state"] != "live" or version not in (None, found["version"]):
                return False
        return True


def until(what: Any, name: str, seconds: float = PATIENCE) -> Any:
    """What `what()` gives, as soon as it is true; an error after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {name}")
        time.sleep(0.1)
    return found


@dataclass
class Lost:
    """Answers that are not in the log, how many labels that were taken in are not, and rows that are there twice."""

    rows: list[Answer]
    labels: int
    twice: int


@dataclass
class Bench:
    """The project, its service and its clients, and the tools to break them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    kills: list[float] = field(default_factory=list)  # when, by time.perf_counter

    def __enter__(self) -> Bench:
        with ExitStack() as undo:  # what has begun ends also where the rest does not come up
            self._set_up(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _set_up(self, undo: ExitStack) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.world = World(self.folder)
        self.state.mkdir()
        if CAN_MOUNT:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.state], check=True)
            undo.callback(lambda: subprocess.run(["umount", "-l", self.folder / ".mainspring"], check=True))
        self.plan = self.folder / "plan.json"
        plans = {"FAULTS_PLAN": str(self.plan), "PYTHONPATH": str(HERE / "faults")}
        self.environment = {**os.environ, **plans, **self.environment}
        if (first := self.run("fit")).returncode:
            sys.exit(first.stderr)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.service = Service(self.folder, self.environment, free.getsockname()[1])
        self.service.start()
        undo.callback(self.service.stop)
        until(lambda: self.service.answers("1"), "the service")
        self.clients = Clients(self.service.port, self.world)
        self.clients.start()
        undo.callback(self.clients.stop)
        until(lambda: self.service.children("mainspring.lifecycle"), "the controller")
        until(lambda: not self.service.children("mainspring.cli fit"), "the end of the first fit")

    @property
    def state(self) -> Path:
        return self.world.project.state

    @property
    def champion(self) -> str:
        found = desired.read(self.state).champion("delay")
        assert found is not None
        return found

    @property
    def champions(self) -> set[str]:
        """Every version that was champion at some time."""
        events = history.read(self.state, "delay")
        return {event.version for event in events if event.kind in history.CHAMPION_CHANGES}

    def kill(self, pid: int) -> None:
        """SIGKILL."""
        self.kills.append(time.perf_counter())
        os.kill(pid, signal.SIGKILL)

    def kill_a_worker(self) -> None:
        """And wait until another one has taken its place."""
        pid = self.service.workers()[0]
        self.kill(pid)
        until(lambda: len(set(self.service.workers()) - {pid}) == WORKERS, "another worker")

    def aim(self, program: str, at: str, when: str, containing: str = "") -> None:
        """The next process with the argument `program` kills itself at this step: see faults/sitecustomize.py."""
        plan = {"program": program, "at": at, "when": when, "containing": containing}
        self.plan.with_suffix(".tmp").write_text(json.dumps(plan))
        self.plan.with_suffix(".tmp").replace(self.plan)

    def wait_for_the_hit(self) -> None:
        """Until the process that was aimed at has come to the step and is dead."""
        hit = self.plan.with_name(self.plan.name + ".hit")
        when, pid = until(lambda: hit.exists() and hit.read_text().split(), "the step at which a process was to die")
        self.kills.append(time.perf_counter() - (time.time() - float(when)))
        until(lambda: not Path(f"/proc/{pid}/exe").exists(), "its death")
        hit.unlink()

    def run(self, *arguments: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command of Mainspring's."""
        command = [sys.executable, "-m", "mainspring.cli", *arguments, "--project", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=self.environment)

    def renew(self) -> str:
        """`mainspring renew`: what became of it, in a few words."""
        done = self.run("renew", "delay", "--json")
        if done.returncode < 0:
            return "killed"
        try:
            [found] = json.loads(done.stdout)["models"]
        except (ValueError, KeyError):
            return f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1][:300]}"
        return f"{found['outcome']}: {found['message']}"

    @contextmanager
    def spec(self, *, renew: str) -> Iterator[None]:
        """Run the controller with another spec for a while."""
        self.world.write_spec(renew=renew)
        self.restart_the_controller()
        try:
            yield
        finally:
            self.world.write_spec()
            self.restart_the_controller()

    def restart_the_controller(self) -> None:
        before = self.service.controller
        os.kill(before, signal.SIGTERM)
        until(lambda: before not in self.service.children("mainspring.lifecycle"), "the end of the controller")
        until(lambda: self.service.children("mainspring.lifecycle"), "the next controller")

    def lost(self, since: float, until_: float) -> Lost:
        """What the log lacks of the answers given in this stretch (`time.perf_counter`), and of the labels taken in."""
        told = list(self.clients.told)
        reader = log_reader.LogReader(self.world.project, "delay")
        logged = Counter(id_ for part in reader.predictions(0) for id_ in part.ids.tolist())
        labelled = {id_ for frame in reader.feedback(0) for id_ in frame.ids}
        asked = [one for one in self.clients.answers if one.status == 200 and since <= one.ended <= until_]
        twice = sum(count > 1 for count in logged.values())
        return Lost([one for one in asked if one.id not in logged], len(set(told) - labelled), twice)

    def unsound(self) -> list[str]:
        """What is not as it should be at rest: versions, desired state, history, MLflow, the commands that tell."""
        wrong, champion = [], self.champion
        for name in versions.names(self.state, "delay"):
            try:
                versions.load(self.state, "delay", name).verify()
            except Exception as error:
                wrong.append(str(error))
        changes = [event for event in history.read(self.state, "delay") if event.kind in history.CHAMPION_CHANGES]
        if changes[-1].version != champion:
            wrong.append(f"the history's champion is {changes[-1].version}, desired state's is {champion}")
        if (alias := self._alias()) != champion:
            wrong.append(f"MLflow's champion is {alias}, desired state's is {champion}")
        if left := list(versions.models_folder(self.state, "delay").glob(".staging-*")):
            wrong.append(f"{len(left)} staging folders are left")
        told = {command: self.run(command, "--json") for command in ("status", "history")}
        return wrong + [f"mainspring {name}: {done.stderr.strip()}" for name, done in told.items() if done.returncode]

    def _alias(self) -> str | None:
        """MLflow's champion, from the database as it lies there: MLflow itself would remember one that is gone."""
        with closing(sqlite3.connect(self.state / "mlflow.db")) as database:
            found = database.execute(
                "SELECT value FROM registered_model_aliases JOIN model_version_tags USING (name, version) "
                "WHERE alias = 'champion' AND key = 'mainspring.version'"
            ).fetchone()
        return found[0] if found else None
