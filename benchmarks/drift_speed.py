"""How long does a drift check of a million rows take, and how much memory, beside Evidently?

    python benchmarks/drift_speed.py [--rows 1000000] [--rounds 3] [--out FILE]

A reference and live rows of 50 mixed columns, as Parquet files. Evidently keeps the reference's rows and compares them
with the live ones, column by column. Mainspring keeps a profile, made once at fit, whose cost stands apart, and reads
the live rows in batches; it does all tests of a window: besides those of the columns, all columns together, the model's
outputs, and its performance by the true labels. Each check is a fresh process, the systems take turns in every round,
and the ratios are medians over the rounds of ratios within one. Peak memory is the process's greatest resident set,
libraries included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "drift"))

from environments import ENVIRONMENT, HERE, OURS, WORK, install, python_of, versions

COLUMNS = 50


@dataclass(frozen=True)
class System:
    """A script of `drift/`, and what it is to do."""

    name: str
    environment: str
    what: str

    def measure(self, folder: Path) -> dict[str, float]:
        """Seconds to `read` and to `check`, `wall` of the whole process, and `peak_mb`."""
        result = folder / f"{self.environment}-{self.what}.json"
        script = HERE / f"speed_{self.environment}.py"
        began = time.perf_counter()
        subprocess.run([python_of(self.environment), script, folder, self.what, result], check=True, env=ENVIRONMENT)
        found = {**json.loads(result.read_text()), "wall": time.perf_counter() - began}
        if found["columns"] != COLUMNS:
            raise SystemExit(f"{self.name} has checked {found['columns']} columns instead of {COLUMNS}")
        found["both"] = found["read"] + found["check"]
        print(f"{self.name}: {found}", file=sys.stderr, flush=True)
        return found


FIT = System("Mainspring, once at fit: reading and profiling the reference", OURS, "fit")
MAINSPRING = System("Mainspring, all of a window's tests", OURS, "window")
EVIDENTLY = System("Evidently, KS and chi-squared", "evidently", "ks")
DEFAULTS = System("Evidently, its defaults", "evidently", "defaults")
SYSTEMS = (FIT, MAINSPRING, EVIDENTLY, DEFAULTS)
MEASURES = {
    "check": "check, s",
    "both": "reading and check, s",
    "wall": "whole process, s",
    "peak_mb": "peak memory, MB",
}


def ratio(rounds: list[dict[str, dict[str, float]]], system: System, against: System, measure: str) -> float:
    """Median over the rounds of `system` / `against`."""
    return statistics.median(each[system.name][measure] / each[against.name][measure] for each in rounds)


def show(rounds: list[dict[str, dict[str, float]]]) -> None:
    print("| system | " + " | ".join(MEASURES.values()) + " |")
    print("| --- |" + " ---: |" * len(MEASURES))
    for system in SYSTEMS:
        cells = []
        for measure in MEASURES:
            found = [each[system.name][measure] for each in rounds]
            precision = ".0f" if measure == "peak_mb" else ".2f"
            low, middle, high = min(found), statistics.median(found), max(found)
            cells.append(f"{middle:{precision}} ({low:{precision}} to {high:{precision}})")
        print("| " + " | ".join([system.name, *cells]) + " |")
    print("\n| Evidently / Mainspring | " + " | ".join(words.split(",")[0] for words in MEASURES.values()) + " |")
    print("| --- |" + " ---: |" * len(MEASURES))
    for peer in (EVIDENTLY, DEFAULTS):
        cells = [f"{ratio(rounds, peer, MAINSPRING, measure):.1f}" for measure in MEASURES]
        print("| " + " | ".join([peer.name, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the reference and of the live table, each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write everything there, as JSON")
    options = parser.parse_args()
    install(EVIDENTLY.environment)
    folder = WORK / f"speed-{options.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "live.parquet").exists():
        subprocess.run([sys.executable, HERE / "speed_tables.py", str(options.rows), folder], check=True)
    rounds = [{system.name: system.measure(folder) for system in SYSTEMS} for _ in range(options.rounds)]
    show(rounds)
    if options.out:
        used = {OURS: versions(OURS, ("numpy", "pyarrow", "scipy"))}
        used[EVIDENTLY.environment] = versions(EVIDENTLY.environment, ("evidently", "numpy", "pandas", "scipy"))
        numbers = {"rows": options.rows, "columns": COLUMNS, "versions": used, "rounds": rounds}
        options.out.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
