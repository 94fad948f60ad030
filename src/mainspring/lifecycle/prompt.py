"""A prompt program: candidates are tried on the training questions, and the winner is judged on those held out.

    prompt.md, questions ─ split ─┬─ training ─ prompts.fitting ─▶ winner
                                  └─ held out ─ winner │ prompt as written │ champion │ baseline ─▶ verdicts

A winner that is not shown to be better than the prompt as it is written gives way to it, if there is no champion yet. A
first version has to beat the trivial baseline, the most frequent answer; a later one has to beat the champion, which
asks the models that it asks in the gateway, as they are today. A new champion of the chat model makes the program
stale, so that it is judged anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from mainspring import prompts
from mainspring.data import splits
from mainspring.lifecycle import champions, judge, lineage, prompt_log, prompt_page, questions
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.lifecycle.prompt_champion import judged_champion
from mainspring.lifecycle.prompt_report import PromptReport
from mainspring.lifecycle.prompt_verdict import (
    Judgement,
    against_champion,
    decide,
    halved,
    most_frequent_answer,
)
from mainspring.lifecycle.questions import Questions
from mainspring.monitoring import profiles
from mainspring.prompts import Prompt, fitting
from mainspring.prompts.candidates import candidates, reasoned_by
from mainspring.prompts.fitting import Candidate, Fitted, Trial
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.reading import Choice, Json, LastLine, Number, Text
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.registry import desired, versions
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.spec import GateSpec, Project, PromptSpec

_DEFAULT_METRICS = {
    Choice: "choice_accuracy",
    Number: "numeric",
    Json: "json_equal",
    Text: "exact_match",
    LastLine: "exact_match",
}
_MOST_REASONED = 64  # questions that the model is asked to reason about, for examples that reason
_EXAMPLES = 3


@dataclass(frozen=True)
class Material:
    """What a version is made from: the prompt as written, questions, the `metric`, the models that are asked with their
    versions, the spec to fit by, and, of a renewal, how its questions were chosen.
    """

    prompt: Prompt
    questions: Questions
    metric: str
    uses: dict[str, str]
    spec: PromptSpec
    policy: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Outcome:
    """What the search found, and what the held-out questions say of it; `champion` on those new to it, too."""

    fitted: Fitted
    winner: Judgement
    written: Judgement
    champion: tuple[Judgement, np.ndarray] | str | None = None  # a text: why it cannot be compared


def prepare(project: Project, model: str, watcher: Watcher) -> Prepared:
    """Read the prompt and its questions, and see which versions of other models it would be fitted with.

    Raises:
        SpecError: the prompt, or what the spec says of it, is wrong.
        DataError: the questions cannot be read, or do not fit the prompt.
        RegistryError: a model that it asks has no champion.
    """
    material = read_material(project, model, watcher)
    print_of_now = fingerprint(project, model, material)
    return Prepared(print_of_now, lambda staged: make(project, model, material, print_of_now, staged, watcher))


def read_material(project: Project, model: str, watcher: Watcher, live: pa.Table | None = None) -> Material:
    """Read the prompt and its questions, and further ones of `live` traffic; raises as `prepare`."""
    watcher.step(model, "reading the prompt and its questions")
    spec, prompt = project.prompt(model), read_prompt(project, model)
    found = questions.load(project, model, prompt, live)
    for note in found.dataset.notes:
        watcher.note(model, note)
    uses = champions.names_of(project, spec.uses)
    return Material(prompt, found, _metric_of(project, model, prompt), uses, spec)


def fingerprint(project: Project, model: str, material: Material) -> lineage.Fingerprint:
    """Of the data, the prompt and what it asks."""
    uses = sorted(f"{name}={version}" for name, version in material.uses.items())
    parts = (material.questions.dataset.fingerprint, prompts.dumps(material.prompt), *uses)
    return lineage.fingerprint(project, model, hashlib.sha256("\0".join(parts).encode()).hexdigest())


def read_prompt(project: Project, model: str) -> Prompt:
    """The prompt as it is written.

    Raises:
        SpecError: its file is not there, is wrong, or asks for what the spec does not give.
    """
    spec, key = project.prompt(model), ("models", model, "prompt")
    path = project.folder / spec.prompt
    if not path.is_file():
        raise project.mistake(key, f"there is no file {spec.prompt!r}")
    prompt = prompts.load(path)
    needs = {"nearest-examples": ("embeddings", spec.embeddings), "react": ("tools", spec.tools)}
    name, given = needs.get(prompt.strategy.name, ("", True))
    if not given:
        raise project.mistake(key, f"{spec.prompt!r} has the strategy {prompt.strategy.name!r}, which needs {name!r}")
    return prompt


def _metric_of(project: Project, model: str, prompt: Prompt) -> str:
    """What "right" means; SpecError where the answers have no such metric."""
    spec, reading = project.prompt(model), prompt.reading
    metric = spec.metric or _DEFAULT_METRICS[type(reading)]
    if (metric == "numeric") != isinstance(reading, Number) and metric in ("numeric", "token_f1"):
        found = f"the prompt reads its answer as {type(reading).__name__.lower()}"
        raise project.mistake(("models", model, "metric"), f"{metric!r} cannot be had: {found}")
    return metric


def make(
    project: Project,
    model: str,
    material: Material,
    print_of_now: lineage.Fingerprint,
    staged: Path,
    watcher: Watcher,
) -> Version:
    """Search, judge, write down, publish."""
    spec, dataset, began = material.spec, material.questions.dataset, time.perf_counter()
    split = splits.divide(dataset, spec)
    held_out = split.is_holdout(dataset.table)
    judged = held_out
    if (held_out & dataset.live).sum() >= spec.monitor.rows:
        judged = held_out & dataset.live  # what the world is like now
    training, held = material.questions.take(~held_out), material.questions.take(judged)
    live = desired.read(project.state).champion(model)  # once: another may be promoted during a long fit
    outcome = asyncio.run(_search(project, model, material, training, held, live, watcher))
    trivial = Judgement(
        "the most frequent answer",
        material.metric,
        most_frequent_answer(training.asked, held.asked, material.metric),
        outcome.winner.clusters,
    )
    best, chosen, selection = outcome.fitted.best, outcome.winner, None
    if outcome.written is not outcome.winner and live is None:
        selection = decide(outcome.written, outcome.winner, spec.gate, "the prompt as written")
        if selection["decision"] != "promote":
            watcher.note(model, f"{best.name} won, and is not shown to be better than the prompt as written")
            best, chosen = Candidate(outcome.written.who, material.prompt), outcome.written
    verdict = _verdict(live, outcome, chosen, trivial, spec.gate if selection is None else halved(spec.gate))
    version = versions.next_name(project.state, model)
    (staged / FILE_NAME).write_text(prompts.dumps(best.prompt), encoding="utf-8")
    some = [dict(question.values) for question in training.asked[:_EXAMPLES]]
    # No answers: they are the chat model's, which proves itself, and may be another tomorrow.
    (staged / versions.GOLDEN).write_bytes(msgspec.json.encode(Golden(some, [], 0.0)))
    manifest = Manifest(
        project=project.name,
        model=model,
        version=version,
        task=spec.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema=dataset.schema,
        lineage=print_of_now.lineage(
            rows=len(dataset),
            fit_rows=len(training),
            holdout_rows=len(held),
            split=msgspec.to_builtins(split),
            policy=material.policy,
            seed=spec.seed,
            uses=material.uses,
        ),
        candidate=best.name,
        parameters=_parameters(spec, best.prompt),
        metric=material.metric,
        metrics={name: estimate.as_dict() for name, estimate in chosen.estimates().items()},
        parity={},
        verdict=verdict,
    )
    report = PromptReport.of(
        manifest,
        prompt=prompts.dumps(best.prompt),
        notes=list(dataset.notes),
        trials=[trial.as_dict() for trial in outcome.fitted.trials],
        held_out=[one.as_dict() for one in _told(outcome, trivial)],
        selection=selection,
        seconds=time.perf_counter() - began,
    )
    (staged / versions.REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (staged / versions.REPORT_PAGE).write_text(prompt_page.render(report), encoding="utf-8")
    reference = prompt_log.reference(project, manifest, training, chosen, trivial.judged.score, spec.seed)
    profiles.save(reference, staged)
    return versions.publish(staged, manifest)


async def _search(
    project: Project,
    model: str,
    material: Material,
    training: Questions,
    held: Questions,
    live: str | None,
    watcher: Watcher,
) -> _Outcome:
    spec, prompt, metric = project.prompt(model), material.prompt, METRICS[material.metric]
    uses = Uses(spec.model, spec.embeddings, spec.tools)
    async with champions.opened(project, remember=True) as opened:
        asked = await opened.language_model(uses)
        reasoned: Sequence[prompts.Example] = ()
        if {"chain-of-thought", "self-consistency"} & set(spec.tried):
            watcher.step(model, "asking for reasonings, for examples that reason")
            reasoned = await reasoned_by(asked, prompt, training.asked[:_MOST_REASONED], metric)
        tried = candidates(prompt, spec.tried, training.asked, reasoned=reasoned, seed=spec.seed)
        counted = f"{len(tried)} candidate{'' if len(tried) == 1 else 's'}"
        watcher.step(model, f"trying {counted} on {len(training):,} questions; {len(held):,} are held out")
        told = partial(_tell, watcher, model, material.metric)
        fitted = await fitting.fit(tried, training.asked, metric, asked, seed=spec.seed, progress=told)
        watcher.step(model, "judging on the held-out questions")
        clusters = judge.clusters(held.dataset)

        async def judged(who: str, given: Prompt, asked_of: Questions) -> Judgement:
            return Judgement(who, material.metric, await fitting.judge(given, asked_of.asked, metric, asked), clusters)

        written = await judged(tried[0].name, prompt, held)
        winner = written
        if fitted.best.prompt != prompt:
            winner = await judged(fitted.best.name, fitted.best.prompt, held)
        if live is None:
            return _Outcome(fitted, winner, written)
        champion = await judged_champion(project, model, live, held, material.metric, opened, uses)
        return _Outcome(fitted, winner, written, champion)


def _verdict(
    live: str | None, outcome: _Outcome, chosen: Judgement, trivial: Judgement, gate: GateSpec
) -> dict[str, Any]:
    """Against the champion; of the first version against the baseline, whatever margin is asked of later ones."""
    if live is None or outcome.champion is None:
        return decide(trivial, chosen, judge.replace_margin(gate, 0.0), "baseline")
    return against_champion(live, outcome.champion, chosen, gate)


def _told(outcome: _Outcome, trivial: Judgement) -> list[Judgement]:
    """All that answered held-out questions, each once."""
    champion = [outcome.champion[0]] if isinstance(outcome.champion, tuple) else []
    return [*dict.fromkeys((outcome.winner, outcome.written)), *champion, trivial]


def _parameters(spec: PromptSpec, prompt: Prompt) -> dict[str, Any]:
    strategy = {f"strategy.{key}": value for key, value in prompt.strategy.model_dump(exclude_defaults=True).items()}
    uses = {"model": spec.model, "embeddings": spec.embeddings, "tools": list(spec.tools)}
    return {**uses, "strategy": prompt.strategy.name, **strategy, "examples": len(prompt.examples)}


def _tell(watcher: Watcher, model: str, metric: str, trials: Sequence[Trial], kept: int) -> None:
    """What a round of the search found."""
    best = trials[0]
    score, seen = f"{metric} {best.judged.score:.3g}", len(best.judged.scores)
    on = "" if kept == len(trials) else f"; {kept} of {len(trials)} go on"
    watcher.step(model, f"after {seen:,} questions {best.candidate.name} leads with {score}{on}")
