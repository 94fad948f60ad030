"""Mainspring indexes a folder, and says in JSON how long that took: ours.py PROJECT (first | known | again | bare)

first   all of it, with no embedding known
known   all of it, with the embeddings that are known
again   once more, from the index of the last time, whatever has changed in the folder since
bare    the passages of the last index, already as tokens, through the encoder alone: what indexing cannot surpass
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from mainspring import spec
from mainspring.data.documents.collection import collect
from mainspring.registry.vector_cache import VectorCache
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings
from mainspring.tasks import embedder, indexing

MODEL = "docs"


def main(folder: Path, what: str) -> None:
    project = spec.load(folder)
    prepared = embedder.prepare(project, project.retrieval(MODEL), lambda _: None)
    if what == "bare":
        print(json.dumps(_bare(folder / "index", prepared)))
        return
    cache = VectorCache.of(project, prepared.identity)
    if what == "first":
        shutil.rmtree(folder / "index", ignore_errors=True)
        cache.collect([])
    new = folder / "new"
    shutil.rmtree(new, ignore_errors=True)
    watch = _Watch()
    begun, cpu = time.perf_counter(), _cpu()
    made = indexing.index(
        collect(project, MODEL), new, prepared, cache, language="english", store=StoreSettings(),
        previous=folder / "index" if what == "again" else None, say=lambda _: None,
    )  # fmt: skip
    took, cpu = time.perf_counter() - begun, _cpu() - cpu
    shutil.rmtree(folder / "index", ignore_errors=True)
    new.rename(folder / "index")
    told = {name: value for name, value in asdict(made).items() if isinstance(value, int)} | {
        "tried": [str(one) for one in made.tried],
        "seconds": took,
        "cpu": cpu,
        "stages": made.seconds,
        "unread": [one.source for one in made.unread],
        "peak": _status("VmHWM"),
        "own": watch.end(),
    }
    print(json.dumps(told))


def _bare(folder: Path, prepared: embedder.PreparedEmbedder) -> dict[str, float]:
    index = Index.load(folder)
    texts = prepared.tokens().ids([passage.indexed for _, passage in index.passages()])  # type: ignore[attr-defined]
    encoder = BulkEncoder(prepared.folder, BulkSettings(streams=os.cpu_count() or 1))
    encoder.vectors(texts[:64])
    begun, cpu = time.perf_counter(), _cpu()
    encoder.vectors(texts)
    return {"passages": len(texts), "seconds": time.perf_counter() - begun, "cpu": _cpu() - cpu,
            "tokens": sum(map(len, texts))}  # fmt: skip


def _cpu() -> float:
    """Seconds of processor, of this process and of those that it has ended (readers run in one of their own)."""
    return sum(os.times()[:4])


class _Watch(threading.Thread):
    """The most memory that is the process's own, in MiB: files that are mapped are not among it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._most = 0.0
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self._most = max(self._most, _status("RssAnon"))

    def end(self) -> float:
        self._over.set()
        self.join()
        return self._most


def _status(name: str) -> float:
    """A figure of the kernel's in MiB. (`getrusage` starts with what the process had that began this one.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
