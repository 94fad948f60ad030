"""A slot a model: which version is live, and which one should be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Literal

from mainspring.registry.desired import DesiredModel
from mainspring.serving.loading import LoadedVersion
from mainspring.serving.problems import Problem, unknown

State = Literal["live", "loading", "failed", "unloaded", "unfitted"]


class Slot:
    """One model. Changed by the reconciler only, and on the event loop only: a flip is one assignment.

    `desired` is what the control plane wants, None where the model is declared and nothing was promoted yet.
    `error` is why the wanted version is not live; an older one may be.
    """

    def __init__(self, name: str, desired: DesiredModel | None = None) -> None:
        self.name = name
        self.desired = desired
        self.live: LoadedVersion | None = None
        self.error: str | None = None
        self.failures = 0
        self.retry_at = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> str | None:
        """The version that should be live, or None."""
        return self.desired.champion if self.desired and self.desired.loaded else None

    @property
    def reached(self) -> bool:
        """Whether the live version is the wanted one."""
        return (self.live.name if self.live else None) == self.wanted

    @property
    def state(self) -> State:
        """In one word; `failed` also while an older version goes on answering."""
        if self.desired is None:
            return "unfitted"
        if not self.desired.loaded:
            return "unloaded"
        if self.error:
            return "failed"
        return "live" if self.reached else "loading"

    def current(self, version: str | None = None) -> LoadedVersion:
        """The version that answers; only live ones can be asked, also where a client insists on a `version`.

        The one place that chooses: shares of traffic between several versions would be drawn here.

        Raises:
            Problem: none is live, and why; or another one is.
        """
        if self.live is None:
            raise Problem(503, self._why_not())
        if version is not None and version != self.live.name:
            raise unknown(f"live version of {self.name}", version, [self.live.name])
        return self.live

    def lease(self, version: str | None = None) -> LoadedVersion:
        """As `current`, kept in memory until its `release` is called."""
        loaded = self.current(version)
        loaded.leases += 1
        return loaded

    def _why_not(self) -> str:
        why = {
            "unfitted": f"{self.name} has no version yet: run `mainspring fit {self.name}`",
            "unloaded": f"{self.name} is switched off: load it with POST /v2/repository/models/{self.name}/load",
            "failed": f"{self.name} could not be loaded: {self.error}",
        }
        return why.get(self.state, f"{self.name} is being loaded")


class Slots:
    """The slots of all models, by name."""

    def __init__(self, declared: Iterable[str]) -> None:
        self._declared = tuple(declared)
        self._slots = {name: Slot(name) for name in self._declared}

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def find(self, name: str) -> Slot:
        """The model called `name`.

        Raises:
            Problem: 404, with the names there are.
        """
        try:
            return self._slots[name]
        except KeyError:
            raise unknown("model", name, self._slots) from None

    def live(self) -> list[LoadedVersion]:
        """The live versions, by model name."""
        return [slot.live for _, slot in sorted(self._slots.items()) if slot.live]

    def want(self, models: dict[str, DesiredModel]) -> None:
        """Note what should be live. A model that is no longer wanted keeps its slot until it is unloaded."""
        for name, desired in models.items():
            slot = self._slots.setdefault(name, Slot(name))
            if slot.desired != desired:
                slot.desired, slot.error, slot.failures, slot.retry_at = desired, None, 0, 0.0
        for slot in self:
            if slot.name not in models:
                slot.desired, slot.error = None, None

    def forget(self, slot: Slot) -> None:
        """Drop the slot of a model that is neither declared nor wanted any more."""
        if slot.desired is None and slot.live is None and slot.name not in self._declared:
            self._slots.pop(slot.name, None)
