"""How fast does the gateway answer, beside BentoML, LitServe, MLflow, Ray Serve, and the least that could be done?

    python benchmarks/serving.py [--seconds 10] [--rounds 5] [--servers NAME...] [--quick] [--out FILE]

One model of the flights, everywhere of the same size. Mainspring and the limit (`serving/bare.py`: Starlette, ONNX
Runtime, nothing between) serve the same exported graph. The peers serve a scikit-learn pipeline with an XGBClassifier
of Mainspring's parameters, fitted on the same rows and columns, as their tutorials do it: a DataFrame in,
`predict_proba` out; those that can are measured with and without their dynamic batching.

Every server has one worker process, answers in JSON over HTTP/1.1 with connections kept alive, and runs alone: in each
round each is started, asked, and stopped in turn, so that what else the machine does falls on all alike. The requests
come from wrk, which sends the next one when it has the answer to the last, and takes its share of the same cores. The
ratios are medians over the rounds of ratios within a round.

wrk is Debian's package of that name. The peers are installed into environments of their own under
`.benchmarks/serving/`, from `serving/requirements-*.txt`. Fitting takes minutes the first time and is kept after that:
delete `.benchmarks/serving/airdesk` to fit again.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from mainspring import spec
from mainspring.lifecycle import fit
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version

HERE = Path(__file__).resolve().parent
PEER_FILES = HERE / "serving"
EXAMPLE = HERE.parent / "examples/airdesk"
WORK = HERE.parent / ".benchmarks/serving"
PROJECT = WORK / "airdesk"
FLIGHTS = EXAMPLE / "data/flights.parquet"
PIPELINE = WORK / "pipeline.joblib"

MAINSPRING, LIMIT = "Mainspring", "Starlette + ONNX Runtime"
START_SECONDS = 120.0
STOP_SECONDS = 15.0
SETTLE_SECONDS = (
    6.0  # what a server still starts beside its worker (Mainspring: the follower of MLflow) is done by then
)
STARTS = 5
ROWS = 512  # different rows that one-row requests cycle through
BATCHES, BATCH_ROWS = 64, 100
CHECKED_ROWS = 100
LEAST_RANK_CORRELATION = 0.9

Row = dict[str, Any]


class BenchmarkError(Exception):
    """The comparison would not be a fair one."""


# The servers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """How a server is started and spoken to.

    `command` makes the command line for a port, `encode` a body for rows, `probabilities` finds those of `late` in an
    answer. `worker` is part of the command line of the process that computes.
    """

    name: str
    command: Callable[[int], list[str]]
    path: str = "/predict"
    encode: Callable[[list[Row]], Any] = list
    probabilities: Callable[[Any], list[float]] = lambda answer: [row[1] for row in answer]
    environment: dict[str, str] = field(default_factory=dict)
    worker: str = ""

    @property
    def peer(self) -> bool:
        """Neither Mainspring nor the limit."""
        return self.name not in (MAINSPRING, LIMIT)

    def body(self, rows: list[Row]) -> bytes:
        """What is posted."""
        return json.dumps(self.encode(rows), separators=(",", ":")).encode()


def one_or_many(rows: list[Row]) -> Any:
    return rows[0] if len(rows) == 1 else rows


def dataframe_split(rows: list[Row]) -> Any:
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}


def named_probabilities(answer: Any) -> list[float]:
    return [row["probabilities"]["true"] for row in answer["predictions"]]


def python_of(peer: str) -> str:
    return str(WORK / peer / "venv/bin/python")


def script(name: str) -> str:
    return str(PEER_FILES / name)


def servers(model: Path) -> list[Server]:
    """All of them; `model` is the graph that Mainspring exported."""

    def mainspring(port: int) -> list[str]:
        serve = [str(Path(sys.executable).parent / "mainspring"), "serve", "--project", str(PROJECT)]
        return [*serve, "--host", "127.0.0.1", "--port", str(port)]

    def bare(port: int) -> list[str]:
        return [sys.executable, script("bare.py"), str(model), str(port)]

    def bentoml(service: str, port: int) -> list[str]:
        serve = [python_of("bentoml"), "-m", "bentoml", "serve", f"bentoml_service:{service}"]
        return [*serve, "--working-dir", str(PEER_FILES), "--host", "127.0.0.1", "--port", str(port)]

    def litserve(*options: str) -> Callable[[int], list[str]]:
        return lambda port: [python_of("litserve"), script("litserve_server.py"), str(PIPELINE), str(port), *options]

    def mlflow(port: int) -> list[str]:
        serve = [python_of("mlflow"), "-m", "mlflow", "models", "serve", "--model-uri", str(WORK / "mlflow/model")]
        return [*serve, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]

    def ray(*options: str) -> Callable[[int], list[str]]:
        return lambda port: [python_of("ray"), script("ray_server.py"), str(PIPELINE), str(port), *options]

    return [
        Server(
            MAINSPRING,
            mainspring,
            "/models/delay/predict",
            one_or_many,
            named_probabilities,
            worker="mainspring.serving",
        ),
        Server(LIMIT, bare, encode=one_or_many, probabilities=named_probabilities),
        Server("BentoML", functools.partial(bentoml, "Flights"), environment=BENTOML),
        Server("BentoML, batching", functools.partial(bentoml, "BatchingFlights"), environment=BENTOML),
        Server("LitServe", litserve()),
        Server("LitServe, batching", litserve("--batching")),
        Server(
            "MLflow",
            mlflow,
            "/invocations",
            dataframe_split,
            lambda answer: [row[1] for row in answer["predictions"]],
            environment=MLFLOW,
        ),
        Server("Ray Serve", ray(), environment=RAY),
        Server("Ray Serve, batching", ray("--batching"), environment=RAY),
    ]


BENTOML = {"BENTOML_HOME": str(WORK / "bentoml/home"), "BENTOML_DO_NOT_TRACK": "True"}
MLFLOW = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "UVICORN_ACCESS_LOG": "false"}
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
PEERS = {"BentoML": "bentoml", "LitServe": "litserve", "MLflow": "mlflow", "Ray Serve": "ray"}


# Preparing: one fit of Mainspring's, one of the peers' pipeline ----------------------------------------------------


def run(command: list[str], **environment: str) -> None:
    """Run to the end; BenchmarkError with the end of the output if it fails."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")


