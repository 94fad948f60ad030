"""From files to a searchable index: Mainspring beside LangChain, LlamaIndex and txtai, with the same weights.

    python benchmarks/indexing.py DOCS [--files 25] [--rounds 3] [--peers NAMES] [--no-files] [--sizes N,N,...]

DOCS is the folder `_sources` of Debian's python3.11-doc: 497 files of reStructuredText. Of them a sample is taken, by
their digests. Each peer runs in a process and an environment of its own, with the same all-MiniLM-L6-v2, on the same
cores; rounds go through all in turn. Their weights are loaded and warm when the clock starts, ours are loaded within.

passages   the peers get our passages, and read and split nothing: the same work for the encoder
files      the peers split the files as their guides show; how many of their chunks are longer than what the encoder
           takes, and silently cut, is counted

With `--sizes`, Mainspring alone indexes as many files, and indexes again when one in a hundred has changed: how long
that takes, and the most memory (all of it, and without files that are mapped). Beyond the 497 files there are, they are
taken again with a line added that tells them apart, and what was embedded for the size before is known. Such a size
tells of memory alone.

Beside the seconds that pass, those of the processor are counted: on a machine that others share, only they compare.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from peers import run, say

from mainspring import spec
from mainspring.runtimes.index.index import Index
from mainspring.tasks import embedder
from mainspring.weights import resolve

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".benchmarks/indexing"
PEERS = ("langchain", "llamaindex", "txtai")
_ONE_PERCENT = 100


def prepare(peer: str) -> str:
    """The interpreter that has the peer, installed if it is not there for these requirements."""
    folder, wanted = WORK / peer, HERE / f"indexing/requirements-{peer}.txt"
    python, stamp = folder / "venv/bin/python", folder / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != wanted.read_text():
        say(f"installing {peer} (minutes)")
        run(sys.executable, "-m", "venv", "--clear", folder / "venv")
        torch = wanted.read_text().splitlines()[0]
        run(python, "-m", "pip", "install", "--quiet", torch)  # for processors alone, and kept by what follows
        run(python, "-m", "pip", "install", "--quiet", "--requirement", wanted)
        stamp.write_text(wanted.read_text())
    return str(python)


def measured(*command: str | Path) -> dict[str, Any]:
    """What a worker says in its last line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "OMP"))}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def project_of(docs: Path, files: int, name: str) -> Path:
    """A project with a sample of the files."""
    folder = WORK / name
    shutil.rmtree(folder / "docs", ignore_errors=True)
    (folder / "docs").mkdir(parents=True)
    every = sorted(
        docs.rglob("*.rst.txt"), key=lambda path: hashlib.sha256(str(path.relative_to(docs)).encode()).digest()
    )
    for number in range(files):
        turn, at = divmod(number, len(every))
        target = folder / "docs" / f"{turn}_{'_'.join(every[at].relative_to(docs).parts)}".removesuffix(".txt")
        shutil.copyfile(every[at], target)
        if turn:
            append(target, f"This is copy {turn} of it.")
    (folder / "mainspring.toml").write_text(
        '[project]\nname = "indexing"\n\n[models.docs]\ntask = "retrieval"\ndata = "docs/*.rst"\n'
    )
    project = spec.load(folder)
    embedder.prepare(project, project.retrieval("docs"), say)
    return folder


def change(folder: Path) -> int:
    """Add a paragraph to one file in a hundred, but to one at the least."""
    paths = sorted((folder / "docs").iterdir())
    chosen = paths[:: max(1, min(_ONE_PERCENT, len(paths)))]
    for path in chosen:
        append(path, f"This was added later, and says {os.urandom(4).hex()}.")
    return len(chosen)


