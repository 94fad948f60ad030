import contextlib
import json
import socket
import threading
import time

import httpx
from projects import wait_until

from .graphs import DELAY_RECORD, WORK, WORK_RECORD, publish

HEAD = "POST /models/delay/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@contextlib.contextmanager
def connected(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        yield connection


def answer_on(connection):
    """What comes until the server closes, or for half a second."""
    connection.settimeout(0.5)
    parts = []
    with contextlib.suppress(TimeoutError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def test_a_body_over_the_limit_is_413_by_its_length_before_it_is_sent(serve):
    served = serve('max_body = "2kB"')
    with connected(served) as connection:
        connection.sendall(f"{HEAD}content-length: 2001\r\n\r\n".encode())
        assert "HTTP/1.1 413" in answer_on(connection)
    assert served.predict(record=[DELAY_RECORD] * 20).status_code == 413
    assert served.predict().status_code == 200


def test_a_client_that_sends_a_huge_body_to_its_end_is_told_why_it_was_refused(serve, monkeypatch):
    served = serve('max_body = "2kB"')
    answer = served.client.post(
        "/models/delay/predict", content=b" " * 20_000_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert served.predict().status_code == 200, "the connection goes on"
    # But it may not go on for ever.
    monkeypatch.setattr("mainspring.serving.server._PATIENCE_SECONDS", 0.3)
    started = time.monotonic()
    with connected(served) as connection, contextlib.suppress(OSError):
        connection.sendall(f"{HEAD}content-length: 1000000000000\r\n\r\n".encode())
        while time.monotonic() < started + 10:
            connection.sendall(b" " * 10_000)
            time.sleep(0.01)
    assert time.monotonic() - started < 5


def test_a_chunked_body_over_the_limit_is_413(serve):
    served = serve('max_body = "2kB"')

    def chunks(count):
        yield b"["
        for k in range(count):
            yield b"," * bool(k) + json.dumps(DELAY_RECORD).encode()
        yield b"]"

    headers = {"content-type": "application/json"}
    assert served.client.post("/models/delay/predict", content=chunks(2), headers=headers).status_code == 200
    answer = served.client.post("/models/delay/predict", content=chunks(100), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    # The limit is everyone's, in each protocol's words.
    assert "larger than 2000" in served.client.post("/v2/models/delay/infer", content=chunks(100)).json()["error"]
    answer = served.client.post("/invocations", content=chunks(100), headers=headers)
    assert "larger than 2000" in answer.json()["message"]
    assert served.client.post("/nowhere", content=chunks(100)).status_code == 413


def test_more_rows_than_allowed_are_413(serve):
    served = serve("max_rows = 3")
    assert served.predict(record=[DELAY_RECORD] * 3).status_code == 200
    answer = served.predict(record=[DELAY_RECORD] * 4)
    assert answer.status_code == 413
    assert "at most 3" in answer.json()["error"]["message"]
    body = {"dataframe_records": [DELAY_RECORD] * 4}
    assert served.client.post("/invocations?model=delay", json=body).status_code == 413


def test_a_body_that_comes_too_slowly_is_408(serve):
    served = serve('timeout = "200ms"')
    with connected(served) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        answer = answer_on(connection)
    assert "HTTP/1.1 408" in answer
    assert "connection: close" in answer
    assert served.predict().status_code == 200


def test_a_client_that_hangs_up_is_logged_and_forgotten(serve):
    served = serve()
    with connected(served) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        wait_until(lambda: served.gateway.edge.in_flight == 1, "the request to begin")
    wait_until(lambda: served.gateway.edge.in_flight == 0, "the request to end")
    assert [line["status"] for line in served.log_lines()] == [499]


def test_a_full_queue_is_429_but_health_is_answered(serve):
    served = serve("queue = 2")
    with connected(served) as one, connected(served) as two:
        for connection in (one, two):
            connection.sendall(f"{HEAD}content-length: 1000\r\n\r\n{{".encode())
        wait_until(lambda: served.gateway.edge.in_flight == 2, "two requests to begin")
        answer = served.predict()
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert served.client.get("/models").status_code == 429
        assert served.client.get("/livez").status_code == 200
        assert served.client.get("/readyz").status_code == 200
    wait_until(lambda: served.gateway.edge.in_flight == 0, "the clients to be noticed gone")
    assert served.predict().status_code == 200
    assert 'mainspring_rejected_total{code="429"} 2.0' in served.client.get("/metrics").text


def test_work_over_the_time_limit_is_503_and_really_ends(serve):
    def slow_model(state):
        from mainspring.registry import desired

        publish(state, "delay", WORK, WORK_RECORD)
        desired.set_champion(state, "delay", "1")

    served = serve('timeout = "1s"', publish=slow_model)
    small, endless = WORK_RECORD, {"turns": 1e12}
    started = time.monotonic()
    statuses = []

    def ask():
        answer = httpx.post(f"{served.url}/models/delay/predict", json=[endless] * 1000, timeout=30)
        statuses.append((answer.status_code, answer.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert served.predict(record=small).status_code == 200, "the loop is free while the pool is busy"
    assert time.monotonic() - started < 1
    for thread in threads:
        thread.join()
    assert statuses == [(503, "1")] * 4
    assert time.monotonic() - started < 5
    # The threads are free again: the runs were ended, not only abandoned.
    assert served.predict(record=[small] * 2000).status_code == 200


def test_a_header_that_never_comes_or_never_ends_is_cut_off(serve, monkeypatch):
    monkeypatch.setattr("mainspring.serving.server._PATIENCE_SECONDS", 0.3)
    served = serve()
    with connected(served) as idle, connected(served) as slow, connected(served) as huge:
        slow.sendall(b"GET /livez HTTP/1.1\r\nx-a: ")
        huge.sendall(b"GET /livez HTTP/1.1\r\nx-a: " + b"x" * 70_000)
        assert "400" in answer_on(huge)
        for _ in range(8):  # drop by drop, which is not to postpone the end
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                slow.sendall(b"x")
        for connection in (idle, slow):
            with contextlib.suppress(ConnectionError):
                assert connection.recv(100) == b""
    with connected(served) as fine:
        fine.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert "200 OK" in answer_on(fine)


def test_what_is_no_http_is_400_and_pipelined_requests_are_answered_in_order(served):
    with connected(served) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert "400" in answer_on(connection)
    with connected(served) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" + b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = answer_on(connection)
    assert answer.index("200 OK") < answer.index("404 Not Found")


def test_a_page_of_another_site_is_refused_where_no_key_is_needed(serve):
    served = serve()
    path = "/v2/repository/models/delay/unload"
    assert served.client.post(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert served.predict().status_code == 200
    assert served.client.post(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