def fitted_version() -> Version:
    """Mainspring's model: the example's, with boosting as the only candidate."""
    text = (EXAMPLE / spec.FILE_NAME).read_text().replace("[models.delay]", '[models.delay]\ncandidates = ["boosting"]')
    PROJECT.mkdir(parents=True, exist_ok=True)
    (PROJECT / spec.FILE_NAME).write_text(text)
    if not (PROJECT / "data").exists():
        (PROJECT / "data").symlink_to(FLIGHTS.parent)
    project = spec.load(PROJECT)
    if desired.read(project.state).champion("delay") is None:
        say("fitting Mainspring's model (minutes)")
        for result in fit.fit(project):
            if result.outcome != "promoted":
                raise BenchmarkError(f"the fit of {result.model} was {result.outcome}: {result.message}")
    return versions.load(project.state, "delay", desired.read(project.state).champion("delay"))


def xgboost_parameters(version_: Version) -> dict[str, Any]:
    """The XGBClassifier's parameters of the fitted version."""
    found = {key.removeprefix("boosting."): value for key, value in version_.manifest.parameters.items()}
    return {
        "n_estimators": found["rounds"],
        "max_depth": found["depth"],
        "learning_rate": found["rate"],
        "min_child_weight": found["child"],
        "subsample": found["rows"],
        "colsample_bytree": found["columns"],
        "reg_lambda": found["shrink"],
        "tree_method": "hist",
        "random_state": 0,
    }


def once(stamp: Path, made_from: str, what: str, make: Callable[[], None]) -> None:
    """Make something unless the stamp says that it was made from the same."""
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    say(what)
    make()
    stamp.write_text(made_from)


def install(peer: str) -> None:
    """The peer's environment."""
    run([sys.executable, "-m", "venv", "--clear", str(WORK / peer / "venv")])
    run([python_of(peer), "-m", "pip", "install", "--quiet", "--requirement", str(requirements(peer))])


