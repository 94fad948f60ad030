"""Qdrant's embedded engine: the real one, in this process."""

from __future__ import annotations

import pytest

from mainspring.runtimes.index.stores.qdrant import open_qdrant
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import Conformance, Opening


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    folder = tmp_path_factory.mktemp("edge")
    return lambda name: open_qdrant(StoreSettings(kind="qdrant"), folder / name)


class TestQdrantEdge(Conformance):
    pass
