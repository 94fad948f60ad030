"""Makes what is live equal to desired state: load, warm, prove with golden examples, flip, drain, unload.

The file is looked at a few times a second. Each model goes its own way, so that one that loads slowly or fails does not
hold up another; its versions come one after the other, the champion first. A version that fails is tried again after 1,
2, 4, … 60 seconds (a file may be restored), or as soon as something else is wanted; until then the version that was
live goes on answering, and of a canary or a shadow the champion alone. A gateway that begins with such a champion lets
the one before it answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mainspring.errors import MainspringError, RegistryError
from mainspring.registry import desired, history
from mainspring.registry.desired import Desired
from mainspring.serving.live import LiveVersion
from mainspring.serving.loading import give_back_memory, load
from mainspring.serving.metrics import Metrics
from mainspring.serving.slots import Slot, Slots
from mainspring.serving.watching import WatchedFile

log = logging.getLogger("mainspring.serving")

_LONGEST_WAIT = 60.0
_SETTLE_SECONDS = 10.0


class Reconciler:
    """Follows the desired state in `state`, and fills `slots`. All but the loading happens on the event loop.

    An engine of a language model that says nothing for `silence` seconds is taken for gone.
    """

    def __init__(
        self, state: Path, slots: Slots, metrics: Metrics, on_change: Callable[[], None], *, silence: float
    ) -> None:
        self._state = state
        self._silence = silence
        self._slots = slots
        self._metrics = metrics
        self._on_change = on_change
        self._file = WatchedFile(desired.path(state))
        self._loaders = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="load")
        self._looked = False
        self._known = False
        self._dropped = False

    def look(self) -> None:
        """See what is wanted, and begin what there is to do. Call it often."""
        if self._file.changed() or not self._looked:
            self._looked = True
            self._read()
        for slot in self._slots:
            waiting = slot.errors and time.monotonic() < slot.retry_at
            if not slot.reached and not waiting and (slot.task is None or slot.task.done()):
                slot.task = asyncio.create_task(self._bring(slot), name=f"bring {slot.name}")
            self._slots.forget(slot)
        if self._dropped:  # by now the last request has let go of it
            self._dropped = False
            self._loaders.submit(give_back_memory)

    async def settle(self) -> None:
        """Do what there is to do, and return when each model has arrived or failed.

        A language model that is still being read from the disk after ten seconds must not hold up all others.
        """
        self.look()
        if tasks := [slot.task for slot in self._slots if slot.task]:
            await asyncio.wait(tasks, timeout=_SETTLE_SECONDS)

    async def settle_one(self, slot: Slot) -> None:
        """As `settle`, for one model, and without waiting for its next try if it failed."""
        slot.retry_at = 0.0
        self.look()
        if slot.task:
            await asyncio.shield(slot.task)

    async def close(self) -> None:
        """Stop following. What is live stays."""
        for slot in self._slots:
            if slot.task:
                slot.task.cancel()
        self._loaders.shutdown(wait=False, cancel_futures=True)

    def _read(self) -> None:
        if self._known and not desired.path(self._state).exists():
            log.error("%s is gone: what is live stays live", desired.path(self._state))
            return
        try:
            wanted = self._wanted()
        except (RegistryError, OSError) as error:
            log.error("what is live stays live: %s", error)
            return
        self._known = desired.path(self._state).exists()
        self._slots.want(wanted.models)
        for slot in self._slots:
            self._arrange(slot)  # what needs no loading is done at once: an end, or another share

    def _wanted(self) -> Desired:
        """Desired state; of a gateway that begins where its file is damaged or gone, the last known champions."""
        try:
            wanted = desired.read(self._state)
        except RegistryError as error:
            if self._known or any(slot.live for slot in self._slots):
                raise
            log.error("the champions of the history are served: %s", error)
            return desired.from_history(self._state)
        return wanted if desired.path(self._state).exists() else desired.from_history(self._state)

    async def _bring(self, slot: Slot) -> None:
        """Bring one model to where it is wanted, wherever that moves meanwhile."""
        failed: set[str] = set()
        while missing := [name for name in slot.wanted_versions if name not in slot.versions and name not in failed]:
            version = missing[0]
            started = time.monotonic()
            try:
                loaded = await asyncio.get_running_loop().run_in_executor(
                    self._loaders, load, self._state, slot.name, version, self._slots, self._silence
                )
                await loaded.open()
            except Exception as error:
                failed.add(version)
                if version in slot.wanted_versions:
                    self._failed(slot, version, error)
                if version == slot.wanted:
                    if slot.live is None:
                        await self._stand_in(slot, version)
                    return  # a canary or a shadow of another champion than the one it was meant for tells nothing
                continue
            if version in slot.wanted_versions:
                slot.errors.pop(version, None)
                slot.failures = slot.failures if slot.errors else 0
                self._metrics.reloads.labels(slot.name, "ok").inc()
                self._arrange(slot, loaded)
                log.info("%s version %s is live, after %.2f s", slot.name, version, time.monotonic() - started)

    async def _stand_in(self, slot: Slot, champion: str) -> None:
        """Bring the champion before `champion`, which cannot be loaded here: an older answer is better than none."""
        before = history.previous_champion(self._state, slot.name, champion)
        if before is None:
            return
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(
                self._loaders, load, self._state, slot.name, before, self._slots, self._silence
            )
            await loaded.open()
        except MainspringError as error:
            log.error("%s version %s cannot stand in for %s: %s", slot.name, before, champion, error)
            return
        if slot.live is None and slot.wanted == champion:
            slot.stand_in(loaded)
            self._arrange(slot)
            log.warning("%s version %s stands in for %s", slot.name, before, champion)

    def _arrange(self, slot: Slot, arrived: LiveVersion | None = None) -> None:
        """Put the versions of `slot` where they are wanted, unload the others, and tell who has what share now."""
        for loaded in slot.arrange(arrived):
            self._metrics.info.labels(slot.name, loaded.name).set(0)
            self._metrics.share.labels(slot.name, loaded.name).set(0)
            self._retire(slot.name, loaded)
        for version, share in slot.shares.items():
            self._metrics.info.labels(slot.name, version).set(1)
            self._metrics.share.labels(slot.name, version).set(share)
        self._on_change()

    def _retire(self, model: str, loaded: LiveVersion) -> None:
        name = loaded.name  # not the version itself, which would keep itself in memory
        loaded.retire(lambda: self._unloaded(model, name))

    def _unloaded(self, model: str, version: str) -> None:
        log.info("%s version %s is unloaded", model, version)
        self._dropped = True

    def _failed(self, slot: Slot, version: str, error: Exception) -> None:
        what = str(error) if isinstance(error, MainspringError) else f"{type(error).__name__}: {error}"
        slot.errors[version] = what
        slot.retry_at = time.monotonic() + min(2.0**slot.failures, _LONGEST_WAIT)
        slot.failures += 1
        self._metrics.reloads.labels(slot.name, "failed").inc()
        stays = f"version {slot.live.name} stays live" if slot.live else "nothing is live"
        # A defect of ours deserves its traceback; a damaged version does not.
        unexpected = None if isinstance(error, MainspringError) else error
        log.error("%s version %s does not go live, %s: %s", slot.name, version, stays, what, exc_info=unexpected)
        self._on_change()
