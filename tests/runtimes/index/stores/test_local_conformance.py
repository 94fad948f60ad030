from __future__ import annotations

from pathlib import Path

import pytest

from mainspring.runtimes.index.stores.dense import EXACT
from mainspring.runtimes.index.stores.local import LocalStore

from .conformance import Conformance, Opening


class TestLocal(Conformance):
    @pytest.fixture(scope="class", params=[EXACT, 300], ids=["exact", "graph"])
    @classmethod
    def opening(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opening:
        """As files, with all vectors compared, and with a graph."""
        folder: Path = tmp_path_factory.mktemp("local")
        return lambda name: LocalStore(folder / name, exact=request.param)
