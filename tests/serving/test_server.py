"""The server as a process of its own: what an operator sees."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from projects import wait_until

from mainspring import spec
from mainspring.errors import MainspringError
from mainspring.serving import server

from .conftest import make_project, publish_all
from .graphs import DELAY_RECORD

SERVE = """
import sys
from pathlib import Path
from mainspring import spec
from mainspring.serving import server
server.run(spec.load(Path(sys.argv[1])), port=int(sys.argv[2]), fd=int(sys.argv[3]) if sys.argv[3:] else None)
"""
TRAINING = ("torch", "sklearn", "xgboost", "mlflow", "pandas", "pyarrow", "scipy", "onnx", "transformers")


class Process:
    """A gateway in a process, from its start until its ready line."""

    def __init__(self, project, port=0, fd=None):
        given = [] if fd is None else [str(fd)]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(project.folder), str(port), *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=given and [fd],
        )
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if " on http://" in line:
                break
        self.seconds = time.monotonic() - self.started
        self.url = line.split(" on ")[1].split()[0]

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

    def end(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, "".join(self.lines) + err


@pytest.fixture
def project(tmp_path):
    project = make_project(tmp_path)
    publish_all(project.state)
    return project


def test_it_starts_fast_and_stays_small(project):
    process = Process(project)
    try:
        assert httpx.get(f"{process.url}/readyz").status_code == 200
        for _ in range(50):
            assert httpx.post(f"{process.url}/models/delay/predict", json=[DELAY_RECORD] * 200).status_code == 200
        assert process.seconds < 5, "2 s are the aim; a busy test machine gets more"
        assert process.memory() < 200
    finally:
        status, out, err = process.end()
    assert status == 0
    assert "serving delay 1, fare 1, stars 1 on http://127.0.0.1:" in err
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 51, "the log is written to its end, and nothing else is on standard output"


def test_a_stop_finishes_what_has_begun(project):
    process = Process(project)
    host, port = process.url.removeprefix("http://").split(":")
    body = json.dumps(DELAY_RECORD).encode()
    head = (
        f"POST /models/delay/predict HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as begun, socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        begun.sendall(head.encode() + body[:10])
        time.sleep(0.2)
        process.process.send_signal(signal.SIGTERM)

        def refused():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return False
            return True

        wait_until(refused, "new connections to be refused")
        assert idle.recv(1000) == b"", "idle connections are closed"
        assert process.process.poll() is None
        begun.sendall(body[10:])
        answer = begun.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer
    status, out, _ = process.end()
    assert status == 0
    assert [json.loads(line)["status"] for line in out.splitlines()] == [200, 200]


def test_sigint_ends_it_normally_and_no_versions_are_no_error(tmp_path):
    process = Process(make_project(tmp_path))
    assert httpx.get(f"{process.url}/livez").status_code == 200
    status, _, err = process.end(signal.SIGINT)
    assert status == 0
    assert "no model has a version yet, run `mainspring fit`" in err
    assert "Traceback" not in err


def test_workers_can_share_an_inherited_socket(project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        processes = [Process(project, fd=listener.fileno()) for _ in range(2)]
        try:
            assert processes[0].url == processes[1].url
            assert httpx.post(f"{processes[0].url}/models/delay/predict", json=DELAY_RECORD).status_code == 200
            assert processes[0].end()[0] == 0
            for _ in range(5):
                assert httpx.post(f"{processes[1].url}/models/delay/predict", json=DELAY_RECORD).status_code == 200
        finally:
            assert processes[1].end()[0] == 0


def test_workers_share_their_numbers(project, tmp_path, monkeypatch):
    (tmp_path / "metrics").mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    processes = [Process(project) for _ in range(2)]
    try:
        for process, requests in zip(processes, (2, 3), strict=True):
            for _ in range(requests):
                httpx.post(f"{process.url}/models/delay/predict", json=[DELAY_RECORD] * 10)
        for process in processes:
            text = httpx.get(f"{process.url}/metrics").text
            assert 'mainspring_request_seconds_count{code="200",model="delay",version="1"} 5.0' in text
            assert 'mainspring_prediction_rows_total{model="delay",version="1"} 50.0' in text
            assert 'mainspring_model_info{model="delay",version="1"} 1.0' in text
    finally:
        for process in processes:
            process.end()


def test_an_address_that_is_taken_is_one_clear_message(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MainspringError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*--port"):
            server.run(spec.load(project.folder), port=port)


def test_nothing_that_trains_is_imported():
    code = f"import mainspring.serving.server, sys; print([m for m in {TRAINING!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