def save_for_bentoml() -> None:
    shutil.rmtree(BENTOML["BENTOML_HOME"], ignore_errors=True)
    run([python_of("bentoml"), script("bentoml_save.py"), str(PIPELINE)], **BENTOML)


def save_for_mlflow() -> None:
    shutil.rmtree(WORK / "mlflow/model", ignore_errors=True)
    model = str(WORK / "mlflow/model")
    run([python_of("mlflow"), script("mlflow_save.py"), str(PIPELINE), str(FLIGHTS), model], **MLFLOW)


SAVE = {"bentoml": save_for_bentoml, "mlflow": save_for_mlflow}  # the others load the file as it is


def prepare_peers(peers: list[str], version_: Version) -> None:
    """Install the peers, fit the pipeline once, and save it for each."""
    for peer in peers:
        made_from = digest(requirements(peer), requirements("pipeline"))
        once(WORK / peer / "installed", made_from, f"installing {peer}", functools.partial(install, peer))
    parameters = WORK / "parameters.json"
    parameters.write_text(json.dumps(xgboost_parameters(version_), indent=2))
    rows = str(version_.manifest.lineage.fit_rows)
    fitting = [python_of(peers[0]), script("fit_pipeline.py"), str(FLIGHTS), rows, str(parameters), str(PIPELINE)]
    files = [parameters, PEER_FILES / "pipeline.py", PEER_FILES / "fit_pipeline.py", requirements("pipeline")]
    once(WORK / "fitted", digest(*files), "fitting the peers' pipeline", lambda: run(fitting))
    for peer in SAVE.keys() & peers:
        made_from = digest(PIPELINE, PEER_FILES / f"{peer}_save.py")
        once(WORK / peer / "saved", made_from, f"saving the pipeline for {peer}", SAVE[peer])


def requirements(name: str) -> Path:
    return PEER_FILES / f"requirements-{name}.txt"


