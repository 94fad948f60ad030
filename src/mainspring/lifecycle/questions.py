"""The questions of a prompt program: rows whose right answer is known, read for the variables of its prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mainspring.data import conform
from mainspring.data.canonical import TIME
from mainspring.data.dataset import Dataset, again_in_live, row_groups, row_times, with_live
from mainspring.data.fingerprints import row_hashes, table_fingerprint
from mainspring.data.kinds import MIN_ROWS, known_targets
from mainspring.data.readers import read
from mainspring.errors import DataError
from mainspring.prompts.fitting import Question
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.reading import Json
from mainspring.prompts.records import plain_number, target_of, values_of
from mainspring.schema import Column, Kind, Schema
from mainspring.spec import ColumnSpec, Project, PromptSpec
from mainspring.spec.mistakes import choices

_KINDS: dict[pa.DataType, Kind] = {
    pa.string(): "text",
    pa.int64(): "number",
    pa.float64(): "number",
    pa.bool_(): "boolean",
}


@dataclass(frozen=True)
class Questions:
    """n questions, in the forms that splitting and asking need."""

    dataset: Dataset
    asked: tuple[Question, ...]

    def __len__(self) -> int:
        return len(self.asked)

    def take(self, rows: np.ndarray) -> Questions:
        """Some of them: (n,) bool, or places."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Questions(self.dataset.take(places), tuple(self.asked[place] for place in places))


def load(project: Project, model: str, prompt: Prompt, live: pa.Table | None = None) -> Questions:
    """Read and check the questions of `model`. Rows without an answer are left out, and a note says so.

    `live` has further ones, of live traffic whose right answer has come, as in `dataset.load`.

    Raises:
        SpecError: the spec names a column that is not there, or the prompt has a variable that is none.
        DataError: the data cannot be read, a value is missing or of the wrong kind, or there are too few rows.
    """
    spec = project.prompt(model)
    is_json = isinstance(prompt.reading, Json)
    everything = read(project, model, texts=(*prompt.variables, spec.target), nested=(spec.target,) if is_json else ())
    _check_names(project, model, prompt, everything)
    fingerprint, old_rows = table_fingerprint(everything), everything.num_rows
    if live is not None and live.num_rows:
        everything = with_live(everything, live)
    known = known_targets(everything, spec.target)
    table = everything if known.all() else everything.filter(pa.array(known))
    if table.num_rows < MIN_ROWS:
        raise DataError(
            f"{table.num_rows} rows with a value of {spec.target!r} are too few to judge by: at least {MIN_ROWS}"
        )
    features = tuple(_column(name, table, spec) for name in prompt.variables)
    schema = Schema(features, target_of(prompt, spec.target))
    columns = conform.conform(table, features)
    expected, codes = _answers(table, schema, prompt)
    left_out = f"{int((~known).sum()):,} of {len(known):,} rows have no value of {spec.target} and are left out."
    dataset = Dataset(
        table=table,
        schema=schema,
        columns=columns,
        truth=codes,
        time=row_times(table, spec.time) if spec.time else None,
        group=row_groups(table, spec.group) if spec.group else None,
        hashes=row_hashes(columns, features),
        hashed=features,
        fingerprint=fingerprint,
        live=np.flatnonzero(known) >= old_rows,
        notes=() if known.all() else (left_out,),
    )
    asked = zip(values_of(columns, schema), expected, strict=True)
    found = Questions(dataset, tuple(Question(values, answer) for values, answer in asked))
    return found.take(~again_in_live(dataset)) if dataset.live.any() else found


def _check_names(project: Project, model: str, prompt: Prompt, table: pa.Table) -> None:
    """SpecError for a column that is named and is not there."""
    spec, here = project.prompt(model), ("models", model)
    if not prompt.variables:
        raise project.mistake((*here, "prompt"), f"{spec.prompt!r} has no variable, so every question is the same")
    named = [("target", spec.target), ("time", spec.time), ("group", spec.group)]
    named += [("columns", name) for name in spec.columns]
    for key, name in named:
        if name is not None and name not in table.column_names:
            raise project.mistake((*here, key), f"there is no column {name!r}{choices(name, table.column_names)}")
    for name in prompt.variables:
        if name not in table.column_names:
            problem = f"{spec.prompt!r} has the variable {name!r}, which is no column of the data"
            raise project.mistake((*here, "prompt"), problem + choices(name, table.column_names))
        if name == spec.target:
            raise project.mistake((*here, "target"), f"{name!r} is a variable of the prompt: it would tell the answer")


def _column(name: str, table: pa.Table, spec: PromptSpec) -> Column:
    """A variable as an input: what its type says. Every question must have a value of it."""
    column, said = table[name], spec.columns.get(name, ColumnSpec())
    if column.type not in _KINDS:
        told = "times: write them as text" if column.type == TIME else f"values of type {column.type}"
        raise DataError(f"the variable {name!r} holds {told}; expected text, numbers, or true and false")
    missing = column.is_null().to_numpy()
    if missing.any():
        count, first = int(missing.sum()), int(np.argmax(missing)) + 1
        raise DataError(
            f"{count:,} questions have no value of {name!r} (the first is row {first}): fill it in, or leave them out"
        )
    return Column(name, _KINDS[column.type], unit=said.unit, description=said.description)


def _answers(table: pa.Table, schema: Schema, prompt: Prompt) -> tuple[list[Any], np.ndarray]:
    """The right answers, as they are compared with what is read; and as codes or numbers: (n,)."""
    target = schema.target
    if not target.text:
        truth = conform.truth(table, target)
        if target.labels:
            return [target.labels[code] for code in truth], truth
        return [plain_number(number) for number in truth.tolist()], truth
    texts = conform.texts(table[target.name])
    codes = np.unique(texts, return_inverse=True)[1]
    read_answer: Callable[[str, int], Any] = _json if isinstance(prompt.reading, Json) else lambda text, row: text
    return [read_answer(text, row) for row, text in enumerate(texts.tolist(), 1)], codes


def _json(text: str, row: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"row {row}: expected the answer as JSON; found {text[:80]!r}: {error}") from None
