from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where a project that does not exist keeps what Mainspring makes."""
    return tmp_path / ".mainspring"
