"""Faults that end a process: SIGKILL of a renewal at each of its steps, of a worker, the controller, the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from faults_service import Bench, until

from mainspring.registry import history, versions

# What happens at the step · the function · whether death comes before or after it · what must be in its arguments
RENEWAL_STEPS = (
    ("has read the data", "mainspring.data.dataset.load", "after", ""),
    ("searches", "mainspring.tasks.search.fit_member", "after", ""),
    ("has exported the graph", "mainspring.tasks.model.FittedModel.to_onnx", "after", ""),
    ("has judged", "mainspring.lifecycle.judge.against_champion", "after", ""),
    ("publishes: files synced, folder not renamed", "pathlib.Path.rename", "before", ".staging-"),
    ("has published, has told nobody", "mainspring.registry.versions.publish", "after", ""),
    ("records: MLflow has the run, not the version", "mainspring.registry.tracking.Tracking._log", "after", ""),
    (
        "promotes: alias moved, desired state not",
        "mainspring.registry.tracking.Tracking.set_alias",
        "after",
        "champion",
    ),
    ("promotes: desired state written beside, not renamed", "pathlib.Path.replace", "before", "desired.json"),
    ("promotes: desired state changed, history not", "mainspring.registry.desired.set_champion", "after", ""),
    ("has promoted, has not noted its end", "mainspring.registry.history.append", "after", "'delay', 'promote'"),
)


def renewal(at: str, when: str, containing: str, bench: Bench) -> str:
    """The world turns; `mainspring renew` kills itself at the step. What is left two seconds later is told."""
    bench.world.turn()
    before, there = bench.champion, versions.names(bench.state, "delay")
    bench.aim("renew", at, when, containing)
    if (said := bench.renew()) != "killed":
        raise AssertionError(f"the renewal did not come to the step: {said}")
    bench.wait_for_the_hit()
    time.sleep(2.0)  # the follower of MLflow looks twice a second
    made = set(versions.names(bench.state, "delay")) - set(there)
    became = f"champion {before} stays" if bench.champion == before else f"{bench.champion} is champion"
    return f"{became}; a new version is there, whole" if made else f"{became}; no version was made"


def idle_worker(bench: Bench) -> str:
    """One of the two workers is killed while it answers."""
    bench.kill_a_worker()
    return "another one was started"


def both_workers(bench: Bench) -> str:
    """Both workers are killed at once: connections wait in the supervisor's socket until a worker is there again."""
    began, pids = time.monotonic(), bench.service.workers()
    for pid in pids:
        bench.kill(pid)
    until(lambda: not set(pids) & set(bench.service.workers()) and bench.service.answers(None), "the workers")
    return f"both were started again, whole after {time.monotonic() - began:.1f} s; who connected meanwhile waited"


def worker_in_a_frame(bench: Bench) -> str:
    """A worker dies in the middle of writing a frame of the prediction log."""
    bench.aim("mainspring.serving", "os.write", "within", "MSL1")
    bench.kill_a_worker()  # the one that takes its place has the plan
    bench.wait_for_the_hit()
    return "the torn frame was skipped, a worker was started"


def worker_while_loading(bench: Bench) -> str:
    """A worker dies when it has loaded a version that was just promoted, before it answers with it."""
    upcoming = versions.next_name(bench.state, "delay")
    bench.aim("mainspring.serving", "mainspring.serving.loading.load", "after", f"'{upcoming}'")
    bench.kill_a_worker()
    bench.world.turn()
    said = bench.renew()
    bench.wait_for_the_hit()
    until(lambda: bench.service.answers(upcoming), "both workers with the new version")
    return f"the renewal: {said.split(':')[0]}; the worker that was started loaded it"


def controller(bench: Bench) -> str:
    """The controller is killed."""
    before = bench.service.controller
    bench.kill(before)
    until(lambda: bench.service.children("mainspring.lifecycle") not in ([], [before]), "the next controller")
    return "another one was started"


