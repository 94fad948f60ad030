"""The default store: files in the index's own folder."""

from __future__ import annotations

import pytest

from mainspring.runtimes.index.stores.opening import open_store
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import Conformance, Opening


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Opening:
    folder = tmp_path_factory.mktemp("local")
    return lambda name: open_store(StoreSettings(), folder / name)


class TestLocal(Conformance):
    pass
