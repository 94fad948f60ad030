"""How fast is a search in 10,000 and in 1,000,000 passages, beside FAISS, Qdrant's engine in the process, and txtai?

    python benchmarks/search.py [--counts N...] [--engines NAME...] [--rounds 3] [--no-questions]

All search the same made-up collection (`search/made_up.py`) with the same 500 questions, each in a process of its own
(`search/engine.py`): one question after the other (p50, p95), then all of them from as many threads as there are cores.
Recall is how many of the 10 nearest by an exhaustive search in float32 are among the 10 that were found. Engines take
turns within a round; what is printed of times is the median over the rounds. "Hybrid" is by vectors and words at once:
ours by the weighted sum of both scores (0.7 and 0.3), Qdrant's by reciprocal ranks of two lists of 100, txtai's by its
own default; they rank differently, and only times are compared. Up to 100,000 vectors FAISS is asked for an exhaustive
search, and above for HNSW with the same figures as ours, over float32. Each is as its documentation has it otherwise.

Then questions are asked in words: 10,000 passages of Python's documentation, questions from its FAQ, through
`Searcher`: the question is embedded by all-MiniLM-L6-v2, the passages are found by vectors and words, and shown.

What is built is kept under `.benchmarks/search/` (5 GB), and txtai's environment, too.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "search"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "retrieval"))

import numpy as np
from made_up import made_up
from serving import hardware

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".benchmarks/search"
COUNTS = (10_000, 1_000_000)
ENGINES = ("mainspring", "faiss", "qdrant-edge-py", "txtai")
OWN = ("txtai",)  # in an environment of its own
PASSAGES = 10_000
_ENVIRONMENT = os.environ | {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def python_of(engine: str) -> str:
    """The interpreter that has the engine; it is installed, if it has to be."""
    if engine not in OWN:
        return sys.executable
    requirements, folder = HERE / f"search/requirements-{engine}.txt", WORK / engine
    stamp, digest = folder / "requirements.sha256", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "venv/bin/python"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {engine}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        stamp.write_text(digest)
    return str(python)


def run(engine: str, count: int) -> dict[str, Any]:
    """What `search/engine.py` says."""
    collection, work = WORK / str(count), WORK / f"{engine}-{count}"
    command = [python_of(engine), HERE / "search/engine.py", engine, collection, str(count), work]
    done = subprocess.run(command, env=_ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{engine} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def table(count: int, rounds: dict[str, list[dict[str, Any]]], nearest: np.ndarray) -> None:
    print(f"\n**{count:,} passages**\n")
    print(
        "| engine | search | p50, ms | p95, ms | questions/s | recall@10 |\n| --- | --- | ---: | ---: | ---: | ---: |"
    )
    for engine, told in rounds.items():
        for kind in told[0]["searches"]:
            each = [one["searches"][kind] for one in told]
            p50, p95 = (
                statistics.median(float(np.percentile(one["milliseconds"], at)) for one in each) for at in (50, 95)
            )
            rate = statistics.median(one["per_second"] for one in each)
            pairs = zip(each[0]["found"], nearest.tolist(), strict=True)
            recall = statistics.mean(len({*found} & {*wanted}) / len(wanted) for found, wanted in pairs)
            said = f"{recall:.3f}" if kind == "dense" else "–"
            print(f"| {engine} {told[0]['version']} | {kind} | {p50:.2f} | {p95:.2f} | {rate:.0f} | {said} |")


def ask_in_words(questions: int = 150) -> None:
    """From the words of a question to passages that can be shown."""
    from searched import Cut, open_collection
    from sets import write as write_set
    from vectors import WIDTH, Vectors, encoder

    from mainspring.runtimes.index.identity import Embedder
    from mainspring.runtimes.index.index import Index
    from mainspring.runtimes.index.searching import Searcher
    from mainspring.runtimes.index.stores.settings import StoreSettings
    from mainspring.runtimes.index.writing import IndexWriter
    from mainspring.runtimes.language.embedding import load_embedding

    work = HERE.parent / ".benchmarks/retrieval"
    if not (work / "sets/python-faq").is_dir():
        write_set("python-faq", work / "sets/python-faq")
    collection = open_collection("python-faq", work, Cut(), most=PASSAGES)
    vectors = Vectors(work)
    vectors.embed(collection.texts, seconds=3600)
    embedder = Embedder(name="all-minilm-l6-v2", revision="", width=WIDTH, pooling="mean", context=256)
    asked = [one.text for one in collection.questions][:questions]
    with tempfile.TemporaryDirectory() as folder:
        own: dict[str, list[Any]] = {}
        for passage in collection.passages:
            own.setdefault(passage.source, []).append(passage)
        with IndexWriter(Path(folder), embedder, language="english", store=StoreSettings()) as writer:
            for document in collection.documents.values():
                some = own.get(document.source, [])
                writer.add(document, some, vectors.of([one.indexed for one in some]).reshape(-1, WIDTH))
            writer.close()
        began = time.perf_counter()
        index = Index.load(Path(folder))
        loaded = time.perf_counter() - began
        embedding, searching = asyncio.run(_ask(Searcher(load_embedding(encoder(work)), index), index, asked))
    both = [one + other for one, other in zip(embedding, searching, strict=True)]
    print(f"\n**Questions in words, {index.count:,} passages** (the index loads in {loaded:.2f} s)\n")
    print("| of it | p50, ms | p95, ms |\n| --- | ---: | ---: |")
    for name, values in (("embedding", embedding), ("searching", searching), ("both", both)):
        print(f"| {name} | {np.percentile(values, 50):.1f} | {np.percentile(values, 95):.1f} |")


async def _ask(search: Any, index: Any, questions: list[str]) -> tuple[list[float], list[float]]:
    embedding, searching = [], []
    for question in [*questions[:10], *questions]:
        began = time.perf_counter()
        vector = await search.vector(question)
        middle = time.perf_counter()
        await asyncio.to_thread(index.search, question, vector, 10)
        embedding.append(1000 * (middle - began))
        searching.append(1000 * (time.perf_counter() - middle))
    return embedding[10:], searching[10:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=ENGINES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-questions", action="store_true")
    given = parser.parse_args()
    print(hardware())
    for count in given.counts:
        collection = made_up(WORK / str(count), count)
        for engine in given.engines:
            print(f"{engine}, {count:,}: opened in {run(engine, count)['seconds']:.1f} s", file=sys.stderr, flush=True)
        told = {engine: [] for engine in given.engines}
        for _ in range(given.rounds):
            for engine in given.engines:
                told[engine].append(run(engine, count))
        table(count, told, collection.nearest)
    if not given.no_questions:
        ask_in_words()


if __name__ == "__main__":
    main()
