"""The loop, live: the flights of 2013 stream through a running service until it has replaced its own champion.

A project of its own, whose history ends in February, is fitted and kept up by `mainspring up` with two workers. Then
March goes on by, a day every half second: each hour's departures are asked about in one request, and in the evening the
service is told which were late. Nothing else is done. The service sees that the world has moved, fits a challenger on
the old flights and those that it has answered, judges it on the newest, and swaps it in while the requests go on.

    python examples/airdesk/live.py
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score
from steps import HERE, Service, run

PROJECT = HERE / ".mainspring" / "live"
SPEC = """\
[project]
name = "airdesk-live"

[models.delay]
task = "classification"
data = "flights-until-february.parquet"
target = "late"
time = "departs_at"
metric = "roc_auc"
candidates = ["boosting"]
budget = 3

[models.delay.monitor]
window = 12000           # about two weeks of flights
effect = 0.25            # the seasons turn all year: only a plain move counts

[models.delay.renew]
cooldown = "10s"         # twenty days of this year
per_day = 100
"""
HISTORY_ENDS = datetime(2013, 3, 1)
SECONDS_A_DAY = 0.5
DAYS_AFTER_THE_SWAP = 21
Flight = dict[str, Any]


@dataclass
class Week:
    """What was asked and answered in seven days."""

    first: datetime
    versions: Counter[str] = field(default_factory=Counter)
    probabilities: list[float] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)

    def show(self) -> None:
        """One line: the days, the flights, who answered, and how well."""
        answered = ", ".join(f"version {version}: {count:,}" for version, count in sorted(self.versions.items()))
        area = roc_auc_score(self.late, self.probabilities)
        print(f"{self.first:%b %d}  {len(self.late):>6,} flights   ROC AUC {area:.3f}   {answered}", flush=True)


def prepare() -> list[Flight]:
    """Make the project of flights until February; the later ones, in order of time."""
    flights = pq.read_table(HERE / "data" / "flights.parquet").sort_by("departs_at")
    is_history = pc.less(flights["departs_at"], HISTORY_ENDS)
    shutil.rmtree(PROJECT, ignore_errors=True)
    PROJECT.mkdir(parents=True)
    pq.write_table(flights.filter(is_history), PROJECT / "flights-until-february.parquet")
    (PROJECT / "mainspring.toml").write_text(SPEC)
    return flights.filter(pc.invert(is_history)).to_pylist()


def by(flights: list[Flight], span: str) -> Iterator[list[Flight]]:
    """The flights of each day ("%j") or hour ("%j %H")."""
    for _, some in itertools.groupby(flights, lambda flight: f"{flight['departs_at']:{span}}"):
        yield list(some)


def ask(service: Service, flights: list[Flight], week: Week) -> list[dict[str, Any]]:
    """Ask about the departures of an hour; for each, the label to be told in the evening."""
    records = [
        {key: value for key, value in flight.items() if key != "late"}
        | {"departs_at": flight["departs_at"].isoformat()}
        for flight in flights
    ]
    status, answer = service.ask("/models/delay/predict", {"records": records})
    if status != 200:
        sys.exit(f"a request failed: {status} {answer}")
    week.versions[answer["version"]] += len(flights)
    week.probabilities += [one["probabilities"]["true"] for one in answer["predictions"]]
    week.late += [flight["late"] for flight in flights]
    return [{"id": f"{answer['id']}-{place}", "label": flight["late"]} for place, flight in enumerate(flights)]


class Events:
    """What happened in the project since it was last asked."""

    def __init__(self, project: Path) -> None:
        self._path, self._told = project / ".mainspring" / "history.jsonl", 0
        self.read()

    def read(self) -> list[dict[str, Any]]:
        lines = self._path.read_text().splitlines()
        new, self._told = lines[self._told :], len(lines)
        return [json.loads(line) for line in new]


def tell(today: datetime, event: dict[str, Any]) -> None:
    """An event in one line; `mainspring history` has the whole."""
    kind = f"{event['kind']} {event['data']['phase']}s" if "phase" in event["data"] else event["kind"]
    print(textwrap.shorten(f"{today:%b %d}  * {kind}: {event['detail']}", 118, placeholder=" …"), flush=True)


def stream(service: Service, flights: list[Flight]) -> None:
    """Days go by until a new champion has answered for three weeks."""
    events, requests, swapped = Events(PROJECT), 0, None
    week = Week(flights[0]["departs_at"])
    for number, day in enumerate(by(flights, "%j")):
        began = time.perf_counter()
        if number and number % 7 == 0:
            week.show()
            week = Week(day[0]["departs_at"])
        labels = []
        for hour in by(day, "%j %H"):
            labels += ask(service, hour, week)
            requests += 1
        status, answer = service.ask("/models/delay/feedback", {"feedback": labels})
        if status != 200:
            sys.exit(f"labels were not taken: {status} {answer}")
        for event in events.read():
            tell(day[0]["departs_at"], event)
            if event["kind"] == "promote":
                swapped = number
        if swapped is not None and number - swapped >= DAYS_AFTER_THE_SWAP:
            break
        time.sleep(max(0.0, SECONDS_A_DAY - (time.perf_counter() - began)))
    print(f"{requests:,} requests, none failed")
    if swapped is None:
        sys.exit("no challenger was better: the champion was not replaced")


def main() -> None:
    flights = prepare()
    run("fit", project=PROJECT)
    with Service("up", PROJECT, "--workers", "2") as service:
        stream(service, flights)
        run("status", project=PROJECT)
    run("history", "delay", project=PROJECT)


if __name__ == "__main__":
    main()
