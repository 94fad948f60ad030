"""Moving the champion: in MLflow, in desired state, in the history, in this order.

The alias is moved first because it is the truth; should the process die before desired state follows, the next follower
or promotion carries it through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mainspring.errors import RegistryError
from mainspring.files import lock
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.history import EventKind
from mainspring.spec import Project


@contextmanager
def promotion_lock(project: Project) -> Iterator[None]:
    """One change of champions at a time in a project."""
    with lock(project.state / ".promotion.lock", what="a promotion", timeout=30.0):
        yield


def promote(
    project: Project, model: str, version: str, *, reason: str, kind: EventKind = "promote", watched: bool = False
) -> None:
    """Make `version` the champion of `model`; `watched` puts it on probation: see `lifecycle.trials`.

    Raises:
        RegistryError: there is no such version, or its files are damaged.
        TrackingError: MLflow does not answer, so nothing was changed.
    """
    project.model(model)
    found = versions.load(project.state, model, version)
    found.verify()
    store = tracking.connect(project)
    with promotion_lock(project):
        if store:
            store.record(found)
            store.set_alias(model, tracking.CHAMPION, version)
        apply(project, model, version, reason=reason, kind=kind, watched=watched)


def apply(
    project: Project, model: str, version: str, *, reason: str, kind: EventKind = "promote", watched: bool = False
) -> None:
    """Let the gateways follow a champion that MLflow knows already. Call it under `promotion_lock`."""
    before = desired.last_known(project.state).champion(model)
    last = [event for event in history.read(project.state, model) if event.kind in history.CHAMPION_CHANGES]
    desired.set_champion(project.state, model, version)
    if not last or last[-1].version != version:
        history.append(project.state, model, kind, version, reason, before=before, watched=watched)


def complete(project: Project, model: str) -> bool:
    """Note a promotion that was cut off, as by a kill, before it reached the history; whether there was one.

    Without this `rollback` would go back one version too far.

    Raises:
        RegistryError: desired state is damaged.
    """
    if _noted(project, model):
        return False
    with promotion_lock(project):  # look again: a promotion may have been half way
        if _noted(project, model):
            return False
        champion, before = desired.read(project.state).champion(model), _last_noted(project, model)
        assert champion is not None
        reason = "it went live, and its promotion was cut off before it was noted"
        history.append(project.state, model, "promote", champion, reason, before=before, watched=False)
    return True


def _noted(project: Project, model: str) -> bool:
    return desired.read(project.state).champion(model) in (None, _last_noted(project, model))


def _last_noted(project: Project, model: str) -> str | None:
    changes = [event for event in history.read(project.state, model) if event.kind in history.CHAMPION_CHANGES]
    return changes[-1].version if changes else None


def rollback(project: Project, model: str) -> str:
    """Go back to the champion before; its version.

    Raises:
        RegistryError: there is none before.
    """
    project.model(model)
    champion = desired.read(project.state).champion(model)
    if champion is None:
        raise versions.no_champion(project.state, model)
    before = history.previous_champion(project.state, model, champion)
    if before is None:
        raise RegistryError(f"version {champion} is the first champion of {model}: there is none to go back to")
    promote(project, model, before, reason=f"rolled back from version {champion}", kind="rollback")
    return before
