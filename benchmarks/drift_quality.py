"""Who cries wolf, and who sleeps? Mainspring's alarms beside Evidently's, NannyML's and river's, on the same streams.

    python benchmarks/drift_quality.py [--streams 1000] [--shifted 30] [--seed 0] [--systems mainspring,...]

Simulated traffic of a model that is known to be right (`drift/streams.py`): a reference of 8,000 rows, then twelve
windows of 1,000, with true labels at once. In a thousand streams nothing ever changes: any alarm in one is false. In
the others something changes at window 4, a little or much: has an alarm come in or after it, and after how many
windows? An alarm by chance counts as power, too, and therefore each table begins with what chance gives.

Every system runs at its defaults in an environment of its own. Mainspring's default asks for two windows in a row, so
each peer whose alerts belong to windows stands here a second time with that rule added: the same thing alerts twice
in a row. Slow systems see fewer streams, the first ones; the tables say how many.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest, fisher_exact

sys.path.insert(0, str(Path(__file__).resolve().parent / "drift"))

from environments import ENVIRONMENT, HERE, OURS, WORK, install, python_of, versions
from streams import CHANGE, SHIFTS, STATIONARY

Windows = list[list[str]]  # the names of what alerted, window by window
SIGNIFICANCE = 0.05
GRADES = ("least", "small", "middling", "great", "greatest")  # the five sizes of each kind of shift


@dataclass(frozen=True)
class System:
    """A script of `drift/`, and the shares of the streams that it can see in reasonable time."""

    script: str
    environment: str
    stationary: float = 1.0
    shifted: float = 1.0

    def run(self, streams: int, shifted: int, seed: int, processes: int) -> dict:
        """What it said: `{"found": {"shift|size": {line: [stream's windows]}}, "seconds_a_stream": …}`."""
        few = max(2, round(self.shifted * shifted))
        cells = [(STATIONARY, "", max(2, round(self.stationary * streams)))]
        cells += [(shift, size, few) for shift, sizes in SHIFTS.items() for size in sizes]
        job, result = (WORK / f"{self.script}-{what}.json" for what in ("job", "result"))
        job.write_text(json.dumps({"cells": cells, "seed": seed, "processes": processes}))
        began = time.perf_counter()
        script = HERE / f"quality_{self.script}.py"
        subprocess.run([python_of(self.environment), script, job, result], check=True, env=ENVIRONMENT)
        found = json.loads(result.read_text())
        took, each = time.perf_counter() - began, found["seconds_a_stream"]
        print(f"{self.script}: {took:.0f} s, {each:.2f} s a stream", file=sys.stderr, flush=True)
        return found


SYSTEMS = (
    System("mainspring", OURS),
    System("evidently", "evidently"),
    System("nannyml", "nannyml", stationary=0.3),
    System("river", "river"),
    System("kswin", "river", stationary=0.05, shifted=0.1),
)


def at_once(windows: Windows) -> list[int]:
    """The windows that raise an alarm, if each alert is one."""
    return [place for place, names in enumerate(windows) if names]


def twice_in_a_row(windows: Windows) -> list[int]:
    """The windows that raise an alarm, if it takes the same alert in the one before."""
    return [place for place in range(1, len(windows)) if set(windows[place]) & set(windows[place - 1])]


@dataclass(frozen=True)
class Line:
    """One line of the tables: a system's alerts, and the rule that makes alarms of them."""

    name: str
    alerts: str
    rule: Callable[[Windows], list[int]] = at_once


MAINSPRING = Line("Mainspring", "Mainspring")
LINES = (
    MAINSPRING,
    Line("Mainspring, persistence 1", "Mainspring, single windows"),
    Line("Evidently, data set", "Evidently, data set"),
    Line("Evidently, data set, twice in a row", "Evidently, data set", twice_in_a_row),
    Line("Evidently, any column", "Evidently, any column"),
    Line("Evidently, any column, twice in a row", "Evidently, any column", twice_in_a_row),
    Line("NannyML, any column", "NannyML, any column"),
    Line("NannyML, any column, twice in a row", "NannyML, any column", twice_in_a_row),
    Line("NannyML, missing values", "NannyML, missing values"),
    Line("NannyML, missing values, twice in a row", "NannyML, missing values", twice_in_a_row),
    Line("NannyML, estimated performance", "NannyML, estimated performance"),
    Line("NannyML, estimated performance, twice in a row", "NannyML, estimated performance", twice_in_a_row),
    Line("NannyML, realised performance", "NannyML, realised performance"),
    Line("NannyML, realised performance, twice in a row", "NannyML, realised performance", twice_in_a_row),
    Line("river ADWIN, on errors", "river ADWIN"),
    Line("river DDM, on errors", "river DDM"),
    Line("river KSWIN, on errors", "river KSWIN"),
    Line("river PageHinkley, on errors", "river PageHinkley"),
)


@dataclass(frozen=True)
class Rate:
    """How many of the streams had an alarm; `delay` is the median of windows from the change to the first one."""

    streams: int
    alarmed: int
    delay: float | None = None

    @property
    def share(self) -> float:
        return self.alarmed / self.streams

    def interval(self) -> tuple[float, float]:
        """Clopper & Pearson's, 95 %."""
        low, high = binomtest(self.alarmed, self.streams).proportion_ci(method="exact")
        return float(low), float(high)

    def as_dict(self) -> dict:
        low, high = self.interval()
        counts = {"streams": self.streams, "alarmed": self.alarmed, "delay": self.delay}
        return counts | {"share": self.share, "low": low, "high": high}


