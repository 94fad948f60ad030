"""How fast is one served row? Mainspring's gateway, four peers, and the bare limit, on one machine in one run.

    python benchmarks/serving.py [--rounds 3] [--seconds 4] [--out docs/images/serving.json]

The work: the flights of `examples/airdesk`, fitted with gradient boosting. Mainspring serves its exported graph;
BentoML, LitServe, MLflow and Ray Serve serve a scikit-learn pipeline of the same columns and of boosting of the same
size, as their own tutorials do; and the limit is a bare Starlette application that calls ONNX Runtime on Mainspring's
graph and does nothing else. Each has one worker process. In every round each server is started, warmed, loaded by `wrk` (from Debian's
packages) and stopped, one after the other; the load generator takes its share of the same processors from all alike.
Peers are installed into `.benchmarks/serving`, at the versions in `benchmarks/serving/requirements-*.txt`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent / "serving"
WORK = ROOT / ".benchmarks" / "serving"
PROJECT = WORK / "airdesk"
WORKLOADS = {"1 row, 1 connection": (1, 1), "1 row, 32 connections": (1, 32), "100 rows, 8 connections": (100, 8)}
MAIN = "1 row, 32 connections"
BODIES = 200


@dataclass(frozen=True)
class Server:
    """How a server is started, and how it is asked. `wrap` is what a list of records becomes in its JSON."""

    name: str
    path: str
    wrap: str | None = None

    @property
    def python(self) -> Path:
        venv = WORK / self.name / "venv"
        return venv / "bin" / "python" if venv.exists() else Path(sys.executable)

    def command(self, port: int) -> list[str]:
        tools = self.python.parent
        return {
            "mainspring": [str(tools / "mainspring"), "serve", "--project", str(PROJECT), "--port", str(port)],
            "bare limit": [str(self.python), str(HERE / "bare_server.py")],
            "bentoml": [
                str(tools / "bentoml"),
                "serve",
                "bentoml_service:Delay",
                "--host",
                "127.0.0.1",
                "-p",
                str(port),
            ],
            "litserve": [str(self.python), str(HERE / "litserve_server.py")],
            "ray": [str(self.python), str(HERE / "ray_server.py")],
            "mlflow": [
                *(str(tools / "mlflow"), "models", "serve", "-m", str(WORK / "mlflow" / "mlflow")),
                *("--env-manager", "local", "-h", "127.0.0.1", "-p", str(port), "-w", "1"),
            ],
        }[self.name]

    def body(self, records: list[dict[str, Any]]) -> bytes:
        one = records[0] if self.name == "mainspring" and len(records) == 1 else records
        return json.dumps({self.wrap: records} if self.wrap else one).encode()


SERVERS = [
    Server("mainspring", "/models/delay/predict"),
    Server("bare limit", "/predict"),
    Server("bentoml", "/predict", "records"),
    Server("litserve", "/predict", "records"),
    Server("mlflow", "/invocations", "dataframe_records"),
    Server("ray", "/"),
]
PEERS = [server for server in SERVERS if (HERE / f"requirements-{server.name}.txt").exists()]


def prepare() -> dict[str, float]:
    """Fit once, install the peers, fit their pipeline; the parameters of the boosting that all share."""
    PROJECT.mkdir(parents=True, exist_ok=True)
    source = ROOT / "examples" / "airdesk"
    spec = (source / "mainspring.toml").read_text().replace("budget = ", 'candidates = ["boosting"]\nbudget = ')
    (PROJECT / "mainspring.toml").write_text(spec)
    if not (PROJECT / "data").exists():
        shutil.copytree(source / "data", PROJECT / "data")
    run([Path(sys.executable).parent / "mainspring", "fit", "--project", PROJECT], allowed=(0, 3))
    manifest = sorted(PROJECT.glob(".mainspring/models/delay/*/manifest.json"))[-1]
    parameters = json.loads(manifest.read_text())["parameters"]
    (WORK / "parameters.json").write_text(json.dumps(parameters))
    for peer in PEERS:
        venv, wanted = WORK / peer.name / "venv", HERE / f"requirements-{peer.name}.txt"
        if not venv.exists():
            run([sys.executable, "-m", "venv", venv])
        stamp = WORK / peer.name / "installed.txt"
        if not stamp.exists() or stamp.read_text() != wanted.read_text():
            run([peer.python, "-m", "pip", "install", "--quiet", "-r", wanted])
            stamp.write_text(wanted.read_text())
        shutil.rmtree(WORK / peer.name / "mlflow", ignore_errors=True)
        table = PROJECT / "data" / "flights.parquet"
        run([peer.python, HERE / "pipeline.py", table, WORK / "parameters.json", WORK / peer.name])
    return parameters


def run(command: list[Any], allowed: tuple[int, ...] = (0,)) -> None:
    code = subprocess.run([str(part) for part in command], cwd=HERE).returncode
    if code not in allowed:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}")


def records() -> list[dict[str, Any]]:
    """Real flights of the held-out part."""
    import pyarrow.parquet as pq

    table = pq.read_table(PROJECT / "data" / "flights.parquet").drop_columns("late")
    rows = table.slice(table.num_rows - BODIES * 300, BODIES * 300).to_pylist()[:: 300 // 100 * 1]
    return [{**row, "departs_at": row["departs_at"].isoformat()} for row in rows]


@contextmanager
def started(server: Server, body: bytes) -> Iterator[tuple[str, subprocess.Popen[bytes], float, Any]]:
    """The server's address, process, seconds until it first answered, and that answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    version = sorted(PROJECT.glob(".mainspring/models/delay/*/model.onnx"))[-1]
    model = version if server.name == "bare limit" else WORK / server.name / "model.joblib"
    environment = {**os.environ, "MODEL": str(model), "PORT": str(port), "PYTHONPATH": str(HERE)}
    environment |= {"OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "true", "BENTOML_DO_NOT_TRACK": "True"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{server.python.parent}:{environment['PATH']}"
    began = time.perf_counter()
    with (WORK / f"{server.name}.log").open("wb") as log:
        process = subprocess.Popen(
            server.command(port), cwd=HERE, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}{server.path}"
    try:
        answer = None
        while answer is None:
            if process.poll() is not None or time.perf_counter() - began > 120:
                sys.exit(f"{server.name} did not start: see {WORK / f'{server.name}.log'}")
            answer = ask(address, body)
            if answer is None:
                time.sleep(0.02)
        yield address, process, time.perf_counter() - began, answer
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(1)


def ask(address: str, body: bytes) -> Any:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except (OSError, urllib.error.HTTPError):
        return None


def probabilities(answer: Any) -> list[float]:
    """Of the positive class, whatever the shape of the answer."""
    if isinstance(answer, dict) and isinstance(answer.get("predictions", [None])[0], dict):
        return [one["probabilities"]["true"] for one in answer["predictions"]]
    rows = answer if isinstance(answer, list) else answer.get("probabilities", answer.get("predictions"))
    return [row[1] for row in rows]


def memory(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Resident megabytes: of the largest process of the tree, and of all of them."""
    children: dict[int, list[int]] = {}
    sizes: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        parent = int(re.search(r"PPid:\s+(\d+)", status)[1])
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        children.setdefault(parent, []).append(int(folder.name))
        sizes[int(folder.name)] = int(resident[1]) / 1000 if resident else 0.0
    tree, waiting = [], [process.pid]
    while waiting:
        tree.append(waiting.pop())
        waiting += children.get(tree[-1], [])
    return max(sizes.get(pid, 0.0) for pid in tree), sum(sizes.get(pid, 0.0) for pid in tree)


def load(address: str, bodies: Path, connections: int, seconds: float) -> dict[str, float]:
    """What wrk measured."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    found = subprocess.run(
        [*command, "-s", str(HERE / "post.lua"), address],
        env={**os.environ, "BODIES": str(bodies)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    def latency(share: str) -> float:
        value, unit = re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", found).groups()
        return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]

    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", found))
    failed += sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", found)))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", found)[1])
    return {"rate": rate, "p50": latency("50"), "p99": latency("99"), "failed": failed}


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    rows = records()
    found: dict[str, Any] = {server.name: {"start": [], "memory": [], "total": []} for server in SERVERS}
    reference: dict[str, list[float]] = {}
    for number in range(rounds):
        for server in SERVERS:
            files = {}
            for size in {rows_ for rows_, _ in WORKLOADS.values()}:
                files[size] = WORK / f"{server.name}-{size}.jsonl"
                lots = [rows[i * size : (i + 1) * size] for i in range(min(BODIES, len(rows) // size))]
                files[size].write_bytes(b"\n".join(server.body(lot) for lot in lots))
            with started(server, server.body(rows[:100])) as (address, process, start, answer):
                reference[server.name] = probabilities(answer)
                load(address, files[1], 8, 1.5)
                for name, (size, connections) in WORKLOADS.items():
                    measured = load(address, files[size], connections, seconds)
                    found[server.name].setdefault(name, []).append(measured)
                largest, total = memory(process)
                found[server.name]["start"].append(start)
                found[server.name]["memory"].append(largest)
                found[server.name]["total"].append(total)
            shown = found[server.name][MAIN][-1]
            print(
                f"round {number + 1}  {server.name:<11} {shown['rate']:>8.0f} requests/s", file=sys.stderr, flush=True
            )
    check_same(reference)
    return found


def check_same(reference: dict[str, list[float]]) -> None:
    """All servers must rank the same 100 flights nearly alike, or they do not do the same work."""
    import numpy as np

    ranks = {name: np.argsort(np.argsort(values)) for name, values in reference.items()}
    for name, rank in ranks.items():
        agreement = float(np.corrcoef(rank, ranks["mainspring"])[0, 1])
        if agreement < 0.8:
            sys.exit(f"{name} ranks the flights otherwise (rank correlation {agreement:.2f}): not the same model")


def tables(found: dict[str, Any]) -> str:
    def median(name: str, workload: str, what: str) -> float:
        return statistics.median(one[what] for one in found[name][workload])

    lines = []
    for workload in WORKLOADS:
        lines += [
            f"\n**{workload}**\n",
            "| server | requests/s | p50 ms | p99 ms | failed |",
            "|---|---:|---:|---:|---:|",
        ]
        for name in found:
            rate, p50, p99 = (median(name, workload, what) for what in ("rate", "p50", "p99"))
            failed = sum(one["failed"] for one in found[name][workload])
            lines.append(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {failed:.0f} |")
        best = max((peer.name for peer in PEERS), key=lambda name: median(name, workload, "rate"))
        ours = [one["rate"] for one in found["mainspring"][workload]]
        for other in (best, "bare limit"):
            ratios = [a / b["rate"] for a, b in zip(ours, found[other][workload], strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f} over the rounds"
            lines.append(f"\nMainspring / {other}: **{statistics.median(ratios):.2f}** ({spread})")
    lines += ["\n| server | start to first answer, s | resident MB, largest process | all |", "|---|---:|---:|---:|"]
    for name, one in found.items():
        start, largest, total = (statistics.median(one[what]) for what in ("start", "memory", "total"))
        lines.append(f"| {name} | {start:.1f} | {largest:.0f} | {total:.0f} |")
    return "\n".join(lines)


def small_things() -> str:
    """What a user waits for: imports and help, medians of 15 whole processes."""

    def milliseconds(*command: str) -> float:
        took = []
        for _ in range(15):
            began = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            took.append((time.perf_counter() - began) * 1000)
        return statistics.median(took)

    python = sys.executable
    bare = milliseconds(python, "-c", "pass")
    imported = milliseconds(python, "-c", "import mainspring") - bare
    shown = milliseconds(str(Path(python).parent / "mainspring"), "--help")
    return f"\n`import mainspring`: {imported:.0f} ms above bare Python; `mainspring --help`: {shown:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load, for each workload")
    parser.add_argument("--out", type=Path, help="write all figures there, as JSON")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")
    prepare()
    found = measure(arguments.rounds, int(arguments.seconds))
    print(tables(found))
    print(small_things())
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