def controller_in_rotation(bench: Bench) -> str:
    """The controller dies when a segment's Parquet files are written and the segment is not deleted yet."""
    bench.kill_a_worker()  # its segment is closed now
    bench.aim("mainspring.lifecycle", "mainspring.monitoring.rotation._touch", "before")
    bench.restart_the_controller()
    bench.wait_for_the_hit()
    until(lambda: bench.service.children("mainspring.lifecycle"), "the next controller")
    return "readers took the segment, the next controller stored it again"


def controller_while_renewing(bench: Bench) -> str:
    """The controller is killed while the renewal that it has begun by the schedule is under way."""
    bench.world.turn()
    already = len(_renewals(bench))
    with bench.spec(renew='every = "1s"\ncooldown = "40s"\nper_day = 1000'):
        until(lambda: len(_renewals(bench)) > already, "a renewal by the schedule")
        bench.kill(bench.service.controller)
        end = until(lambda: [e for e in _renewals(bench)[already:] if e.data["phase"] == "end"], "its end")[0]
        begun = sum(event.data["phase"] == "begin" for event in _renewals(bench)[already:])
    return f"the renewal went on by itself ({end.detail.split(':')[0]}); {begun} was begun"


def _renewals(bench: Bench) -> list[history.Event]:
    return [event for event in history.read(bench.state, "delay") if event.kind == "renew"]


def two_controllers(bench: Bench) -> str:
    """A second controller of the project is started; then the first is killed, and later the second ended."""
    command = [sys.executable, "-m", "mainspring.lifecycle", str(bench.folder), "--control"]
    second = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=bench.environment)
    try:
        time.sleep(8.0)
        first = bench.service.controller
        if _holder(bench) != first:
            raise AssertionError("the second controller did not wait")
        bench.kill(first)
        until(lambda: _holder(bench) == second.pid, "the second controller to take over")
        until(lambda: bench.service.children("mainspring.lifecycle"), "the next controller")
    finally:
        second.terminate()
        second.wait(30)
    until(lambda: _holder(bench) == bench.service.controller, "the first one's successor to take over")
    return "the second waited, took over from the dead one, and handed back at its end"


def _holder(bench: Bench) -> int:
    return int((bench.state / ".controller.lock").read_text() or 0)


def supervisor(bench: Bench) -> str:
    """`mainspring up` itself is killed, and started again when its workers have ended: nothing else could do it."""
    workers = bench.service.workers()
    bench.kill(bench.service.process.pid)
    bench.service.process.wait()
    began = time.monotonic()
    until(lambda: not any(_lives(pid) for pid in workers), "the end of the workers")
    ended = time.monotonic() - began
    bench.service.start()
    until(lambda: bench.service.answers(None), "the service")
    again = time.monotonic() - began - ended
    _wait_for_the_fit(bench)
    return f"its parts ended by themselves within {ended:.1f} s; `up` again answered after {again:.1f} s"


def supervisor_while_renewing(bench: Bench) -> str:
    """The controller's renewal is at its search when the whole service is stopped with SIGTERM, and started again."""
    bench.world.turn()
    already = len(_renewals(bench))
    bench.world.write_spec(renew='every = "1s"\ncooldown = "40s"\nper_day = 1000')
    bench.restart_the_controller()
    until(lambda: len(_renewals(bench)) > already, "a renewal by the schedule")
    bench.world.write_spec()
    bench.kills.append(time.perf_counter())
    bench.service.process.send_signal(signal.SIGTERM)
    code = bench.service.process.wait(60)
    bench.service.start()
    until(lambda: bench.service.answers(None), "the service")
    _wait_for_the_fit(bench)
    return f"stopped with exit code {code}, the renewal with it; started again, `up` fitted what was stale"


def _wait_for_the_fit(bench: Bench) -> None:
    """`up` begins with a fit of what is stale; a renewal that comes meanwhile is told to wait."""
    until(lambda: bench.service.children("mainspring.lifecycle"), "the controller")
    until(lambda: not bench.service.children("mainspring.cli fit"), "the end of the fit")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


KILLED_RENEWALS: dict[str, Callable[[Bench], str]] = {
    f"SIGKILL of a renewal that {name}": partial(renewal, at, when, containing)
    for name, at, when, containing in RENEWAL_STEPS
}
