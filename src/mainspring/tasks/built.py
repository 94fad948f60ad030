"""What making a language model's version gives, of whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mainspring.registry.versions import Golden

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """What a version is made of, beside the files that were written into its folder."""

    candidate: str
    parameters: dict[str, Any]
    metric: str
    metrics: dict[str, dict[str, Any]]
    parity: dict[str, Any]
    evidence: str
    golden: Golden
    report: dict[str, Any]
