"""From the settings of a store to the store, and the end of a collection."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores.opening import drop_collection, open_store
from mainspring.runtimes.index.stores.settings import StoreKind, StoreSettings

from .conformance import WIDTH, check, entries, question


@pytest.mark.parametrize("kind", ["local", "qdrant", "milvus"])
def test_a_collection_in_the_folder_stays_as_it_is_until_it_is_dropped(tmp_path: Path, kind: StoreKind) -> None:
    """The registry checks a version's files by their hashes."""
    settings, some = StoreSettings(kind=kind, collection="handbook-7"), entries(40)
    store = open_store(settings, tmp_path / "index")
    store.create(WIDTH)
    store.insert(some)
    store.publish()
    store.close()
    files = digests(tmp_path)
    store = open_store(settings, tmp_path / "index")
    check(store, some, question(1, 0.5), 5)
    store.close()
    assert digests(tmp_path) == files
    drop_collection(settings, tmp_path / "index")
    drop_collection(settings, tmp_path / "index")
    assert digests(tmp_path) == {}
    with pytest.raises(StoreError, match="fit"):
        open_store(settings, tmp_path / "index").count()


def test_the_local_store_imports_no_database() -> None:
    script = (
        "import sys; from mainspring.runtimes.index.stores import opening, settings; from pathlib import Path\n"
        "opening.open_store(settings.StoreSettings(), Path('nowhere'))\n"
        "print({'pandas', 'pyarrow', 'pymilvus', 'qdrant_client', 'qdrant_edge', 'pinecone'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"


def digests(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
