"""What becomes of a version that is on trial in live traffic: the judgement of `rollout`, carried out.

Three kinds: a *shadow* answers beside the champion, unheard; a *canary* takes a share of the traffic; and a champion
that was promoted at once is on *probation*, compared with the one before it. A version that a person promoted by hand,
or in MLflow, is left alone: a person wanted it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mainspring.lifecycle import evidence, promote, rollout
from mainspring.lifecycle.evidence import Kind
from mainspring.lifecycle.rollout import Judgement
from mainspring.registry import desired, history
from mainspring.registry.desired import DesiredModel
from mainspring.registry.history import Event
from mainspring.spec import Project


@dataclass(frozen=True)
class Trial:
    """`challenger` is tried against `champion` since a time (microseconds since 1970 UTC)."""

    kind: Kind
    champion: str
    challenger: str
    since: int


def current(live: DesiredModel, events: list[Event]) -> Trial | None:
    """The trial that is under way, by desired state and history; None if there is none."""
    challenger = live.shadow or (live.routes[1].version if len(live.routes) > 1 else None)
    if challenger is not None:
        kind: Kind = "shadow" if live.shadow else "canary"
        begun = [event for event in events if event.kind == "rollout" and event.version == challenger]
        if not begun:  # it is being let in just now
            return None
        return Trial(kind, live.champion, challenger, _time(begun[-1].time))
    changes = [event for event in events if event.kind in history.CHAMPION_CHANGES]
    if not changes or changes[-1].version != live.champion or not changes[-1].data.get("watched"):
        return None
    ended = [event for event in events if event.kind == "rollout" and event.data.get("phase") == "end"]
    if ended and ended[-1].version == live.champion and ended[-1].time >= changes[-1].time:
        return None
    before = changes[-1].data.get("before")
    return Trial("probation", before, live.champion, _time(changes[-1].time)) if before else None


def look(project: Project, model: str) -> Judgement | None:
    """Judge the trial of `model` that is under way, if there is one, and do what the judgement says.

    Raises:
        MainspringError: the log or a version cannot be read, or a promotion fails; nothing was changed then.
    """
    live = desired.read(project.state).models.get(model)
    trial = current(live, history.read(project.state, model)) if live else None
    if trial is None:
        return None
    spec = project.models[model]
    seen = evidence.collect(project, model, trial.since, trial.champion, trial.challenger, trial.kind)
    judgement = rollout.judge(seen, spec.renew, spec.gate)
    if judgement.decision != "go on" and desired.read(project.state).models.get(model) == live:
        _carry_out(project, model, trial, judgement)
    return judgement


def _carry_out(project: Project, model: str, trial: Trial, judgement: Judgement) -> None:
    passed = judgement.decision == "promote"
    if trial.kind == "probation":
        if not passed:
            reason = f"version {trial.challenger} is rolled back: {judgement.reason}"
            promote.promote(project, model, trial.champion, reason=reason, kind="rollback")
    elif passed:
        promote.promote(project, model, trial.challenger, reason=f"its {trial.kind} trial is over: {judgement.reason}")
    else:
        desired.end_rollout(project.state, model)
    outcome = "stays" if passed and trial.kind == "probation" else "promoted" if passed else "rolled back"
    history.append(
        project.state,
        model,
        "rollout",
        trial.challenger,
        f"{trial.kind}: {outcome}: {judgement.reason}",
        phase="end",
        rollout=trial.kind,
        outcome=outcome,
    )


def _time(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)
