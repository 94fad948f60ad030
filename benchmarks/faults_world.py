"""The world of `faults.py`: the rows of a small project, and the clients that ask its service all the time.

The rows are flights of 2013, with a truth of our own: those of the afternoon are late, but for some noise. Whenever
`World.turn` is called, the next days come, in which it is the other way round. So the champion is wrong, and a renewal
always finds a better challenger: that a renewal works can be asked for after every fault.
"""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from loop import FLIGHTS

from mainspring import spec

CLIENTS, PAUSE = 3, 0.04  # each client asks, waits so many seconds, and asks again
DAYS, ROWS = 5, 1500  # of a stretch of the world
COLUMNS = ["departs_at", "carrier", "distance", "temperature", "late"]
NOON, NOISE = 13, 0.15

TOML = """
[project]
name = "faults"

[serving]
workers = 2

[log]
store = "archive"

[models.delay]
task = "classification"
data = "flights.parquet"
target = "late"
time = "departs_at"
metric = "accuracy"
candidates = ["linear"]
budget = 1

[models.delay.renew]
on_alarm = false
feedback = false
data = "window"
window = "5d"
trial = "1s"
{renew}
"""


class World:
    """A project's folder and its data, in which the truth turns round from one stretch of five days to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._flights = pq.read_table(FLIGHTS, columns=COLUMNS).drop_null()
        self._days = pc.day_of_year(self._flights["departs_at"])
        self._stretch = -1
        self.truth: list[tuple[bytes, bool]] = []
        self.write_spec()
        self.turn()

    def write_spec(self, *, renew: str = "") -> None:
        """Write `mainspring.toml`, with further lines for the model's renewals."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "mainspring.toml").write_text(TOML.format(renew=renew))

    @property
    def project(self) -> spec.Project:
        return spec.load(self.folder)

    def turn(self) -> None:
        """The next stretch comes, and the one before the last goes."""
        self._stretch += 1
        last, now = (self._of(stretch) for stretch in (max(0, self._stretch - 1), self._stretch))
        pq.write_table(pa.concat_tables([last, now]) if self._stretch else now, self.folder / ".next.parquet")
        (self.folder / ".next.parquet").replace(self.folder / "flights.parquet")
        rows = now.slice(0, 400).to_pylist()
        self.truth = [
            (json.dumps({k: v for k, v in row.items() if k != "late"}, default=str).encode(), row["late"])
            for row in rows
        ]

    def _of(self, stretch: int) -> pa.Table:
        first = 1 + stretch * DAYS
        table = self._flights.filter(
            pc.and_(pc.greater_equal(self._days, first), pc.less(self._days, first + DAYS))
        ).combine_chunks()
        draw = random.Random(stretch)
        table = table.take(sorted(draw.sample(range(len(table)), ROWS)))
        hours = pc.hour(table["departs_at"]).to_pylist()
        late = [(hour >= NOON) ^ (draw.random() < NOISE) ^ (stretch % 2 == 1) for hour in hours]
        return table.set_column(table.schema.get_field_index("late"), "late", pa.array(late))


def ask(port: int, path: str, body: bytes | None = None, seconds: float = 10.0) -> tuple[int, Any]:
    """The status and the answer, decoded if it is JSON; each time on a connection of its own."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


@dataclass
class Answer:
    """One request: when it began and ended (by a clock that no fault turns), and what came back."""

    began: float
    ended: float
    status: int
    version: str = ""
    id: str = ""
    error: str = ""


class Clients:
    """Threads that ask for predictions without end, and tell the truth of every tenth."""

    def __init__(self, port: int, world: World) -> None:
        self._port, self._world = port, world
        self.answers: list[Answer] = []
        self.told: list[str] = []  # ids whose label was taken in
        self.refused = 0  # labels that were not
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, seed: int) -> None:
        draw, count = random.Random(seed), 0
        while not self._stop.wait(PAUSE):
            body, late = draw.choice(self._world.truth)
            answer = self._ask(body)
            self.answers.append(answer)
            count += 1
            if count % 10 == 0 and answer.status == 200:
                self._tell(answer.id, late)

    def _ask(self, body: bytes) -> Answer:
        began = time.perf_counter()
        try:
            status, found = ask(self._port, "/models/delay/predict", body)
        except OSError as error:  # the connection broke, or was refused
            return Answer(began, time.perf_counter(), 0, error=str(error))
        ended = time.perf_counter()
        if status != 200:
            return Answer(began, ended, status, error=str(found))
        return Answer(began, ended, status, found["version"], found["id"])

    def _tell(self, id_: str, late: bool) -> None:
        try:
            status, found = ask(self._port, "/models/delay/feedback", json.dumps({"id": id_, "label": late}).encode())
        except OSError:
            status, found = 0, {}
        if status == 200 and found["accepted"]:
            self.told.append(id_)
        else:
            self.refused += 1


def in_words(answers: list[Answer]) -> str:
    """Why requests failed: each reason with its number."""
    reasons = Counter(one.error[:90] if one.status == 0 else f"{one.status} {one.error[:90]}" for one in answers)
    return "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3))
