"""Faults of what processes rest on: the disk, folders, MLflow's database, files, the clock, and what clients send."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults_service import Bench, until

from mainspring.monitoring import segments
from mainspring.registry import desired, versions


def full_disk(bench: Bench) -> str:
    """The file system of `.mainspring`, a small one of its own, is filled to the last byte for a few seconds."""
    filler, before = bench.state / "filler", _dropped(bench)
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    refused = bench.clients.refused
    bench.world.turn()
    said = bench.renew()
    time.sleep(1.0)
    refused = bench.clients.refused - refused
    filler.unlink()
    time.sleep(1.0)
    return (
        f"the renewal {_short(said)}; {_dropped(bench) - before:g} rows dropped and counted; "
        f"{refused} labels answered 503, to be sent again"
    )


def read_only_folder(bench: Bench) -> str:
    """`.mainspring` becomes read-only (a mount: permissions do not stop root), and a worker has to start there."""
    subprocess.run(["mount", "--bind", bench.state, bench.state], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", bench.state], check=True)
        before = _dropped(bench)
        bench.kill_a_worker()
        bench.world.turn()
        said = bench.renew()
        until(lambda: bench.service.answers(None), "both workers")
        dropped = _dropped(bench) - before
    finally:
        subprocess.run(["umount", "-l", bench.state], check=True)
    time.sleep(1.0)
    return f"the renewal {_short(said)}; the new worker served and counted {dropped:g} rows that it could not log"


def locked_registry(bench: Bench) -> str:
    """Another process holds MLflow's SQLite database locked during a renewal."""
    with contextlib.closing(sqlite3.connect(bench.state / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        bench.world.turn()
        said = bench.renew()
        database.execute("ROLLBACK")
    return f"the renewal {_short(said)}"


def lost_registry(bench: Bench) -> str:
    """MLflow's database is deleted while the service runs, and a renewal follows."""
    before = bench.champion
    (bench.state / "mlflow.db").unlink()
    bench.world.turn()
    said = bench.renew()
    time.sleep(3.0)  # would the follower, who knew the old one, undo it?
    return f"the renewal {_short(said)}, in a new database; champion {before} → {bench.champion}"


def damaged_registry(bench: Bench) -> str:
    """MLflow's database is overwritten with garbage; after a failed renewal it is deleted, as one would."""
    path = bench.state / "mlflow.db"
    path.write_bytes(os.urandom(65_536))
    bench.world.turn()
    said = bench.renew()
    path.unlink()
    return f"the renewal {_short(said)}"


def damaged_desired_state(bench: Bench) -> str:
    """`desired.json` is garbage: a worker dies and has to start, a renewal is tried; then `mainspring promote`."""
    champion = bench.champion
    desired.path(bench.state).write_bytes(b'{"revision": 7, "mod\xff')
    return _without_desired_state(bench, champion)


def lost_desired_state(bench: Bench) -> str:
    """`desired.json` is deleted: the same."""
    champion = bench.champion
    desired.path(bench.state).unlink()
    return _without_desired_state(bench, champion)


def _without_desired_state(bench: Bench, champion: str) -> str:
    time.sleep(0.5)
    bench.kill_a_worker()
    time.sleep(3.0)
    whole = "served" if bench.service.answers(champion) else "did NOT serve"
    told = bench.run("status", "--json").returncode
    promoted = bench.run("promote", "delay", champion)
    return f"the new worker {whole}; `status` ended with {told}, `promote` with {promoted.returncode}"


def damaged_champion(bench: Bench) -> str:
    """The champion's graph is damaged on the disk, and a worker has to start; then the file is restored."""
    bench.world.turn()
    bench.renew()  # so that there is a champion before this one
    with _damaged(bench.state / "models/delay" / bench.champion / "model.onnx"):
        time.sleep(1.0)
        bench.kill_a_worker()
        time.sleep(3.0)
        status, found = _worker_answers(bench)
    until(lambda: bench.service.answers(None), "the champion on both workers")
    return f"of 40 requests, {status} were answered, {found}"


def _worker_answers(bench: Bench) -> tuple[int, str]:
    body = bench.world.truth[0][0]
    found = [bench.service.ask("/models/delay/predict", body) for _ in range(40)]
    good = [answer["version"] for status, answer in found if status == 200]
    return len(good), f"by version {', '.join(sorted(set(good)))}"


def damaged_challenger(bench: Bench) -> str:
    """A version is damaged before its promotion by hand, and another just after it, before the gateways load it."""
    live, old = bench.champion, versions.names(bench.state, "delay")[0]
    with _damaged(bench.state / "models/delay" / old / "model.onnx"):
        refused = bench.run("promote", "delay", old)
        desired.set_champion(bench.state, "delay", old)
        time.sleep(2.0)
        _, found = bench.service.ask("/models/delay")
        desired.set_champion(bench.state, "delay", live)
    said = "refused" if refused.returncode else "NOT refused"
    return f"the promotion was {said}; wanted by desired state nevertheless, version {found['version']} stayed live"


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 20 + content[120:])
    try:
        yield
    finally:
        path.write_bytes(content)


def torn_history(bench: Bench) -> str:
    """The history's last line is cut off, as by a kill."""
    with (bench.state / "history.jsonl").open("ab") as file:
        file.write(b'{"time":"2026-11-24T00:00:00.000+00:00","model":"del')
    told = bench.run("history", "--json").returncode
    return f"the line was skipped, `history` ended with {told}, and the next event began a line of its own"


def damaged_segment(bench: Bench) -> str:
    """A byte in the middle of a dead worker's segment flips; the frames behind it cannot be found any more."""
    now = time.perf_counter() - 1.0  # what came until then is in the log, unless it was lost before
    before = len(bench.lost(0.0, now).rows)
    bench.kill(bench.service.controller)  # it must not be quicker than we are
    victim = bench.service.workers()[0]
    bench.kill(victim)
    log_folder = segments.folder(bench.state, "delay")
    its_own = [path for path in segments.segments(log_folder) if f"-{victim}-" in path.name]
    path = max(its_own, key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    until(path.with_name(path.name + ".damaged").exists, "the segment to be moved aside")
    behind = len(bench.lost(0.0, now).rows) - before
    if not behind:
        raise AssertionError("nothing lay behind the damage: it tells nothing")
    return f"the rows before the damage were stored, the {behind} behind it moved aside, and this was told in the log"


def unreachable_store(bench: Bench) -> str:
    """The folder of the log's Parquet files cannot be listed or written (a file lies in its place) for a while."""
    store, away = bench.folder / "archive", bench.folder / "away"
    bench.kill_a_worker()
    store.mkdir(exist_ok=True)
    store.rename(away)
    store.write_text("no folder")
    bench.restart_the_controller()
    time.sleep(6.0)
    bench.world.turn()
    said = bench.renew()
    store.unlink()
    away.rename(store)
    closed = len(segments.segments(segments.folder(bench.state, "delay")))
    bench.restart_the_controller()
    until(lambda: len(segments.segments(segments.folder(bench.state, "delay"))) < closed, "the segments to be stored")
    return f"the renewal {_short(said)}; segments stayed, and were stored when it was back"


def damaged_monitoring(bench: Bench) -> str:
    """The monitoring's state and summary are garbage, not even text."""
    folder = bench.state / "monitor/delay"
    until(lambda: (folder / "state.json").exists(), "the first look")
    size = bench.service.log.stat().st_size
    for name in ("state.json", "summary.json", "reports.jsonl"):
        (folder / name).write_bytes(b'{"version": "\xff\xfe')
    told = bench.run("status", "--json").returncode
    time.sleep(4.0)
    said = bench.service.log.read_bytes()[size:].decode()
    complaint = "the controller stumbled over it" if "defect of ours" in said else "it was begun anew"
    for name in ("state.json", "summary.json", "reports.jsonl"):
        (folder / name).unlink(missing_ok=True)
    return f"{complaint}; `status` ended with {told}"


def broken_feedback(bench: Bench) -> str:
    """Labels that are no JSON, of wrong type or kind, for unknown or future ids, twice, too many, too large."""
    _, answer = bench.service.ask("/models/delay/predict", bench.world.truth[0][0])
    good = answer["id"]
    bodies = [
        b"",
        b"\xff\xfe",
        b"[1, 2",
        b'{"id": 7, "label": true}',
        b'{"id": "no id", "label": true}',
        b'{"label": true}',
        f'{{"id": "{good}", "label": "perhaps"}}'.encode(),
        f'{{"id": "{good}", "label": null}}'.encode(),
        f'{{"id": "{good}", "key": "k", "label": true}}'.encode(),
        b'{"feedback": []}',
        b'{"feedback": [' + b",".join([f'{{"id": "{good}", "label": true}}'.encode()] * 12_000) + b"]}",
    ]
    statuses = [bench.service.ask("/models/delay/feedback", body)[0] for body in bodies]
    taken = [f'{{"id": "{good}", "label": true}}', '{"key": "nobody", "label": false}']
    twice = [bench.service.ask("/models/delay/feedback", body.encode()) for body in [*taken, taken[0]]]
    future = "f" * 8 + good[8:]
    _, unknown = bench.service.ask("/models/delay/feedback", f'{{"id": "{future}", "label": true}}'.encode())
    refused = sum(400 <= status < 500 for status in statuses)
    taken_in = sum(status == 200 for status, _ in twice)
    return (
        f"{refused} of {len(bodies)} broken ones answered 4xx; {taken_in} of 3 odd ones taken in (twice the same, "
        f"no such key); a label from the future: {unknown.get('unknown', 0)} counted as unknown"
    )


def clock_back(bench: Bench) -> str:
    """The clock of all processes steps back by an hour (faults/clock.c), and a renewal follows."""
    time.sleep(1.0)
    _, before = bench.service.ask("/models/delay/predict", bench.world.truth[0][0])
    (bench.folder / "clock").write_text("-3600\n")
    time.sleep(3.0)
    _, after = bench.service.ask("/models/delay/predict", bench.world.truth[0][0])
    if after["id"] > before["id"]:
        raise AssertionError("the clock did not step back")
    label = f'{{"id": "{before["id"]}", "label": true}}'.encode()
    _, told = bench.service.ask("/models/delay/feedback", label)
    outcome = next((name for name in ("accepted", "late", "unknown") if told.get(name)), str(told))
    return f"ids stepped back, too; a label for an answer from before the step: {outcome}"


def _dropped(bench: Bench) -> float:
    _, text = bench.service.ask("/metrics")
    return sum(float(n) for n in re.findall(r"^mainspring_prediction_log_dropped_total\{.*\} (\S+)", text, re.M))


def _short(said: str) -> str:
    """A renewal's end, short enough for a table."""
    outcome, _, message = said.partition(": ")
    return outcome if outcome in ("promoted", "unchanged") else f"{outcome}: {message.strip()[:110]}"
