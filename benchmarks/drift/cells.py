"""What a system's script does with its job: watch streams in parallel processes, and write down every alert.

    python SCRIPT JOB.json RESULT.json

The job names the cells (a shift, a size, how many streams), the seed, and how many processes there may be. The result
has for each cell, system and stream twelve lists, one a window: the names of what alerted in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path

from streams import Stream, stream

# For each system of a script: the names of what alerted, window by window.
Alerts = dict[str, list[list[str]]]


def main(watch: Callable[[Stream], Alerts]) -> None:
    """Carry out the job given on the command line: `watch` sees one stream."""
    job = json.loads(Path(sys.argv[1]).read_text())
    tasks = [
        (watch, shift, size, number, job["seed"]) for shift, size, count in job["cells"] for number in range(count)
    ]
    found: dict[str, dict[str, list[list[list[str]]]]] = {}
    seconds = 0.0
    with Pool(job["processes"]) as pool:
        for (_, shift, size, *_), (alerts, took) in zip(tasks, pool.imap(_watched, tasks), strict=True):
            seconds += took
            for system, windows in alerts.items():
                found.setdefault(f"{shift}|{size}", {}).setdefault(system, []).append(windows)
    Path(sys.argv[2]).write_text(json.dumps({"found": found, "seconds_a_stream": seconds / len(tasks)}))


def _watched(task: tuple[Callable[[Stream], Alerts], str, str, int, int]) -> tuple[Alerts, float]:
    watch, *which = task
    simulated = stream(*which)
    began = time.perf_counter()
    return watch(simulated), time.perf_counter() - began
