"""A slot a model: which versions are live, which ones should be, and which of them answers a request.

The champion answers, except for the share of a canary beside it. A request with a business key is drawn by a hash of
the key, so that a customer meets the same version each time, from every worker and after a restart; and who is with
the canary stays with it when its share grows. A shadow is live too, but answers nobody: see `shadow`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Literal

from mainspring.registry.desired import DesiredModel
from mainspring.serving.live import LiveVersion
from mainspring.serving.problems import Problem, unknown

State = Literal["live", "loading", "failed", "unloaded", "unfitted"]


class Slot:
    """One model. Changed by the reconciler only, and on the event loop only, so that no request sees half a change.

    `desired` is what the control plane wants, None where the model is declared and nothing was promoted yet.
    `live` is the champion, or the one before it until the champion is there; `beside` are the canary and the shadow.
    `errors` says of each wanted version that is not live why.
    """

    def __init__(self, name: str, desired: DesiredModel | None = None) -> None:
        self.name = name
        self.desired = desired
        self.live: LiveVersion | None = None
        self.beside: dict[str, LiveVersion] = {}
        self.errors: dict[str, str] = {}
        self.failures = 0
        self.retry_at = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> str | None:
        """The version that should answer, or None."""
        return self.desired.champion if self.desired and self.desired.loaded else None

    @property
    def wanted_versions(self) -> tuple[str, ...]:
        """All versions that should be live, the champion first."""
        if self.desired is None or not self.desired.loaded:
            return ()
        shadow = self.desired.shadow
        return tuple(dict.fromkeys((*(route.version for route in self.desired.routes), *((shadow,) if shadow else ()))))

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions that are live, the one that answers first."""
        return (self.live.name, *self.beside) if self.live else ()

    @property
    def loaded(self) -> list[LiveVersion]:
        """They themselves."""
        return [self.live, *self.beside.values()] if self.live else []

    @property
    def reached(self) -> bool:
        """Whether the live versions are the wanted ones."""
        return self.versions == self.wanted_versions

    @property
    def error(self) -> str | None:
        """Why wanted versions are not live; an older one may be."""
        return "; ".join(f"version {version}: {why}" for version, why in self.errors.items()) or None

    @property
    def state(self) -> State:
        """In one word; `failed` also while an older version goes on answering, or the champion without its canary."""
        if self.desired is None:
            return "unfitted"
        if not self.desired.loaded:
            return "unloaded"
        if self.errors:
            return "failed"
        return "live" if self.reached else "loading"

    @property
    def shadow(self) -> LiveVersion | None:
        """The version that answers beside the others and is not heard, where one is live."""
        return self.beside.get(self.desired.shadow) if self.beside and self.desired and self.desired.shadow else None

    @property
    def shares(self) -> dict[str, float]:
        """What share of the traffic each live version takes now; that of a canary only once it is live."""
        if self.live is None:
            return {}
        routes = self.desired.routes[1:] if self.desired else ()
        canaries = {route.version: route.share for route in routes if route.version in self.beside}
        rest = {self.live.name: 1.0 - sum(canaries.values())}
        return {**dict.fromkeys(self.versions, 0.0), **rest, **canaries}

    def arrange(self, arrived: LiveVersion | None = None) -> list[LiveVersion]:
        """Put each live version, and the one that `arrived`, where it is wanted; those that nobody wants come back.

        A version that is live already is not loaded again: a canary that was promoted becomes the champion as it is.
        """
        here = {loaded.name: loaded for loaded in (self.live, *self.beside.values(), arrived) if loaded}
        wanted = self.wanted_versions
        live = (here.get(wanted[0]) or self.live) if wanted else None
        beside = {name: here[name] for name in wanted[1:] if name in here and here[name] is not live}
        self.live, self.beside = live, beside  # the flip: one assignment
        return [loaded for name, loaded in here.items() if loaded is not live and name not in beside]

    def stand_in(self, loaded: LiveVersion) -> None:
        """Let an older version answer until the champion is there."""
        self.live = loaded

    def current(self, version: str | None = None) -> LiveVersion:
        """The champion, or the live version that a client insists on.

        Raises:
            Problem: none is live, and why; or `version` is not.
        """
        if self.live is None:
            raise Problem(503, self._why_not())
        if version is None or version == self.live.name:
            return self.live
        if version not in self.beside:
            raise unknown(f"live version of {self.name}", version, self.versions)
        return self.beside[version]

    def lease(self, version: str | None = None, key: str = "") -> LiveVersion:
        """The version that answers a request with this business `key`, kept in memory until its `release` is called.

        Raises:
            Problem: as `current` does.
        """
        loaded = self.current(version)
        if canaries := self.desired.routes[1:] if version is None and self.beside and self.desired else ():
            point = self._point(key)
            for route in canaries:
                if point < route.share:
                    loaded = self.beside.get(route.version, loaded)
                    break
                point -= route.share
        loaded.leases += 1
        return loaded

    def _point(self, key: str) -> float:
        """Where between 0 and 1 a request falls: the same for the same key, anywhere and always."""
        if not key:
            return random.random()
        digest = blake2b(f"{self.name}\0{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

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

    def live(self) -> list[LiveVersion]:
        """The live champions, by model name."""
        return [slot.live for _, slot in sorted(self._slots.items()) if slot.live]

    def want(self, models: dict[str, DesiredModel]) -> None:
        """Note what should be live. A model that is no longer wanted keeps its slot until it is unloaded."""
        for name, desired in models.items():
            slot = self._slots.setdefault(name, Slot(name))
            if slot.desired != desired:
                slot.desired, slot.errors, slot.failures, slot.retry_at = desired, {}, 0, 0.0
        for slot in self:
            if slot.name not in models:
                slot.desired, slot.errors = None, {}

    def forget(self, slot: Slot) -> None:
        """Drop the slot of a model that is neither declared nor wanted any more."""
        if slot.desired is None and slot.live is None and slot.name not in self._declared:
            self._slots.pop(slot.name, None)
