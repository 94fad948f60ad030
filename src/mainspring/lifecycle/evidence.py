"""The evidence on a challenger in live traffic, found in the prediction log.

In a *canary* each version has rows of its own. A *shadow* has answered the champion's rows, unheard; its durations are
of the prediction alone, without reading and writing, so that it looks faster than it will be. In a *probation*, after a
promotion, the champion before is asked again for the rows that have come and have their label; its errors and durations
are those from before the promotion.

Of a language model, and of a prompt program, no durations count: how long it takes is a matter of how much it says, or
how much it asks. What a prompt costs stands beside the gate's verdict. A canary of a prompt has its losses, one less
the score, where right answers came by feedback; after a promotion the prompt before is not asked again, for that costs.
A language model is told no right answers.

Only tallies are kept: `rollout.judge` needs no more.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mainspring.errors import RegistryError, RuntimeLoadError
from mainspring.evaluation import sequential
from mainspring.evaluation.losses import losses
from mainspring.evaluation.sequential import Moments
from mainspring.monitoring import log
from mainspring.monitoring.privacy import Private
from mainspring.monitoring.segments import Load
from mainspring.registry import versions
from mainspring.registry.versions import Version
from mainspring.runtimes.onnx import FILE_NAME, OnnxRuntime, Outputs
from mainspring.schema import Schema
from mainspring.spec import Project

Kind = Literal["shadow", "canary", "probation"]

TRIALS_BEFORE = 24  # a champion without traffic is known by so many trials before: with trials of an hour, by a day
MOST_ROWS = 100_000  # of each version are compared by their scores: the first ones, so that no row is taken back
_ID_LENGTH = 36  # of a request's; its rows add their number


@dataclass(frozen=True)
class Side:
    """One version's traffic.

    `errors` of the `requests` failed by the service's own fault: a refused input is not one. `log_seconds`: natural
    logarithms of durations in seconds, one value a request, so that the typical request counts, and no single one that
    hung. `loss`: of labelled rows, one value a request (the mean of its rows); None where it is
    not known.
    """

    requests: int
    errors: int
    log_seconds: Moments
    loss: Moments | None = None


@dataclass(frozen=True)
class Evidence:
    """What traffic has shown of both versions until now.

    `paired_loss`: the challenger's less the champion's loss of the same rows, one value a request or block; None where
    they did not answer the same rows. `agreement`: the share of such rows that both answered the same. `elapsed`:
    seconds since the rollout or the probation began.
    """

    kind: Kind
    champion: Side
    challenger: Side
    elapsed: float
    paired_loss: Moments | None = None
    agreement: float | None = None


def collect(project: Project, model: str, since: int, champion: str, challenger: str, kind: Kind) -> Evidence:
    """What the prediction log has of both versions since the rollout or probation began.

    In a probation there are no pairs where the champion before cannot be asked again: where it takes an input that is
    private or that the challenger does not take, where it is lost or damaged, or where no label has come.

    Args:
        project: whose log it is.
        model: the model.
        since: microseconds since 1970 UTC.
        champion: the champion's version; in a probation that of the one before.
        challenger: the version that is judged.
        kind: of the rollout.

    Raises:
        DataError: the log cannot be read.
        RegistryError: a version is lost or damaged.
    """
    now = time.time_ns() // 1000
    before = since - int(TRIALS_BEFORE * project.models[model].renew.trial * 1e6)
    one_side = _side(log.traffic(project, model, champion, *((before, since) if kind == "probation" else (since, now))))
    other_side = _side(log.traffic(project, model, challenger, since, now))
    if model not in project.tables:
        one_side, other_side = (replace(side, log_seconds=Moments()) for side in (one_side, other_side))
        if model in project.prompts and kind == "canary":
            names = (champion, challenger)
            one_side, other_side = (
                replace(side, loss=_loss_of_prompt(project, model, name, since))
                for side, name in zip((one_side, other_side), names, strict=True)
            )
        return Evidence(kind, one_side, other_side, elapsed=(now - since) / 1e6)
    tried = versions.load(project.state, model, challenger)
    metric = tried.manifest.metric

    def answers(version: Version, role: Literal["live", "shadow"] = "live") -> _Answers:
        schema = version.manifest.schema
        found = log.read(project, model, schema, since=since, version=version.name, role=role, limit=MOST_ROWS)
        return _Answers.of(metric, version, found.ids, found.rows.outputs, found.rows.truth)

    def asked_again(version: Version) -> _Answers | None:
        """What it says of those labelled rows that the challenger has answered; None if there are none."""
        schema = version.manifest.schema
        found = log.read(project, model, schema, since=since, version=challenger, limit=MOST_ROWS)
        known = np.flatnonzero(~np.isnan(found.rows.truth))
        if not len(known):
            return None
        columns = {name: values[known] for name, values in found.rows.columns.items()}
        outputs = OnnxRuntime(version.file(FILE_NAME), schema, threads=0).predict_in_chunks(columns)
        return _Answers.of(metric, version, found.ids[known], outputs, found.rows.truth[known])

    pair: tuple[_Answers, _Answers] | None = None
    if kind == "probation":
        with suppress(RegistryError, RuntimeLoadError):
            old = versions.load(project.state, model, champion)
            old.verify()
            if _has_all_inputs(project, model, old.manifest.schema, tried.manifest.schema) and (
                said := asked_again(old)
            ):
                pair = said, answers(tried)
    else:
        live = answers(versions.load(project.state, model, champion))
        if kind == "shadow":
            pair = live, answers(tried, "shadow")
        else:
            one_side, other_side = replace(one_side, loss=live.loss()), replace(other_side, loss=answers(tried).loss())
    return Evidence(
        kind=kind,
        champion=one_side,
        challenger=other_side,
        elapsed=(now - since) / 1e6,
        paired_loss=_paired_loss(*pair) if pair else None,
        agreement=_agreement(*pair) if pair else None,
    )


def _loss_of_prompt(project: Project, model: str, name: str, since: int) -> Moments:
    from mainspring.lifecycle.prompt_log import ProgramLog
    from mainspring.monitoring.answers import SCORE

    found = ProgramLog(project, versions.load(project.state, model, name)).read(since=since, limit=MOST_ROWS)
    return _by_request(found.ids, 1.0 - found.rows.columns[SCORE])


def _side(loads: list[Load]) -> Side:
    requests = sum(load.requests for load in loads)
    logs, squares = sum(load.log_seconds for load in loads), sum(load.log_squares for load in loads)
    return Side(requests, sum(load.errors for load in loads), Moments(requests, logs, squares))


@dataclass(frozen=True)
class _Answers:
    """What a version said of n rows, their `ids`, and its losses; NaN where there is no label."""

    ids: np.ndarray
    outputs: Outputs
    losses: np.ndarray

    @classmethod
    def of(cls, metric: str, version: Version, ids: np.ndarray, outputs: Outputs, truth: np.ndarray) -> _Answers:
        return cls(ids, outputs, losses(metric, version.manifest.schema, outputs, truth))

    def loss(self) -> Moments:
        """The tally of the losses, one value a request."""
        return _by_request(self.ids, self.losses)


def _has_all_inputs(project: Project, model: str, wanted: Schema, logged: Schema) -> bool:
    """Whether rows logged for one version can be answered by another: all inputs are there, as they were."""
    private = Private.of(project, model).rules
    kinds = {column.name: column.kind for column in logged.features if column.name not in private}
    return all(kinds.get(column.name) == column.kind for column in wanted.features)


def _paired_loss(champion: _Answers, challenger: _Answers) -> Moments:
    ids, one, other = np.intersect1d(champion.ids, challenger.ids, assume_unique=True, return_indices=True)
    return _by_request(ids, challenger.losses[other] - champion.losses[one])


def _agreement(champion: _Answers, challenger: _Answers) -> float | None:
    """The share of the rows of both that got the same label; None for numbers, or without rows."""
    if champion.outputs.labels is None or challenger.outputs.labels is None:
        return None
    _, one, other = np.intersect1d(champion.ids, challenger.ids, assume_unique=True, return_indices=True)
    return float(np.mean(champion.outputs.labels[one] == challenger.outputs.labels[other])) if len(one) else None


def _by_request(ids: np.ndarray, values: np.ndarray) -> Moments:
    known = ~np.isnan(values)
    requests = np.array([id_[:_ID_LENGTH] for id_ in ids[known].tolist()], dtype=np.str_)
    return Moments.of(sequential.block_means(values[known], requests))
