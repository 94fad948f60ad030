"""Desired state: which version of which model takes how much traffic.

One small file, written atomically by the control plane and followed by every gateway. A gateway needs nothing else to
start, so it serves the last known champions even when the registry's database is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from mainspring.errors import RegistryError
from mainspring.files import lock, write_atomically
from mainspring.registry import history

FILE_NAME = "desired.json"


class Route(msgspec.Struct, frozen=True):
    """A version's share of a model's traffic, from 0 to 1."""

    version: str
    share: float = 1.0


class DesiredModel(msgspec.Struct, frozen=True, kw_only=True):
    """What should be live for one model: the champion is the first route, a canary the second.

    A `shadow` is a version that is asked the same as the others and never heard. `since` is when the champion was
    promoted; `loaded` is false while the model is off.
    """

    routes: Annotated[tuple[Route, ...], msgspec.Meta(min_length=1)]
    since: str
    loaded: bool = True
    shadow: str | None = None

    @property
    def champion(self) -> str:
        """The champion's version."""
        return self.routes[0].version


class Desired(msgspec.Struct, frozen=True):
    """The whole state. `revision` grows by one with every change."""

    revision: int = 0
    models: dict[str, DesiredModel] = {}

    def champion(self, model: str) -> str | None:
        """The version that should be live, or None before the first promotion."""
        entry = self.models.get(model)
        return entry.champion if entry else None


def path(state: Path) -> Path:
    """The file's path."""
    return state / FILE_NAME


def read(state: Path) -> Desired:
    """The state now; an empty one before the first promotion.

    Raises:
        RegistryError: the file is damaged.
    """
    try:
        return msgspec.json.decode(path(state).read_bytes(), type=Desired)
    except FileNotFoundError:
        return Desired()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path(state)} is damaged ({error}): promote a version again to write it anew") from None


def update(state: Path, change: Callable[[dict[str, DesiredModel]], dict[str, DesiredModel]]) -> Desired:
    """Apply `change` to the models, under a lock, and write the result.

    Where the file is damaged, it is made anew from the history first, so that no model loses its champion.
    """
    with lock(state / ".desired.lock", what="a change of desired state", timeout=10.0):
        damaged = False
        try:
            before = read(state)
        except RegistryError:
            before, damaged = from_history(state), True
        models = change(dict(before.models))
        if models == before.models and not damaged:
            return before
        after = Desired(before.revision + 1, models)
        write_atomically(path(state), msgspec.json.format(msgspec.json.encode(after)))
        return after


def from_history(state: Path) -> Desired:
    """The last known champions: what to go by where the file is damaged or gone. Empty before the first promotion."""
    champions = {event.model: event for event in history.read(state) if event.kind in history.CHAMPION_CHANGES}
    return Desired(
        len(champions),
        {model: DesiredModel(routes=(Route(event.version),), since=event.time) for model, event in champions.items()},
    )


def last_known(state: Path) -> Desired:
    """As `read`; where the file is damaged, the champions of the history."""
    try:
        return read(state)
    except RegistryError:
        return from_history(state)


def restore(state: Path) -> bool:
    """Write the file anew with the last known champions, where it is damaged or gone; whether it was.

    What else it said is lost: a trial ends, and a model that was off is on.
    """
    if _is_sound(state):
        return False
    with lock(state / ".desired.lock", what="a change of desired state", timeout=10.0):
        known = from_history(state)
        if _is_sound(state) or not known.models:
            return False
        write_atomically(path(state), msgspec.json.format(msgspec.json.encode(known)))
        return True


def _is_sound(state: Path) -> bool:
    try:
        read(state)
    except RegistryError:
        return False
    return path(state).exists()


def set_champion(state: Path, model: str, version: str) -> Desired:
    """All traffic of `model` to `version`. A rollout ends with it."""

    def change(models: dict[str, DesiredModel]) -> dict[str, DesiredModel]:
        before = models.get(model)
        if before and before.champion == version and before.loaded:  # still the champion, and since then
            return {**models, model: _alone(before)}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {**models, model: DesiredModel(routes=(Route(version),), since=now)}

    return update(state, change)


def set_canary(state: Path, model: str, version: str, share: float) -> Desired:
    """`share` of the traffic of `model` to `version`, the rest to its champion; replaces a canary there was.

    Raises:
        RegistryError: `share` is not between 0 and 1, the model has no champion, or `version` is the champion.
    """
    if not 0.0 < share < 1.0:
        raise RegistryError(f"a canary takes a share between 0 and 1; found {share:g}")

    def changed(before: DesiredModel) -> DesiredModel:
        routes = (Route(before.champion, 1.0 - share), Route(version, share))
        shadow = None if before.shadow == version else before.shadow
        return msgspec.structs.replace(before, routes=routes, shadow=shadow)

    return _roll_out(state, model, version, changed)


def set_shadow(state: Path, model: str, version: str) -> Desired:
    """Let `version` answer beside the champion of `model` without being heard; replaces a shadow there was.

    Raises:
        RegistryError: the model has no champion, or `version` is the champion.
    """

    def changed(before: DesiredModel) -> DesiredModel:
        heard = any(route.version == version for route in before.routes)  # as the canary: from now on no more
        return msgspec.structs.replace(_alone(before) if heard else before, shadow=version)

    return _roll_out(state, model, version, changed)


def end_rollout(state: Path, model: str) -> Desired:
    """Back to the champion of `model` alone; no change where there is no rollout, or no such model."""

    def change(models: dict[str, DesiredModel]) -> dict[str, DesiredModel]:
        return {**models, model: _alone(models[model])} if model in models else models

    return update(state, change)


def _alone(model: DesiredModel) -> DesiredModel:
    return msgspec.structs.replace(model, routes=(Route(model.champion),), shadow=None)


def _roll_out(state: Path, model: str, version: str, changed: Callable[[DesiredModel], DesiredModel]) -> Desired:
    def change(models: dict[str, DesiredModel]) -> dict[str, DesiredModel]:
        if model not in models:
            raise RegistryError(f"{model} has no champion to roll a version out beside: promote one first")
        if models[model].champion == version:
            raise RegistryError(f"version {version} of {model} is the champion: there is nothing to roll out")
        return {**models, model: changed(models[model])}

    return update(state, change)


def set_loaded(state: Path, model: str, loaded: bool) -> Desired:
    """Switch a model on or off in every gateway, as the repository API's load and unload do."""

    def change(models: dict[str, DesiredModel]) -> dict[str, DesiredModel]:
        return {**models, model: msgspec.structs.replace(models[model], loaded=loaded)}

    return update(state, change)
