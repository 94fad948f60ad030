"""What does fitting find for a prompt, and does the gate see that a shorter one is worse?

    python benchmarks/prompting.py [--seed 0] [--out FILE]

The school of `docs/guide/prompting.md`: SmolLM2-135M adds apples. There are 144 sums, one for each pair of numbers from
1 to 12, with names drawn by `--seed`. The prompt is fitted as `mainspring fit` does it: directly, with examples, and
with zero-shot chain of thought, on 60 % of the sums; the winner is judged on the other 40 %. Then the prompt is
shortened, and fitted and judged once more, against the first version. Intervals are of 95 %.

The chat model is fitted once, in `.benchmarks/language/prompting`, and kept; the prompt is fitted in a copy of that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from gateway import BASE, MODEL, fitted
from peers import WORK

from mainspring import spec
from mainspring.evaluation.scores import mean_score
from mainspring.registry import versions

DESK = f'[models.{MODEL}]\ntask = "chat"\nbase = "{BASE}"\n'
APPLES = f"""
[models.apples]
task = "prompt"
prompt = "apples.md"
model = "{MODEL}"
data = "apples.jsonl"
target = "answer"
strategies = ["direct", "few-shot", "zero-shot-chain-of-thought"]
holdout = 0.4
"""
PROMPTS = {
    "long": "{{name}} has {{a}} apples and gets {{b}} more. How many apples does {{name}} have?",
    "short": "What is {{a}} + {{b}}? (The apples of {{name}}.)",
}
TOKENS = 64  # at most, of an answer or a reasoning
NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")
NUMBERS = range(1, 13)


def sums(seed: int) -> str:
    """The questions, as JSON lines, in an order of their own."""
    draw = random.Random(seed)
    found = [{"name": draw.choice(NAMES), "a": a, "b": b, "answer": a + b} for a in NUMBERS for b in NUMBERS]
    draw.shuffle(found)
    return "".join(json.dumps(each) + "\n" for each in found)


def fit_prompt(folder: Path, text: str) -> dict[str, Any]:
    """`mainspring fit apples` with this text, which prints what it does; the report of the version."""
    (folder / "apples.md").write_text(
        f'+++\nanswer = "number"\n\n[sampling]\nmax_tokens = {TOKENS}\n+++\n\n# user\n{text}\n'
    )
    command = [sys.executable, "-m", "mainspring.cli", "fit", "apples", "--project", str(folder)]
    wide = os.environ | {"COLUMNS": "120"}
    done = subprocess.run(command, stderr=subprocess.STDOUT, env=wide)
    if done.returncode not in (0, 3):  # 3: the gate said no
        raise SystemExit(f"the fit ended with {done.returncode}")
    version = versions.load_all(spec.load(folder).state, "apples")[-1]
    report: dict[str, Any] = json.loads(version.file(versions.REPORT).read_bytes())
    return report


def show(report: dict[str, Any]) -> None:
    """What was tried, and what it is worth, as Markdown."""
    metric = report["metric"]
    print(f"\n| on training questions | questions | {metric} | tokens | calls |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for trial in report["trials"]:
        number = trial["questions"]
        right = np.arange(number) < round(trial["score"] * number)  # each sum is right or wrong
        score = mean_score(right.astype(np.float64)).as_dict()
        row = (trial["candidate"], str(number), spread(score, 3), f"{trial['tokens']:.0f}", f"{trial['calls']:.0f}")
        print("| " + " | ".join(row) + " |")
    print(f"\n| on held-out questions | questions | {metric} | tokens |")
    print("| --- | ---: | ---: | ---: |")
    for one in report["held_out"]:
        score, tokens = (one["metrics"][name] for name in (metric, "tokens"))
        print(f"| {one['who']} | {one['questions']} | {spread(score, 3)} | {spread(tokens, 0)} |")
    print(flush=True)


def spread(estimate: dict[str, float], digits: int) -> str:
    """A value with its interval."""
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the names and of the order")
    parser.add_argument("--out", type=Path, help="a JSON file for every figure")
    options = parser.parse_args()
    kept = WORK / "prompting"
    fitted(DESK, kept)
    everything = {}
    with tempfile.TemporaryDirectory(prefix="mainspring-prompting-") as made:
        folder = Path(made) / "school"
        shutil.copytree(kept, folder)
        with (folder / spec.FILE_NAME).open("a") as file:
            file.write(APPLES)
        (folder / "apples.jsonl").write_text(sums(options.seed))
        for name, text in PROMPTS.items():
            print(f"The {name} prompt: {text}\n", flush=True)
            everything[name] = fit_prompt(folder, text)
            show(everything[name])
    if options.out:
        options.out.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
