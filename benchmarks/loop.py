"""What do a promotion, a killed worker and the prediction log cost the requests that are under way?

    python benchmarks/loop.py [--rounds 5] [--seconds 20] [--quick] [--out FILE]

Two versions of the flights' model are served by `mainspring serve` with two workers while wrk keeps 32 connections
busy with one-row requests (it sends the next one when it has the answer to the last, and takes its share of the same
cores):

    steady   nothing else happens
    swap     a promotion follows the other, 20 in all, each as soon as every worker serves the one before
    kill     one worker is killed with SIGKILL in the middle
    log off  steady, with `[log] enabled = false`: what the prediction log costs

Steady, swap and log off take turns within each round; ratios are medians over the rounds of ratios within a round. A
promotion is over when the last worker has said in its log that the version is live. wrk is Debian's package.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mainspring import spec
from mainspring.lifecycle import fit, promote
from mainspring.registry import versions

HERE = Path(__file__).resolve().parent
FLIGHTS = HERE.parent / "examples/airdesk/data/flights.parquet"
WORK = HERE.parent / ".benchmarks/loop"
WORKERS, CONNECTIONS, PROMOTIONS = 2, 32, 20
SETTLE_SECONDS = 6.0  # until what is started beside the workers (the follower of MLflow) is up
PATIENCE = 30.0

TOML = """
[project]
name = "airdesk"

[log]
enabled = {log}

[models.delay]
task = "classification"
data = "{data}"
target = "late"
time = "departs_at"
candidates = ["boosting"]
budget = 1
seed = {seed}
"""


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def project(*, log: bool = True, seed: int = 1) -> spec.Project:
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "mainspring.toml").write_text(TOML.format(log=str(log).lower(), data=FLIGHTS, seed=seed))
    return spec.load(WORK)


def fit_two_versions() -> None:
    for seed in (1, 2):
        if str(seed) not in versions.names(project().state, "delay"):
            say(f"fitting version {seed}")
            [result] = fit.fit(project(seed=seed))
            if result.outcome == "failed":
                sys.exit(result.message)


@dataclass
class Load:
    """What wrk saw. Times are in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    bad_status: int
    broken: int
    timeouts: int

    @property
    def failed(self) -> int:
        return self.bad_status + self.broken + self.timeouts


