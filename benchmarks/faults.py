"""What breaks when something breaks? A running service, its faults one after the other, and what is lost.

    python benchmarks/faults.py [--only TEXT] [--out FILE]

`mainspring up` runs with two workers on a small project (`faults_world.py`) while three clients ask for predictions
without end and tell the truth of every tenth. Then it is broken, in one way after the other: processes kill themselves
at an exact step of their work (`faults/sitecustomize.py`), disks are full, files are garbage. Of each fault is told:

    served     how many requests came meanwhile, and which failed. All that came until the service was whole count.
    lost       which answers are not in the prediction log, which labels that were taken in are not, what is there twice
    whole      how soon both workers answer again when the fault is over; then a renewal has to work: the new champion
               answers everywhere, the history, MLflow and desired state agree, and every version's files are sound

Where a fault must cost something, that is said and allowed: the requests in flight at a killed worker and the last
second of its log, rows while the disk is full. What is more than that stands in **bold**, and the exit code is 1.
A full disk and a read-only folder need root (they are mounts), the clock needs a C compiler.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import faults_files as files
import faults_kills as kills
from faults_service import CAN_MOUNT, HERE, Bench, until
from faults_world import Answer, in_words
from loop import say

from mainspring.errors import MainspringError

WORK = HERE.parent / ".benchmarks/faults"
CLOCK = WORK.with_name("clock.so")
IN_FLIGHT = 0.2  # seconds around a kill in which a request may break with its worker
LOG_LAG = 1.0  # seconds of the log that a killed worker may lose


@dataclass(frozen=True)
class Fault:
    """`do` breaks the service, mends it, and says what happened; see its docstring. `costs`: what it may cost more."""

    name: str
    do: Callable[[Bench], str]
    costs: str = ""  # "service": there is none for a while; "rows": the log loses some; or nothing more
    needs: str = ""  # why it is skipped, if it is
    turns: bool = True  # whether the world is to turn before the renewal that proves the service whole


@dataclass
class Row:
    """A line of the table; `sound` is false where something happened that must not."""

    fault: str
    happened: str
    served: str = "–"
    lost: str = "–"
    whole: str = "–"
    sound: bool = True


MOUNTS = "" if CAN_MOUNT else "skipped: needs root, to mount"
FAULTS = (
    *(Fault(name, do, turns=False) for name, do in kills.KILLED_RENEWALS.items()),
    Fault("SIGKILL of a worker", kills.idle_worker),
    Fault("SIGKILL of both workers", kills.both_workers, costs="service"),
    Fault("SIGKILL of a worker within a frame of the log", kills.worker_in_a_frame),
    Fault("SIGKILL of a worker that loads a promoted version", kills.worker_while_loading),
    Fault("SIGKILL of the controller", kills.controller),
    Fault("SIGKILL of the controller between storing and deleting a segment", kills.controller_in_rotation),
    Fault("SIGKILL of the controller during its renewal", kills.controller_while_renewing),
    Fault("SIGKILL of `up`", kills.supervisor, costs="service"),
    Fault("SIGTERM of `up` during a renewal", kills.supervisor_while_renewing, costs="service"),
    Fault("two controllers", kills.two_controllers),
    Fault("full disk", files.full_disk, costs="rows", needs=MOUNTS, turns=False),
    Fault("read-only folder", files.read_only_folder, costs="rows", needs=MOUNTS, turns=False),
    Fault("MLflow's database locked", files.locked_registry, turns=False),
    Fault("MLflow's database gone", files.lost_registry),
    Fault("MLflow's database damaged", files.damaged_registry, turns=False),
    Fault("desired state damaged", files.damaged_desired_state),
    Fault("desired state gone", files.lost_desired_state),
    Fault("the champion's file damaged", files.damaged_champion),
    Fault("a promoted version's file damaged", files.damaged_challenger),
    Fault("torn history", files.torn_history),
    Fault("damaged log segment", files.damaged_segment, costs="rows"),
    Fault("the log's store unreachable", files.unreachable_store),
    Fault("the monitoring's files damaged", files.damaged_monitoring),
    Fault("broken feedback", files.broken_feedback),
)
STEP = Fault(
    "clock stepping back an hour", files.clock_back, needs="" if shutil.which("cc") else "skipped: needs a C compiler"
)


def endure(bench: Bench, fault: Fault) -> Row:
    """Do it, wait until the service is whole, let a renewal prove it, and count what was lost."""
    began = time.perf_counter()
    happened = fault.do(bench)
    mended = time.perf_counter()
    until(lambda: bench.service.answers(None), "the service to be whole")
    whole = time.perf_counter() - mended
    quiet = time.perf_counter()
    if fault.turns:
        bench.world.turn()
    renewed = bench.renew()
    if not renewed.startswith("promoted"):
        happened += f"; the next renewal: {renewed[:110]}"
        bench.world.turn()
        renewed = bench.renew()
    until(lambda: bench.service.answers(bench.champion), "the new champion on both workers")
    wrong = [] if renewed.startswith("promoted") else [f"the renewal afterwards: {renewed[:200]}"]
    wrong += bench.unsound()
    ended = time.perf_counter()
    time.sleep(1.5)
    served, fine = _served(bench, fault, began, ended)
    lost, kept = _lost(bench, fault, began, ended, quiet)
    verdict = f"after {whole:.1f} s; a renewal {renewed.split(':')[0]} version {bench.champion}"
    verdict += f"; **{'; '.join(wrong)}**" if wrong else ""
    happened, served = (text.replace(f"{WORK}/", "") for text in (happened, served))
    return Row(fault.name, happened, served, lost, verdict, fine and kept and not wrong)


def _served(bench: Bench, fault: Fault, began: float, ended: float) -> tuple[str, bool]:
    """Which requests failed, and whether that is to be expected."""
    asked = [one for one in list(bench.clients.answers) if began <= one.ended <= ended]
    strange = {one.version for one in asked if one.status == 200} - bench.champions
    failed = [one for one in asked if one.status != 200]
    excused = fault.costs == "service" or all(_at_a_kill(bench, one) for one in failed)
    slowest = max((one.ended - one.began for one in asked), default=0.0)
    said = f"{'all' if not failed else len(asked) - len(failed)} of {len(asked):,}; slowest {slowest:.1f} s"
    if failed:
        where = "in flight at a kill: " if excused and fault.costs != "service" else ""
        said += f"; failed: {where}{in_words(failed)}"
    if strange:
        said += f"; answered by {', '.join(strange)}, never a champion"
    return (said if excused and not strange else f"**{said}**"), excused and not strange


def _at_a_kill(bench: Bench, one: Answer) -> bool:
    return one.status == 0 and any(one.began - IN_FLIGHT <= kill <= one.ended + IN_FLIGHT for kill in bench.kills)


def _lost(bench: Bench, fault: Fault, began: float, ended: float, quiet: float) -> tuple[str, bool]:
    """What the log lacks, and whether that is to be expected."""
    lost = bench.lost(began, ended)
    rows = lost.rows
    dropped = fault.costs == "rows"
    allowed = all(_ahead(bench, one) <= LOG_LAG or (dropped and one.began < quiet) for one in rows)
    parts = [f"{len(rows)} rows{_when(bench, rows)}"] if rows else []
    parts += [f"**{lost.labels} labels that were taken in**"] if lost.labels else []
    parts += [f"**{lost.twice} rows are there twice**"] if lost.twice else []
    said = "; ".join(parts) or "nothing"
    return (said if allowed else f"**{said}**"), allowed and not lost.labels and not lost.twice


def _when(bench: Bench, rows: list[Answer]) -> str:
    """How long before a kill the oldest of these rows was answered."""
    ahead = [_ahead(bench, one) for one in rows]
    return f" of the last {max(0.0, *ahead):.2f} s before the kill" if max(ahead) <= LOG_LAG else ""


def _ahead(bench: Bench, one: Answer) -> float:
    """Seconds from this answer to the next kill; negative where it came just after its worker was killed."""
    return min((kill - one.ended for kill in bench.kills if kill > one.ended - IN_FLIGHT), default=float("inf"))


def suffer(faults: list[Fault], environment: dict[str, str]) -> list[Row]:
    """Every fault in turn; after one that the service does not survive, a new one is set up."""
    rows: list[Row] = []
    waiting = [fault for fault in faults if not fault.needs]
    while waiting:
        with Bench(WORK, environment) as bench:
            while waiting:
                fault = waiting.pop(0)
                say(fault.name)
                try:
                    rows.append(endure(bench, fault))
                except (MainspringError, AssertionError, OSError, subprocess.SubprocessError) as error:
                    rows.append(Row(fault.name, f"**{type(error).__name__}: {error}**", sound=False))
                say(f"    {rows[-1]}")
                if rows[-1].whole == "–":  # it never became whole
                    break
    return rows + [Row(fault.name, fault.needs) for fault in faults if fault.needs]


def _own_clock() -> dict[str, str]:
    """The environment of processes whose clock we can turn."""
    CLOCK.parent.mkdir(exist_ok=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", CLOCK, HERE / "faults/clock.c", "-ldl"], check=True)
    return {"LD_PRELOAD": str(CLOCK), "FAULTS_CLOCK": str(WORK / "clock")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those with this text in their name")
    parser.add_argument("--out", type=Path, help="a JSON file for the table")
    arguments = parser.parse_args()
    began = time.monotonic()
    rows = suffer([fault for fault in FAULTS if arguments.only in fault.name], {})
    if arguments.only in STEP.name:
        rows += suffer([STEP], {} if STEP.needs else _own_clock())
    print("| fault | what happened | served throughout? | lost | whole again after |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        cells = (row.fault, row.happened, row.served, row.lost, row.whole)
        print("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    say(f"{len(rows)} faults, {sum(not row.sound for row in rows)} not sound, {time.monotonic() - began:.0f} s")
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    sys.exit(any(not row.sound for row in rows))


if __name__ == "__main__":
    main()
