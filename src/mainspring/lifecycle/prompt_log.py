"""A prompt program in the prediction log: answers as they are watched, what they were worth, questions to learn from.

An answer is logged as text. Its worth is known where the right answer has come by feedback, which is refused where
answers are private.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from mainspring.lifecycle.prompt_champion import load_prompt
from mainspring.lifecycle.prompt_verdict import Judgement
from mainspring.lifecycle.questions import Questions
from mainspring.monitoring import answers, log
from mainspring.monitoring.answers import ANSWER, SCORE, TOKENS
from mainspring.monitoring.log import Logged
from mainspring.monitoring.privacy import Private, conceal, concealed_schema
from mainspring.monitoring.profiles import Reference
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.reading import Json, Number
from mainspring.prompts.template import as_text
from mainspring.registry.versions import Manifest, Version
from mainspring.schema import MISSING_TEXT, Column, Schema, Target
from mainspring.spec import Project

_TOKENS = ("answer.prompt_tokens", "answer.completion_tokens")  # as the gateway notes them


class ProgramLog:
    """What one version of a program has answered."""

    def __init__(self, project: Project, version: Version) -> None:
        self._project, self._version, self._schema = project, version, version.manifest.schema
        self._as_json = isinstance(load_prompt(version).reading, Json | Number)
        self._metric = METRICS[version.manifest.metric]

    def read(self, *, since: int = 0, until: int | None = None, limit: int | None = None) -> Logged:
        """As `log.read`, with the columns that `monitoring.answers` speaks of; the truth of a text is its length.

        Raises:
            DataError: the store cannot be read.
        """
        target, model = self._schema.target, self._version.manifest.model
        noted = (Column(ANSWER, "text"), *(Column(name, "number") for name in _TOKENS))
        schema = Schema((*self._schema.features, *noted), target)
        logged = log.read(
            self._project, model, schema, since=since, until=until, version=self._version.name, limit=limit
        )
        private = ANSWER in Private.of(self._project, model).rules
        columns, truth = dict(logged.rows.columns), logged.rows.truth
        said = columns.pop(ANSWER, None)
        columns[TOKENS] = sum((columns.pop(name) for name in _TOKENS), np.zeros(len(logged)))
        scores = np.full(len(logged), np.nan)
        if said is not None and not private:
            columns[ANSWER] = answers_as_watched([self._value(answer) for answer in said.tolist()], target)
            right = {row: self._value(told) for row, told in enumerate(logged.told.tolist()) if told is not None}
            for row, value in right.items():
                scores[row] = self._metric(self._value(said[row]), value)
            if target.text:
                truth = np.full(len(logged), np.nan)
                truth[list(right)] = lengths(list(right.values()))
        rows = replace(logged.rows, columns={**columns, SCORE: scores}, truth=truth)
        return replace(logged, rows=rows)

    def _value(self, told: Any) -> Any:
        """An answer as it was logged, or a label as it was told, as it is compared; None where there is none."""
        if self._as_json and isinstance(told, str):
            try:
                return json.loads(told)
            except ValueError:
                return None
        return None if told == MISSING_TEXT else told


def answers_as_watched(values: Sequence[Any], target: Target) -> np.ndarray:
    """The values that were read from what a model said, None where nothing could be, as a row's `answer`: (n,)."""
    if target.labels or target.text:
        return np.array([MISSING_TEXT if value is None else as_text(value) for value in values], object)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def lengths(values: Sequence[Any]) -> np.ndarray:
    """How long answers are as texts: (n,) float64."""
    return np.array([len(as_text(value)) for value in values], np.float64)


def reference(
    project: Project, manifest: Manifest, training: Questions, held_out: Judgement, trivial: float, seed: int
) -> Reference:
    """What live traffic is compared with: the `training` questions, and the answers to those `held_out`."""
    private, schema = Private.of(project, manifest.model), manifest.schema
    values = [answer.value for answer in held_out.judged.answers]
    truth = training.dataset.truth
    return answers.build(
        concealed_schema(schema, private),
        manifest.metric,
        fit=conceal(training.dataset.columns, private),
        fit_truth=lengths([question.expected for question in training.asked]) if schema.target.text else truth,
        answers=None if ANSWER in private.rules else answers_as_watched(values, schema.target),
        tokens=held_out.judged.tokens.astype(np.float64),
        scores=held_out.judged.scores,
        trivial=trivial,
        seed=seed,
    )


def as_questions(project: Project, version: Version) -> pa.Table | None:
    """The live rows of all versions whose right answer has come, with the inputs of `version`, as questions with the
    time at which they were asked; None where a variable or the answer is private, so that the log has them not.
    """
    schema, model = version.manifest.schema, version.manifest.model
    if Private.of(project, model).rules.keys() & {ANSWER, *(column.name for column in schema.features)}:
        return None
    logged = log.read(project, model, schema)
    # As the log reads it, a label of text has no code.
    known = np.array([told is not None for told in logged.told], bool)
    for column in schema.features:  # an earlier version's prompt may have had other variables
        values = logged.rows.columns[column.name]
        known &= values != MISSING_TEXT if values.dtype == object else ~np.isnan(values)
    rows = replace(logged.rows, truth=np.where(known, 0.0, np.nan))
    inputs = log.as_table(replace(logged, rows=rows), schema, project.prompt(model).time)
    target = schema.target
    kind = pa.string() if target.labels or target.text else pa.float64()
    right = pa.array(logged.told[known].tolist(), kind)
    return inputs.set_column(inputs.column_names.index(target.name), target.name, right)
