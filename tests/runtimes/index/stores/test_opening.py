"""From the settings of a store to the store, and the end of a collection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores.opening import drop_collection, open_store
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import WIDTH, check, entries, question


@pytest.mark.parametrize("kind", ["local", "qdrant", "milvus"])
def test_a_collection_in_the_folder_is_dropped(tmp_path: Path, kind) -> None:
    settings, some = StoreSettings(kind=kind, collection="handbook-7"), entries(40)
    store = open_store(settings, tmp_path / "index")
    store.create(WIDTH)
    store.insert(some)
    store.publish()
    check(store, some, question(1, 0.5), 5)
    store.close()
    drop_collection(settings, tmp_path / "index")
    drop_collection(settings, tmp_path / "index")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(StoreError, match="fit"):
        open_store(settings, tmp_path / "index").count()


def test_the_local_store_imports_no_database() -> None:
    script = (
        "import sys; from mainspring.runtimes.index.stores import opening, settings; from pathlib import Path\n"
        "opening.open_store(settings.StoreSettings(), Path('nowhere'))\n"
        "print({'pandas', 'pyarrow', 'pymilvus', 'qdrant_client', 'qdrant_edge', 'pinecone'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "set()"
