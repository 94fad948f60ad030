"""What the tests of all stores share."""

from __future__ import annotations

import pytest

from mainspring.runtimes.index.stores import attempts


@pytest.fixture(scope="session", autouse=True)
def short_pauses():
    """Attempts follow each other at once, as often as ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "_PAUSES", (0.01, 0.01, 0.01))
        yield
