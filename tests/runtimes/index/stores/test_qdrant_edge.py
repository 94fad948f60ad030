"""Qdrant's embedded engine: the real one, in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.runtimes.index.stores.qdrant import open_qdrant
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import WIDTH, Conformance, Opening, check, entries, question


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    folder = tmp_path_factory.mktemp("edge")
    return lambda name: open_qdrant(StoreSettings(kind="qdrant"), folder / name)


class TestQdrantEdge(Conformance):
    pass


def test_a_published_index_is_read_by_several_processes(tmp_path: Path) -> None:
    store, some = open_qdrant(StoreSettings(kind="qdrant"), tmp_path), entries(40)
    store.create(WIDTH)
    store.insert(some)
    store.publish()
    check(store, some, question(1, 0.5), 5)
    script = (
        "import sys, pathlib\n"
        "from mainspring.runtimes.index.stores.qdrant import open_qdrant\n"
        "from mainspring.runtimes.index.stores.settings import StoreSettings\n"
        "store = open_qdrant(StoreSettings(kind='qdrant'), pathlib.Path(sys.argv[1]))\n"
        "print(store.count())\n"
        "store.close()\n"
    )
    assert subprocess.check_output([sys.executable, "-c", script, tmp_path], text=True) == "40\n"
    check(store, some, question(2, 0.5), 5)
    store.close()
