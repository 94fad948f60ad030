"""How a fit goes along, and what comes of it: the words that every kind of model and the command line share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mainspring.lifecycle.lineage import Fingerprint
from mainspring.registry.versions import Version

if TYPE_CHECKING:
    from mainspring.tasks.search import Trial

Outcome = Literal["promoted", "trial", "kept", "unchanged", "failed"]


@dataclass(frozen=True)
class Result:
    """What became of one model. `kept`: a version was made, and the gate did not let it through; `trial`: it did, and
    the version has to show itself in live traffic.
    """

    model: str
    outcome: Outcome
    version: str | None
    message: str
    seconds: float = 0.0
    verdict: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None


@dataclass(frozen=True)
class Prepared:
    """What a version would be made from, as a fingerprint, and how: `make` writes it into a staged folder."""

    fingerprint: Fingerprint
    make: Callable[[Path], Version]


class Watcher:
    """Told how a fit goes along; the command line's watcher draws it."""

    def step(self, model: str, what: str) -> None:
        """A step begins."""

    def note(self, model: str, what: str) -> None:
        """Something that the user should know."""

    def trial(self, model: str, metric: str, trial: Trial, best: Trial, done: int) -> None:
        """A trial of the search ended."""