def append(path: Path, paragraph: str) -> None:
    with path.open("a") as file:
        file.write(f"\n\n{paragraph}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--files", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--no-files", action="store_true", help="the peers get our passages alone")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    peers = [peer for peer in options.peers.split(",") if peer]
    pythons = {peer: prepare(peer) for peer in peers}
    model = resolve("all-minilm-l6-v2", Path()).path
    folder = project_of(options.docs, options.files, "project")
    ours = (sys.executable, HERE / "indexing/ours.py", folder)
    rounds: dict[str, list[dict[str, Any]]] = {}
    for number in range(options.rounds):
        say(f"round {number + 1}")
        first = measured(*ours, "first")
        rounds.setdefault("mainspring", []).append(first)
        rounds.setdefault("bare encoder", []).append(measured(*ours, "bare"))
        index = Index.load(folder / "index")
        passages = folder / "passages.json"
        passages.write_text(json.dumps([passage.indexed for _, passage in index.passages()]))
        index.close()
        for peer in peers:
            for way, what in (("passages", passages), ("files", folder / "docs")):
                if way == "files" and (number or options.no_files):
                    continue
                found = measured(pythons[peer], HERE / "indexing/peer.py", peer, what, str(model))
                say(f"{peer}, {way}: {json.dumps(found)}")
                rounds.setdefault(f"{peer}, {way}", []).append(found)
        changed = change(folder)
        again = measured(*ours, "again") | {"changed": changed}
        rounds.setdefault("again", []).append(again)
        say(f"mainspring {json.dumps(first)}\nagain {json.dumps(again)}")
        keep(rounds, options.out)
    for size in sorted(options.sizes):
        sized = project_of(options.docs, size, "sized")
        worker = (sys.executable, HERE / "indexing/ours.py", sized)
        copied = size > len(list(options.docs.rglob("*.rst.txt")))
        rounds[f"{size} files"] = [measured(*worker, "known" if copied else "first")]
        changed = change(sized)
        rounds[f"{size} files, again"] = [measured(*worker, "again") | {"changed": changed}]
        say(json.dumps([rounds[f"{size} files"], rounds[f"{size} files, again"]]))
        keep(rounds, options.out)
    print(table(rounds))


def keep(rounds: dict[str, list[dict[str, Any]]], path: Path | None) -> None:
    """Write what is known so far, for a run that is ended early."""
    if path is not None:
        path.write_text(json.dumps(rounds, indent=1))


def table(rounds: dict[str, list[dict[str, Any]]]) -> str:
    """Medians over the rounds; how many times ours are as fast is the median of each round's own ratio."""
    lines = [
        "| | passages | seconds | passages/s | of processor time | ours is faster | peak MiB | cut |",
        "| --- |" + " ---: |" * 7,
    ]
    ours = rounds.get("mainspring", [])
    for name, found in rounds.items():
        first = found[0]
        seconds = statistics.median(one["seconds"] for one in found)
        rates = ["", ""]
        if not name.endswith("again"):
            rates = [f"{statistics.median(rate(one, key) for one in found):.1f}" for key in ("seconds", "cpu")]
        ratio = ""
        if ours and (name.endswith("passages") or name == "bare encoder"):
            pairs = list(zip(ours, found, strict=True))
            times = (
                statistics.median(rate(mine, key) / rate(one, key) for mine, one in pairs) for key in ("seconds", "cpu")
            )
            ratio = " · ".join(f"{each:.2f}" for each in times)
        cut = f"{first['cut']} ({first['lost']:.0%} of all tokens)" if "cut" in first else ""
        peak = " · ".join(
            f"{statistics.median(one[key] for one in found):.0f}" for key in ("peak", "own") if key in first
        )
        cells = (name, first["passages"], f"{seconds:.2f}", *rates, ratio, peak, cut)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for again in rounds:
        first_time = "mainspring" if again == "again" else again.removesuffix(", again")
        if again != first_time:
            parts = [b["seconds"] / a["seconds"] for a, b in zip(rounds[first_time], rounds[again], strict=True)]
            lines.append(f"\n{again}: {statistics.median(parts):.2%} of the first time")
    return "\n".join(lines)


def rate(told: dict[str, Any], key: str) -> float:
    """Passages per second, that passed (`seconds`) or of the processor (`cpu`)."""
    return told["passages"] / told[key]


if __name__ == "__main__":
    main()
