"""What `make demo` shows: a table of flights becomes a served champion, and the champion is asked.

It runs the commands that you would type, prints each before it runs, and needs nothing but the installed package.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PROJECT = Path(__file__).parent
MAINSPRING = Path(sys.executable).with_name("mainspring")
GATE_SAID_NO = 3


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def run(*arguments: str, allowed: tuple[int, ...] = (0,)) -> None:
    shown = " ".join(arguments)
    say(f"$ mainspring {shown} --project examples/airdesk")
    code = subprocess.run([MAINSPRING, *arguments, "--project", PROJECT]).returncode
    if code not in allowed:
        sys.exit(f"mainspring {shown} ended with {code}")


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    """GET, or POST of a JSON body: the status and the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def flights() -> list[dict[str, Any]]:
    """Three flights of December, as a client would ask about them; what became of each under `late`."""
    table = pq.read_table(PROJECT / "data" / "flights.parquet")
    rows = table.slice(table.num_rows - 22_000).take([0, 2_000, 21_700]).to_pylist()
    return [{**row, "departs_at": row["departs_at"].isoformat()} for row in rows]


def wait_until_ready(address: str, gateway: subprocess.Popen[bytes]) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < 30:
        try:
            if ask(f"{address}/readyz")[0] == 200:
                return time.perf_counter() - began
        except OSError:
            pass
        if gateway.poll() is not None:
            break
        time.sleep(0.02)
    sys.exit("the gateway did not become ready")


def main() -> None:
    run("fit", allowed=(0, GATE_SAID_NO))
    run("status")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    say(f"$ mainspring serve --port {port} --project examples/airdesk")
    with (PROJECT / ".mainspring" / "demo-access.log").open("wb") as log:
        gateway = subprocess.Popen(
            [MAINSPRING, "serve", "--port", str(port), "--project", PROJECT], stdout=log, stderr=log
        )
        try:
            print(f"ready after {wait_until_ready(address, gateway):.1f} s")
            for flight in flights():
                late = flight.pop("late")
                say(f"POST {address}/models/delay/predict")
                print(json.dumps(flight))
                status, answer = ask(f"{address}/models/delay/predict", flight)
                if status != 200:
                    sys.exit(f"{status}: {answer}")
                print(f"{status} {json.dumps(answer)}")
                print(f"(it was {'late' if late else 'not late'})")
            say("the same with a mistake in it: text where a number belongs")
            status, answer = ask(f"{address}/models/delay/predict", {**flight, "distance": "far"})
            print(f"{status} {json.dumps(answer)}")
        finally:
            gateway.terminate()
            gateway.wait(30)
    print(
        "\nThe report of the champion, with plots: examples/airdesk/.mainspring/models/delay/*/report.html"
        "\nTo keep it running:                     .venv/bin/mainspring up examples/airdesk"
        "\nthen its API is described at            http://127.0.0.1:8000/docs"
    )


if __name__ == "__main__":
    main()
