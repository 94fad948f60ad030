"""Carry promotions that were made in MLflow over to desired state, and what happened over to MLflow.

Each version in MLflow is tagged with the last alarm, renewal, trial and change of champion that it had to do with.

This runs in a process of its own beside the gateway, for the gateway imports no MLflow. While MLflow does not answer,
the gateways go on with what they have.
"""

from __future__ import annotations

import logging
import threading

from mainspring.errors import MainspringError, TrackingError
from mainspring.lifecycle import promote
from mainspring.registry import desired, history, tracking, versions
from mainspring.registry.history import Event
from mainspring.registry.tracking import Tracking
from mainspring.spec import Project

SECONDS_BETWEEN = 0.5
_log = logging.getLogger(__name__)


def follow(project: Project, stop: threading.Event) -> None:
    """Look at the aliases every half second until `stop` is set."""
    store: Tracking | None = None
    told: dict[tuple[str, str, str], Event] = {}
    said: list[str] = []
    wait = SECONDS_BETWEEN
    while True:
        before, said = said, []
        try:
            store = store or tracking.connect(project)
            if store is None:
                return  # MLflow is not installed, so nobody can move an alias there
            said, wait = _follow_all(project, store), SECONDS_BETWEEN
            _tell(project, store, told)
        except MainspringError as error:
            store, said, wait = None, [str(error)], 4 * SECONDS_BETWEEN
        for complaint in said:
            if complaint not in before:
                _log.warning("%s", complaint)
        if stop.wait(wait):
            return


def _follow_all(project: Project, store: Tracking) -> list[str]:
    """Follow each model by itself: an alias that cannot be carried over holds up no other. What went wrong."""
    said = []
    for model in project.models:
        try:
            follow_once(project, store, model)
        except TrackingError:
            raise
        except MainspringError as error:
            said.append(str(error))
    return said


def _tell(project: Project, store: Tracking, told: dict[tuple[str, str, str], Event]) -> None:
    """Tag versions with the last event of each kind; `told` has those that MLflow knows."""
    last = {(event.model, event.version, event.kind): event for event in history.read(project.state)}
    for (model, version, kind), event in last.items():
        if model in project.models and version and kind != "fit" and told.get((model, version, kind)) != event:
            store.tag(model, version, kind, f"{event.time} {event.detail}")
            told[model, version, kind] = event


def follow_once(project: Project, store: Tracking, model: str) -> bool:
    """Carry over the champion of one model, if it was moved; whether it was."""
    champion = store.champion(model)
    if champion is None or champion == desired.read(project.state).champion(model):
        return False
    with promote.promotion_lock(project):  # look again: a promotion of ours may have been half way
        champion = store.champion(model)
        if champion is None or champion == desired.read(project.state).champion(model):
            return False
        versions.load(project.state, model, champion).verify()
        promote.apply(project, model, champion, reason="the alias champion was moved in MLflow")
    return True
