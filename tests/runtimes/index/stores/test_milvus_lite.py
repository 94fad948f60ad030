"""Milvus Lite: a database of its own, written in Python, which takes the calls that a server of Milvus's takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.filters import read_filter
from mainspring.runtimes.index.stores.milvus import MilvusStore
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import WIDTH, Conformance, Opening, check, entries, question

SETTINGS = StoreSettings(kind="milvus")


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    folder = tmp_path_factory.mktemp("lite")
    return lambda name: MilvusStore(SETTINGS, folder / name)


class TestMilvusLite(Conformance):
    pass


def test_fields_that_are_too_long(opening: Opening) -> None:
    store = opening("long")
    store.create(WIDTH)
    [entry] = entries(31)[:1]
    fitting, longer = "ü" * 32_000, "ü" * 32_800
    store.insert([msgspec.structs.replace(entry, fields={"title": fitting, "page": 1})])
    with pytest.raises(StoreError, match=rf"passage {entry.id} have 65,6.. bytes, .*65,535 \(the longest is 'title'"):
        store.insert([msgspec.structs.replace(entry, fields={"title": longer, "page": 1})])
    store.publish()
    [hit] = store.search(question(1, 1.0), 5, read_filter({"title": fitting}))
    assert hit.id == entry.id
    store.close()


def test_another_process_has_it_open(opening: Opening, tmp_path: Path) -> None:
    store = MilvusStore(SETTINGS, tmp_path)
    store.create(WIDTH)
    script = (
        "import sys, pathlib\n"
        "from mainspring.runtimes.index.stores.milvus import MilvusStore\n"
        "from mainspring.runtimes.index.stores.settings import StoreSettings\n"
        "MilvusStore(StoreSettings(kind='milvus'), pathlib.Path(sys.argv[1])).count()\n"
    )
    run = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True)
    assert "StoreError: cannot open it (Milvus Lite in " in run.stderr
    assert "has it open" in run.stderr
    store.close()


def test_two_stores_of_one_process(tmp_path: Path) -> None:
    one, other, some = MilvusStore(SETTINGS, tmp_path), MilvusStore(SETTINGS, tmp_path), entries(40)
    one.create(WIDTH)
    one.insert(some)
    one.publish()
    check(other, some, question(1, 0.5), 5)
    one.close()
    check(other, some, question(2, 0.5), 5)
    other.close()