def digest(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def held_out_rows(version_: Version) -> list[Row]:
    """Rows that no model was fitted on, as JSON records, drawn over the whole time that was held out."""
    table = pq.read_table(FLIGHTS).sort_by("departs_at").slice(version_.manifest.lineage.fit_rows)
    chosen = np.random.default_rng(0).choice(len(table), ROWS + BATCHES * BATCH_ROWS, replace=False)
    names = [column.name for column in version_.manifest.schema.features]
    rows = table.select(names).take(chosen).to_pylist()
    return [{**row, "departs_at": row["departs_at"].isoformat()} for row in rows]


# Processes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """`born` tells it from another that later gets the same id."""

    pid: int
    parent: int
    born: str

    @classmethod
    def read(cls, pid: int) -> Process | None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else cls(pid, int(fields[1]), fields[19])

    def memory(self) -> tuple[int, int]:
        """Bytes: resident, and the proportional share of it (a page that two share counts half for each)."""
        try:
            lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0, 0
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
        return kilobytes["Rss"] * 1024, kilobytes["Pss"] * 1024

    def command_line(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""


def family(pid: int) -> list[Process]:
    """A process and all that descend from it."""
    there = [Process.read(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found, ids = [process for process in there if process and process.pid == pid], {pid}
    while more := [process for process in there if process and process.parent in ids and process.pid not in ids]:
        found += more
        ids |= {process.pid for process in more}
    return found


class Running:
    """A started server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = WORK / "logs" / f"{server.name.replace(' ', '-').replace(',', '').lower()}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = server.command(self.port)
        path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # as in an activated environment
        environment = {**os.environ, **server.environment, "PATH": path, "PYTHONPATH": str(PEER_FILES)}
        self.began = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=WORK,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_until(self, method: str, path: str, body: bytes | None = None) -> float:
        """Seconds from the start of the process to the first 200."""
        while (waited := time.perf_counter() - self.began) < START_SECONDS:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask(method, path, body)[0] == 200:
                    return time.perf_counter() - self.began
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise BenchmarkError(f"{self.server.name} did not answer in {waited:.0f} s; its log is {self.log}")

    def probabilities(self, rows: list[Row]) -> list[float]:
        status, answer = self.ask("POST", self.server.path, self.server.body(rows))
        if status != 200:
            raise BenchmarkError(f"{self.server.name} answered {status}: {answer[:500]!r}")
        return self.server.probabilities(json.loads(answer))

    def stop(self) -> None:
        """Ask it to stop, and end what is left of it."""
        started = family(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for process in started:
            if (now := Process.read(process.pid)) and now.born == process.born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running(server: Server) -> Iterator[Running]:
    started = Running(server)
    try:
        yield started
    finally:
        started.stop()


# Measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    name: str
    rows: int
    connections: int


WORKLOADS = (
    Workload("1 row, 1 connection", 1, 1),
    Workload("1 row, 32 connections", 1, 32),
    Workload("100 rows, 1 connection", BATCH_ROWS, 1),
    Workload("100 rows, 8 connections", BATCH_ROWS, 8),
)


@dataclass(frozen=True)
class Load:
    """What wrk saw of one server under one workload in one round. Times are in milliseconds."""

    requests_per_second: float
    p50: float
    p99: float
    requests: int
    bad_status: int
    broken: int
    timeouts: int


@dataclass(frozen=True)
class Turn:
    """One server's turn in a round. Memory is in bytes, after the load, of all its processes and of the worker's."""

    ready_seconds: float
    loads: dict[str, Load]
    rss: int
    pss: int
    worker_rss: int
    processes: int


def write_bodies(server: Server, rows: list[Row]) -> dict[int, Path]:
    """The files that wrk posts, by the number of rows in a request."""
    batches = [rows[start : start + BATCH_ROWS] for start in range(ROWS, len(rows), BATCH_ROWS)]
    files = {}
    for size, requests in ((1, [[row] for row in rows[:ROWS]]), (BATCH_ROWS, batches)):
        files[size] = WORK / "bodies" / f"{server.name.split(',')[0].replace(' ', '-').lower()}-{size}.jsonl"
        files[size].parent.mkdir(exist_ok=True)
        files[size].write_bytes(b"\n".join(server.body(request) for request in requests))
    return files


def load(started: Running, workload: Workload, bodies: Path, seconds: float) -> Load:
    """wrk's single thread drives all connections; it takes whole seconds."""
    url = f"http://127.0.0.1:{started.port}{started.server.path}"
    options = ["-t1", f"-c{workload.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command = ["wrk", *options, "-s", script("requests.lua"), url, "--", str(bodies)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT")).removeprefix("RESULT"))
    return Load(
        requests_per_second=found["requests"] / found["microseconds"] * 1e6,
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        requests=found["requests"],
        bad_status=found["bad_status"],
        broken=found["broken"],
        timeouts=found["timeouts"],
    )


def take_turn(server: Server, rows: list[Row], seconds: float) -> Turn:
    bodies = write_bodies(server, rows)
    with running(server) as started:
        ready = started.wait_until("POST", server.path, server.body(rows[:1]))
        time.sleep(SETTLE_SECONDS)
        loads = {}
        for workload in WORKLOADS:
            load(started, workload, bodies[workload.rows], seconds / 5)  # to warm up
            loads[workload.name] = load(started, workload, bodies[workload.rows], seconds)
        processes = family(started.process.pid)
        memory = [process.memory() for process in processes]
        workers = [m for m, process in zip(memory, processes, strict=True) if server.worker in process.command_line()]
        return Turn(
            ready_seconds=ready,
            loads=loads,
            rss=sum(resident for resident, _ in memory),
            pss=sum(share for _, share in memory),
            worker_rss=max((resident for resident, _ in workers), default=0),
            processes=len(processes),
        )


def check_answers(some: list[Server], rows: list[Row]) -> dict[str, float]:
    """Every server says the same of the same rows, one by one and as a batch; the rank correlations with Mainspring's.

    The peers agree to the last bits, and so does Mainspring with the limit. Between the two sides are other encodings
    of categories and a calibration, so there the order of the rows is compared.
    """
    rows = rows[:CHECKED_ROWS]
    found = {}
    for server in some:
        with running(server) as started:
            started.wait_until("POST", server.path, server.body(rows[:1]))
            single = np.array([started.probabilities([row])[0] for row in rows])
            found[server.name] = np.array(started.probabilities(rows))
        if (worst := np.abs(single - found[server.name]).max()) > 1e-6:
            raise BenchmarkError(f"{server.name} answers a batch otherwise than its rows, by {worst:.2g}")
    references = {server.peer: found[server.name] for server in reversed(some)}
    for server in some:
        if (worst := np.abs(found[server.name] - references[server.peer]).max()) > 1e-6:
            raise BenchmarkError(f"{server.name} answers otherwise than the others of its kind, by {worst:.2g}")
    reference = found[some[0].name]
    correlations = {name: float(spearmanr(reference, values).statistic) for name, values in found.items()}
    if (worst := min(correlations.values())) < LEAST_RANK_CORRELATION:
        raise BenchmarkError(f"the two models rank flights too differently: {worst:.3f}")
    return correlations


def milliseconds(command: list[str], times: int) -> float:
    """The median wall time of a command, after one that does not count."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[1:])


def measure_start(server: Server, rows: list[Row], times: int) -> dict[str, float]:
    """How long Mainspring takes to be there, in seconds and milliseconds."""
    ready, first = [], []
    for _ in range(times):
        with running(server) as started:
            ready.append(started.wait_until("GET", "/readyz"))
            first.append(started.wait_until("POST", server.path, server.body(rows[:1])))
    return {
        "readyz_seconds": statistics.median(ready),
        "first_prediction_seconds": statistics.median(first),
        "python_milliseconds": milliseconds([sys.executable, "-c", "pass"], 4 * times),
        "import_milliseconds": milliseconds([sys.executable, "-c", "import mainspring"], 4 * times),
        "help_milliseconds": milliseconds([str(Path(sys.executable).parent / "mainspring"), "--help"], 4 * times),
    }


# Reporting ---------------------------------------------------------------------------------------------------------


def median_load(turns: list[Turn], workload: Workload, name: str) -> float:
    return statistics.median(getattr(turn.loads[workload.name], name) for turn in turns)


def ratios(ours: list[Turn], theirs: list[Turn], workload: Workload) -> list[float]:
    """Requests a second, ours to theirs, within each round."""
    pairs = zip(ours, theirs, strict=True)
    rate = [tuple(turn.loads[workload.name].requests_per_second for turn in pair) for pair in pairs]
    return [mine / other for mine, other in rate]


def best_peer(results: dict[str, list[Turn]], workload: Workload) -> str | None:
    peers = [name for name in results if name not in (MAINSPRING, LIMIT)]
    return max(peers, key=lambda name: median_load(results[name], workload, "requests_per_second"), default=None)


def spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def comparisons(results: dict[str, list[Turn]]) -> list[dict[str, Any]]:
    """For each workload: the best peer, and what Mainspring does to it and to the limit."""
    found = []
    for workload in WORKLOADS:
        entry: dict[str, Any] = {"workload": workload.name, "best_peer": best_peer(results, workload)}
        for key, other in (("to_best_peer", entry["best_peer"]), ("to_limit", LIMIT)):
            there = MAINSPRING in results and other in results
            entry[key] = ratios(results[MAINSPRING], results[other], workload) if there else None
        found.append(entry)
    return found


def markdown(results: dict[str, list[Turn]], start: dict[str, float] | None) -> str:
    lines = []
    for workload in WORKLOADS:
        lines += [
            f"\n**{workload.name}**\n",
            "| server | requests/s: median (least to most) | p50, ms | p99, ms | errors |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        ordered = sorted(results, key=lambda name: -median_load(results[name], workload, "requests_per_second"))
        for name in ordered:
            turns = results[name]
            rates = [turn.loads[workload.name].requests_per_second for turn in turns]
            p50, p99 = (median_load(turns, workload, percentile) for percentile in ("p50", "p99"))
            lines.append(f"| {name} | {spread(rates, 0)} | {p50:.2f} | {p99:.2f} | {errors(turns, workload)} |")
    lines += ["\n| workload | best peer | Mainspring / best peer | Mainspring / limit |", "| --- | --- | ---: | ---: |"]
    for entry in comparisons(results):
        cells = [spread(entry[key]) if entry[key] else "" for key in ("to_best_peer", "to_limit")]
        lines.append(f"| {entry['workload']} | {entry['best_peer'] or ''} | {cells[0]} | {cells[1]} |")
    lines += [
        "\n| server | start to first answer, s | RSS, MB | PSS, MB | worker's RSS, MB | processes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, turns in results.items():
        ready = statistics.median(turn.ready_seconds for turn in turns)
        rss, pss, worker = (
            statistics.median(getattr(turn, key) for turn in turns) / 1e6 for key in ("rss", "pss", "worker_rss")
        )
        lines.append(f"| {name} | {ready:.2f} | {rss:.0f} | {pss:.0f} | {worker:.0f} | {turns[-1].processes} |")
    if start:
        lines += ["\n| Mainspring alone | median |", "| --- | ---: |"]
        lines += [f"| {label} | {start[key]:.{digits}f} {unit} |" for label, key, digits, unit in START_ROWS]
    return "\n".join(lines)


START_ROWS = (
    ("start of `mainspring serve` to `/readyz` 200", "readyz_seconds", 2, "s"),
    ("to the first prediction", "first_prediction_seconds", 2, "s"),
    ("`import mainspring`, Python's own start included", "import_milliseconds", 0, "ms"),
    ("`mainspring --help`", "help_milliseconds", 0, "ms"),
    ("Python's own start", "python_milliseconds", 0, "ms"),
)


def errors(turns: list[Turn], workload: Workload) -> int:
    loads = [turn.loads[workload.name] for turn in turns]
    return sum(load.bad_status + load.broken + load.timeouts for load in loads)


def hardware() -> dict[str, Any]:
    """The machine, its kernel and its Python."""
    information = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in information if line.startswith("model name")), "")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def machine() -> dict[str, Any]:
    return hardware() | {
        "wrk": subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split("Copyright")[0].strip(),
        "libraries": {name: version(name) for name in ("onnxruntime", "uvicorn", "starlette", "msgspec", "numpy")},
        "peers": sorted({pin for path in PEER_FILES.glob("requirements-*.txt") for pin in pins(path)}),
    }


def pins(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if "==" in line]


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def measure(arguments: argparse.Namespace) -> None:
    version_ = fitted_version()
    everything = servers(version_.file("model.onnx"))
    names = [server.name for server in everything]
    if unknown := set(arguments.servers or ()) - set(names):
        raise BenchmarkError(f"no server {', '.join(sorted(unknown))}; there are: {'; '.join(names)}")
    chosen = [server for server in everything if server.name in (arguments.servers or names)]
    if peers := sorted({PEERS[server.name.split(",")[0]] for server in chosen if server.peer}):
        prepare_peers(peers, version_)
    rows = held_out_rows(version_)
    say("checking that all say the same")
    correlations = check_answers(chosen, rows)
    results: dict[str, list[Turn]] = {server.name: [] for server in chosen}
    for number in range(arguments.rounds):
        shift = number % len(chosen)  # nobody is always first
        for server in chosen[shift:] + chosen[:shift]:
            say(f"round {number + 1}: {server.name}")
            results[server.name].append(take_turn(server, rows, arguments.seconds))
    start = None
    if chosen[0].name == MAINSPRING:
        say("Mainspring's start")
        start = measure_start(chosen[0], rows, 1 if arguments.quick else STARTS)
    print(markdown(results, start))
    if arguments.out:
        found = {
            "machine": machine(),
            "seconds": arguments.seconds,
            "rounds": arguments.rounds,
            "parameters": xgboost_parameters(version_),
            "rank_correlation_with_mainspring": correlations,
            "results": {name: [asdict(turn) for turn in turns] for name, turns in results.items()},
            "comparisons": comparisons(results),
            "start": start,
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    if wrong := sum(errors(turns, workload) for turns in results.values() for workload in WORKLOADS):
        raise BenchmarkError(f"{wrong} requests were not answered with 200: these figures do not count")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load for each workload, server and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--quick", action="store_true", help="one second, one round: to see that it runs")
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds = 1.0, 1
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    try:
        measure(arguments)
    except BenchmarkError as error:
        sys.exit(f"benchmarks/serving.py: {error}")


if __name__ == "__main__":
    main()
