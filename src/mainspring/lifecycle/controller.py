"""The controller: what keeps a project's service fresh while `mainspring up` runs. One a project.

Again and again, for each model: rotate the prediction log, examine the windows that have become complete, judge a
version that is on trial, and begin a renewal when one is due. A renewal runs in a process of its own with low priority,
so that serving keeps its latency, and so that whatever happens to it leaves the controller running.

What one model or one step does wrong holds up no other: it is said once, and tried again.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from mainspring.errors import BusyError, MainspringError
from mainspring.files import lock
from mainspring.lifecycle import fit, lineage, promote, trials
from mainspring.lifecycle.due import due, ended_by_a_fit
from mainspring.lifecycle.monitor import Monitor
from mainspring.monitoring import rotation
from mainspring.monitoring.observations import Alarm
from mainspring.registry import desired, history
from mainspring.spec import Project

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 1.0
_ROTATION_SECONDS = 60.0
_JUDGEMENT_SECONDS = 5.0
_STOP_SECONDS = 10.0


def control(project: Project, stop: threading.Event) -> None:
    """Run until `stop` is set. Where another controller of the project runs, wait for its end."""
    said = False
    while not stop.is_set():
        try:
            with lock(project.state / ".controller.lock", what="the controller of this project"):
                Controller(project).run(stop)
        except BusyError as error:
            if not said:
                _log.warning("%s; this one waits", error)
                said = True
            stop.wait(2.0)


class Controller:
    """Looks after all models of `project`. Without a log, only schedules and changed documents begin renewals."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._monitors = {name: Monitor(project, name) for name in project.watched}
        self._renewals: dict[str, subprocess.Popen[bytes]] = {}
        self._rotated = 0.0
        self._judged: dict[str, float] = {}
        self._alarms: dict[str, list[Alarm]] = {}
        self._complaints: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Turn after turn, until `stop` is set; a renewal under way is then ended, and leaves nothing behind."""
        try:
            while not stop.is_set():
                self.turn()
                stop.wait(_SECONDS_BETWEEN)
        finally:
            for process in self._renewals.values():
                process.terminate()
            for process in self._renewals.values():
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def turn(self) -> None:
        """Do once what there is to do."""
        if time.monotonic() - self._rotated > _ROTATION_SECONDS:
            self._rotated = time.monotonic()
            self._safely("the prediction log", lambda: rotation.rotate(self._project))
        self._safely("desired state", self._restore)
        for model in self._project.models:
            self._safely(f"the history of {model}", partial(promote.complete, self._project, model))
            self._safely(f"the trial of {model}", partial(self._judge, model))
            if model in self._monitors and (self._project.log.enabled or model in self._project.retrievals):
                self._safely(f"the monitoring of {model}", partial(self._monitor, model))
            self._safely(f"the renewal of {model}", partial(self._renew, model))

    def _restore(self) -> None:
        if desired.restore(self._project.state):
            _log.warning("desired state was damaged or gone: it was written anew with the champions of the history")

    def _judge(self, model: str) -> None:
        if time.monotonic() - self._judged.get(model, 0.0) > _JUDGEMENT_SECONDS:
            self._judged[model] = time.monotonic()
            trials.look(self._project, model)

    def _monitor(self, model: str) -> None:
        self._alarms[model] = []  # what cannot be looked at now is no reason for a renewal
        self._alarms[model] = self._monitors[model].look().alarms

    def _renew(self, model: str) -> None:
        live = desired.read(self._project.state).models.get(model)
        if live is None or self._is_renewing(model):
            return
        policy, events = self._project.models[model].renew, history.read(self._project.state, model)
        outdated = lineage.outdated(self._project, model, live.champion)
        found = due(policy, live, events, self._reasons(model), datetime.now(UTC), outdated)
        if found:
            try:
                with fit.only_fit(self._project, model):
                    pass
            except BusyError:  # it may be the one that makes a renewal needless
                return
            _log.warning("%s is renewed: %s", model, found.reason)
            self._renewals[model] = _start_renewal(self._project, model, found.reason, found.since)

    def _reasons(self, model: str) -> list[Alarm]:
        """The alarms that are a reason to renew."""
        alarms = self._alarms.get(model, [])
        if model in self._project.retrievals:
            return ended_by_a_fit(alarms, settled=self._monitors[model].settled)
        return alarms

    def _is_renewing(self, model: str) -> bool:
        process = self._renewals.get(model)
        if process is None or process.poll() is None:
            return process is not None
        del self._renewals[model]
        return False

    def _safely(self, what: str, step: Callable[[], object]) -> None:
        """Do `step`; what goes wrong is logged when it is new."""
        try:
            step()
        except (MainspringError, OSError) as error:
            complaint = str(error)
            if self._complaints.get(what) != complaint:
                _log.warning("%s: %s", what, complaint)
            self._complaints[what] = complaint
        except Exception:  # a defect of ours must not end the loop for every other model
            if what not in self._complaints:
                _log.exception("%s: a defect of ours", what)
            self._complaints[what] = "defect"
        else:
            self._complaints.pop(what, None)


def _start_renewal(project: Project, model: str, reason: str, since: int | None) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "mainspring.cli", "renew", model, "--project", str(project.folder)]
    arguments += ["--reason", reason] + ([] if since is None else ["--since", str(since)])
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