def rate(streams: list[Windows], rule: Callable[[Windows], list[int]], since: int) -> Rate:
    """Of alarms in window `since` or later."""
    first = [next((place for place in rule(windows) if place >= since), None) for windows in streams]
    delays = [place - since + 1 for place in first if place is not None]
    return Rate(len(streams), len(delays), statistics.median(delays) if delays else None)


@dataclass(frozen=True)
class Record:
    """All that a line has shown: false alarms in twelve windows, chance in the last eight, power by shift and size."""

    false_alarms: Rate
    chance: Rate
    power: dict[str, dict[str, Rate]]

    @classmethod
    def of(cls, line: Line, found: dict[str, dict[str, list[Windows]]]) -> Record:
        stationary = found[f"{STATIONARY}|"][line.alerts]
        power = {
            shift: {size: rate(found[f"{shift}|{size}"][line.alerts], line.rule, CHANGE) for size in sizes}
            for shift, sizes in SHIFTS.items()
        }
        return cls(rate(stationary, line.rule, 0), rate(stationary, line.rule, CHANGE), power)

    def found(self) -> list[float]:
        """The share of the streams with an alarm after the change, size by size: the mean over the kinds of shift."""
        sizes = zip(*(of.values() for of in self.power.values()), strict=True)
        return [statistics.fmean(one.share for one in rates) for rates in sizes]

    def as_dict(self) -> dict:
        power = {shift: {size: one.as_dict() for size, one in of.items()} for shift, of in self.power.items()}
        return {"false_alarms": self.false_alarms.as_dict(), "chance": self.chance.as_dict(), "power": power}


def compared(ours: Record, peer: Record) -> tuple[int, int, int]:
    """In how many cells of shift and size ours alarms more often, not distinguishably, less often (Fisher's test)."""
    more = alike = less = 0
    for shift, sizes in ours.power.items():
        for size, mine in sizes.items():
            other = peer.power[shift][size]
            table = [[mine.alarmed, mine.streams - mine.alarmed], [other.alarmed, other.streams - other.alarmed]]
            if fisher_exact(table).pvalue > SIGNIFICANCE:
                alike += 1
            elif mine.share > other.share:
                more += 1
            else:
                less += 1
    return more, alike, less


KINDS, CELLS = len(SHIFTS), sum(map(len, SHIFTS.values()))
LEGEND = f"""\
*False alarms*: streams in which nothing changes, and still there was an alarm in twelve windows, with the exact 95 %
interval. Then the streams with an alarm in or after the window of the change, the mean over the {KINDS} kinds of shift,
from the least size of each to the greatest; *no change* is what chance gives in as many windows. *More, alike, fewer*:
in how many of the {CELLS} kinds and sizes Mainspring finds significantly more of the changes than that system (Fisher's
exact test at {SIGNIFICANCE:.0%}), neither, significantly fewer.
"""


def show_summary(records: dict[str, Record]) -> None:
    print(LEGEND)
    print("| system | streams | false alarms | no change | " + " | ".join(GRADES) + " | more, alike, fewer |")
    print("| --- |" + " ---: |" * (len(GRADES) + 4))
    for name, record in records.items():
        low, high = record.false_alarms.interval()
        shares = [f"{share:.0%}" for share in (record.chance.share, *record.found())]
        ours = records[MAINSPRING.name]
        against = "" if record is ours else ", ".join(map(str, compared(ours, record)))
        alarms = f"{record.false_alarms.share:.1%} ({low:.1%} to {high:.1%})"
        print("| " + " | ".join([name, str(record.false_alarms.streams), alarms, *shares, against]) + " |")


def show_power(shift: str, records: dict[str, Record]) -> None:
    print(
        f"\n**{shift.capitalize()}**: streams with an alarm in or after the window of the change, and in brackets how"
    )
    print("many windows it took at the median, that of the change included\n")
    print("| system | no change | " + " | ".join(SHIFTS[shift]) + " | streams |")
    print("| --- |" + " ---: |" * (len(SHIFTS[shift]) + 2))
    for name, record in records.items():
        rates = record.power[shift]
        cells = [f"{one.share:.0%}" + (f" ({one.delay:g})" if one.delay else "") for one in rates.values()]
        streams = str(next(iter(rates.values())).streams)
        print("| " + " | ".join([name, f"{record.chance.share:.0%}", *cells, streams]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000, help="in which nothing changes")
    parser.add_argument("--shifted", type=int, default=30, help="streams of each size of each shift")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other streams")
    parser.add_argument("--systems", default=",".join(each.script for each in SYSTEMS), help="which, with commas")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write everything there, as JSON")
    options = parser.parse_args()
    chosen = [each for each in SYSTEMS if each.script in {OURS, *options.systems.split(",")}]
    found: dict[str, dict[str, list[Windows]]] = {}
    seconds, used = {}, {OURS: versions(OURS, ("numpy", "scipy", "scikit-learn"))}
    for system in chosen:
        if system.environment != OURS:
            install(system.environment)
            used[system.environment] = versions(system.environment, (system.environment, "numpy", "scipy"))
        said = system.run(options.streams, options.shifted, options.seed, options.processes)
        seconds[system.script] = said["seconds_a_stream"]
        for cell, lines in said["found"].items():
            found.setdefault(cell, {}).update(lines)
    lines = [line for line in LINES if line.alerts in found[f"{STATIONARY}|"]]
    records = {line.name: Record.of(line, found) for line in lines}
    show_summary(records)
    for shift in SHIFTS:
        show_power(shift, records)
    if options.out:
        numbers = {"seed": options.seed, "versions": used, "seconds_a_stream": seconds}
        numbers |= {"lines": {name: record.as_dict() for name, record in records.items()}}
        options.out.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