class Wrk:
    """A load that runs beside what else happens."""

    def __init__(self, port: int, bodies: Path, seconds: float) -> None:
        url = f"http://127.0.0.1:{port}/models/delay/predict"
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}s", "--timeout", "10s"]
        script = str(HERE / "serving/requests.lua")
        self.process = subprocess.Popen(
            ["wrk", *options, "-s", script, url, "--", str(bodies)], stdout=subprocess.PIPE, text=True
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> Load:
        output, _ = self.process.communicate()
        line = next(line for line in output.splitlines() if line.startswith("RESULT"))
        found = json.loads(line.removeprefix("RESULT"))
        return Load(
            requests=found["requests"],
            per_second=found["requests"] / found["microseconds"] * 1e6,
            p50=found["p50"] / 1000,
            p99=found["p99"] / 1000,
            bad_status=found["bad_status"],
            broken=found["broken"],
            timeouts=found["timeouts"],
        )


@dataclass
class Gateway:
    """`mainspring serve` with its workers; `said` has each line of its log with the time at which it came."""

    port: int = 0
    said: queue.Queue[tuple[float, str]] = field(default_factory=queue.Queue)

    def __enter__(self) -> Gateway:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [Path(sys.executable).with_name("mainspring"), "serve", "--port", str(self.port)]
        command += ["--workers", str(WORKERS), "--project", str(WORK)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        for _ in range(WORKERS):
            self.wait_for("mainspring: serving")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(40)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.put((time.perf_counter(), line))

    def wait_for(self, what: str) -> float:
        """The time at which a line with `what` in it came."""
        deadline = time.perf_counter() + PATIENCE
        while True:
            try:
                when, line = self.said.get(timeout=max(0.01, deadline - time.perf_counter()))
            except queue.Empty:
                sys.exit(f"the gateway did not say {what!r} within {PATIENCE:g} s")
            if what in line:
                return when

    def workers(self) -> list[int]:
        """The process numbers of the workers."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", "mainspring.serving"], capture_output=True)
        return [int(pid) for pid in found.stdout.split()]

    def memory(self) -> int:
        """Resident bytes of the largest worker."""
        return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()) * os.sysconf(
            "SC_PAGE_SIZE"
        )


def write_bodies() -> Path:
    golden = versions.load(project().state, "delay", "1").golden()
    path = WORK / "bodies.jsonl"
    path.write_bytes(b"\n".join(json.dumps(record).encode() for record in golden.records))
    return path


def steady(bodies: Path, seconds: float) -> tuple[Load, int]:
    with Gateway() as gateway:
        time.sleep(SETTLE_SECONDS)
        Wrk(gateway.port, bodies, 2).end()
        return Wrk(gateway.port, bodies, seconds).end(), gateway.memory()


def swap(bodies: Path, seconds: float) -> tuple[Load, list[float], int]:
    """Twenty promotions under load: the load, the seconds that each took to reach the last worker, and the memory."""
    live = project()
    with Gateway() as gateway:
        time.sleep(SETTLE_SECONDS)
        Wrk(gateway.port, bodies, 2).end()
        load = Wrk(gateway.port, bodies, seconds)
        time.sleep(0.5)
        took = []
        for number in range(PROMOTIONS):
            version = str(2 - number % 2)
            began = time.perf_counter()
            promote.promote(live, "delay", version, reason="benchmark")
            took.append(max(gateway.wait_for(f"delay version {version} is live") for _ in range(WORKERS)) - began)
        if not load.running:
            say("the load ended before the last promotion: give it more --seconds")
        return load.end(), took, gateway.memory()


def kill(bodies: Path, seconds: float) -> tuple[Load, float]:
    """A worker is killed under load: the load, and the seconds until the service was whole again."""
    with Gateway() as gateway:
        time.sleep(SETTLE_SECONDS)
        load = Wrk(gateway.port, bodies, seconds)
        time.sleep(seconds / 2)
        os.kill(gateway.workers()[0], signal.SIGKILL)
        began = time.perf_counter()
        whole = gateway.wait_for("mainspring: serving") - began
        found = load.end()
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.port}/readyz", timeout=5) as answer:
            assert answer.status == 200
        return found, whole


def spread(values: list[float], form: str = ".2f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    fit_two_versions()
    promote.promote(project(), "delay", "1", reason="benchmark")
    bodies = write_bodies()
    found: dict[str, list[Any]] = {"steady": [], "swap": [], "kill": [], "log off": []}
    took: list[float] = []
    whole: list[float] = []
    memory: dict[str, list[int]] = {"steady": [], "swap": []}
    for number in range(rounds):
        for what in ("steady", "swap", "log off", "kill"):
            say(f"round {number + 1}: {what}")
            project(log=what != "log off")
            if what == "swap":
                load, times, resident = swap(bodies, seconds)
                took += times
                memory["swap"].append(resident)
            elif what == "kill":
                load, back = kill(bodies, seconds)
                whole.append(back)
            else:
                load, resident = steady(bodies, seconds)
                if what == "steady":
                    memory["steady"].append(resident)
            found[what].append(load)
            shutil.rmtree(WORK / ".mainspring/log", ignore_errors=True)

    def ratio(a: str, b: str, of: str) -> list[float]:
        return [getattr(one, of) / getattr(two, of) for one, two in zip(found[a], found[b], strict=True)]

    swaps: list[Load] = found["swap"]
    grown = [after / before for after, before in zip(memory["swap"], memory["steady"], strict=True)]
    print("| what | figure |\n| --- | --- |")
    print(f"| promotions under load | {len(took)} |")
    print(
        f"| requests meanwhile, failed | {sum(one.requests for one in swaps):,}, {sum(one.failed for one in swaps)} |"
    )
    print(f"| a promotion reaches the last of {WORKERS} workers after, s | {spread(took)} |")
    print(f"| p99 with swaps / steady | {spread(ratio('swap', 'steady', 'p99'))} |")
    print(f"| requests/s with swaps / steady | {spread(ratio('swap', 'steady', 'per_second'))} |")
    print(f"| memory of a worker after swaps / steady | {spread(grown)} |")
    kills: list[Load] = found["kill"]
    print(f"| worker killed: requests, failed (in flight: at most {CONNECTIONS}) | ", end="")
    print(f"{sum(one.requests for one in kills):,}, {', '.join(str(one.failed) for one in kills)} |")
    print(f"| whole again after, s | {spread(whole)} |")
    print(f"| requests/s, log on / off | {spread(ratio('steady', 'log off', 'per_second'))} |")
    print(f"| requests/s, log on | {spread([one.per_second for one in found['steady']], ',.0f')} |")
    loads = {name: [asdict(load) for load in some] for name, some in found.items()}
    return {"loads": loads, "promotion_seconds": took, "whole_seconds": whole, "memory_bytes": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load for each case and round")
    parser.add_argument("--quick", action="store_true", help="one round: to see that it runs")
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    found = measure(1 if arguments.quick else arguments.rounds, arguments.seconds)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
