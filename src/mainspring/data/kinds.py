"""What each column of a typed table is, and with that the schema of a model.

Types say most of it: numbers, booleans and times are what they are. Text is told apart by how many different values
there are and how many words each has: labels repeat (category), prose does not (text), and short values that hardly
repeat name rows (identifier). What no model can learn from is dropped, and a note says so.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainspring.data.canonical import TIME, is_supported
from mainspring.data.conform import texts
from mainspring.errors import DataError, SpecError
from mainspring.schema import Column, Kind, Label, Target
from mainspring.spec import ClassificationSpec, ColumnSpec, Project

MAX_LEVELS = 1_000
MAX_LABELS = 1_000
MIN_ROWS = 20

_MOSTLY_DIFFERENT = 0.5
_NEARLY_ALL_DIFFERENT = 0.95
_PROSE = 4  # words in a value
_LOOKED_AT = 10_000  # different values, to count their words
_NAMES_ROWS = re.compile(r"(^|[_ .-])(id|ids|uuid|guid|key|index|number|no|nr|num|code|row|rownames?|unnamed: \d+)$")
_WHOLE = re.compile(r"-?(0|[1-9]\d*)")

# The types that a column may have for the kind that the spec says it is. Strings were parsed when they were read.
_CONVERTIBLE: dict[Kind, tuple[pa.DataType, ...]] = {
    "number": (pa.int64(), pa.float64(), pa.bool_()),
    "boolean": (pa.int64(), pa.float64(), pa.bool_()),
    "time": (TIME,),
}
_TYPE_NAMES = {
    pa.int64(): "whole numbers",
    pa.float64(): "numbers",
    pa.bool_(): "true and false",
    TIME: "times",
    pa.string(): "text",
}


@dataclass(frozen=True)
class Understanding:
    """What was found out about a table.

    `constants` are the columns of one value: no features, but part of what a row is hashed by, so that rows keep their
    hash on the day a second value turns up.
    """

    features: tuple[Column, ...]
    constants: tuple[Column, ...]
    target: Target
    notes: tuple[str, ...]


def check_names(project: Project, model: str, table: pa.Table) -> None:
    """SpecError if `model` names a column that `table` lacks, or gives one column two parts to play."""
    spec = project.table(model)
    here: tuple[str, ...] = ("models", model)
    roles = {"target": spec.target, "time": spec.time, "group": spec.group}
    named = [((*here, key), name) for key, name in roles.items() if name]
    named += [((*here, "exclude"), name) for name in spec.exclude]
    named += [((*here, "columns", name), name) for name in spec.columns]
    for key, name in named:
        if name not in table.column_names:
            raise project.mistake(key, f"there is no column {name!r}{_choices(name, table.column_names)}")
    for role in ("time", "group"):
        if roles[role] == spec.target:
            raise project.mistake((*here, role), f"{spec.target!r} is the target already")
    if spec.target in spec.exclude:
        raise project.mistake((*here, "exclude"), f"{spec.target!r} is the target")
    if spec.group and spec.group == spec.time:
        raise project.mistake((*here, "group"), f"{spec.group!r} is the time already")
    for name in table.column_names:
        if name not in spec.exclude and (set(name) & set('"\\') or not name.isprintable()):
            raise DataError(
                f"a column is called {name!r}: quotes, backslashes and control characters cannot be asked for in JSON; "
                "rename it, or exclude it"
            )
    if spec.time and table[spec.time].type != TIME:
        found = _describe(table[spec.time])
        raise project.mistake((*here, "time"), f"expected a column of dates or times; {spec.time!r} holds {found}")


def known_targets(table: pa.Table, target: str) -> np.ndarray:
    """Which rows have a target: (n,) bool. An infinite one counts as missing."""
    column = table[target]
    known = pc.is_finite(column) if column.type == pa.float64() else column.is_valid()
    return pc.fill_null(known, False).to_numpy()


def understand(project: Project, model: str, table: pa.Table) -> Understanding:
    """The schema that `table` (canonical types, every target known) gives `model`, and what was dropped.

    Raises:
        SpecError: the spec says what the table does not have.
        DataError: there is too little to learn from.
    """
    spec = project.table(model)
    if table.num_rows < MIN_ROWS:
        raise DataError(
            f"{table.num_rows} rows with a value of {spec.target!r} are too few to learn from: at least {MIN_ROWS}"
        )
    features, constants, notes = [], [], []
    for name in table.column_names:
        if name in (spec.target, spec.group) or name in spec.exclude:
            continue
        column = _finite(table[name])
        said = spec.columns.get(name, ColumnSpec())
        if not is_supported(column.type):
            notes.append(f"{name} is dropped: no model takes values of type {column.type}.")
            continue
        kind, why = (said.kind, "the spec says so") if said.kind else _kind(name, column)
        if problem := _not_convertible(column, kind):
            raise project.mistake(("models", model, "columns", name), problem)
        described = _describe_column(name, kind, column, said)
        different = pc.count_distinct(column, mode="only_valid").as_py()
        if different == 0:
            notes.append(f"{name} is dropped: every value is missing.")
        elif kind == "identifier":
            notes.append(
                f"{name} is dropped as an identifier: {why}."
                + (f' To keep it: columns.{_key(name)} = "category".' if not said.kind else "")
            )
        elif different == 1 and not column.null_count:
            notes.append(f"{name} is dropped as a constant: every value is {texts(column[:1])[0]}.")
            constants.append(described)
        else:
            features.append(described)
            notes += _remarks(name, kind, table[name], different)
    if not features:
        raise DataError("no column is left to learn from: " + " ".join(notes))
    target = Target(spec.target, _labels(project, model, table), spec.columns.get(spec.target, ColumnSpec()).unit)
    return Understanding(tuple(features), tuple(constants), target, tuple(notes))


def _kind(name: str, column: pa.ChunkedArray) -> tuple[Kind, str]:
    """The kind that a column looks to be; for an identifier also why."""
    if column.type == TIME:
        return "time", ""
    if column.type == pa.bool_():
        return "boolean", ""
    if column.type == pa.float64():
        return "number", ""
    present = len(column) - column.null_count
    different = pc.count_distinct(column, mode="only_valid").as_py()
    if column.type == pa.int64():
        if different == len(column):
            least, most = pc.min_max(column).as_py().values()
            if least in (0, 1) and most - least == different - 1:
                return "identifier", f"it counts the rows from {least} to {most:,}"
            if _NAMES_ROWS.search(_words_of(name)):
                return "identifier", f"its {different:,} values are all different, and its name says so"
        return "number", ""
    values = column.unique()[:_LOOKED_AT]
    words = pc.mean(pc.count_substring_regex(values, r"\S+")).as_py() or 0.0
    if words >= _PROSE:
        return ("text" if different >= _MOSTLY_DIFFERENT * present else "category"), ""
    if present >= MIN_ROWS and different >= _NEARLY_ALL_DIFFERENT * present:
        return "identifier", f"{different:,} of its {present:,} values are different"
    return "category", ""


def _not_convertible(column: pa.ChunkedArray, kind: Kind) -> str | None:
    if kind not in _CONVERTIBLE or column.null_count == len(column):
        return None
    if column.type not in _CONVERTIBLE[kind]:
        return f"a column of {_describe(column)} cannot be read as {kind}"
    if kind == "boolean" and column.type != pa.bool_():
        others = pc.drop_null(column.unique()).to_pylist()
        if wrong := [value for value in others if value not in (0, 1)]:
            return f"expected 0 and 1; found {wrong[0]}"
    return None


def _describe_column(name: str, kind: Kind, column: pa.ChunkedArray, said: ColumnSpec) -> Column:
    low = high = None
    levels: tuple[str, ...] = ()
    integer = False
    if kind in ("number", "time"):
        numbers = column.cast(pa.int64() if kind == "time" else pa.float64(), safe=False)
        low, high = (None if edge is None else float(edge) for edge in pc.min_max(numbers).as_py().values())
        integer = kind == "number" and pc.all(pc.equal(numbers, pc.floor(numbers))).as_py() is True
    elif kind == "category":
        levels = _levels(column)
        integer = bool(levels) and all(_WHOLE.fullmatch(level) for level in levels)
    return Column(
        name=name,
        kind=kind,
        nullable=column.null_count > 0,
        integer=integer,
        unit=said.unit,
        description=said.description,
        levels=levels[:MAX_LEVELS],
        low=low,
        high=high,
    )


def _levels(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The different values as text, the most frequent first, equally frequent ones by their text."""
    counts: dict[str, int] = {}
    found = pc.value_counts(pc.drop_null(column))
    levels = texts(pa.chunked_array([found.field("values")]))
    for level, count in zip(levels, found.field("counts").to_pylist(), strict=True):
        counts[level] = counts.get(level, 0) + count
    return tuple(sorted(counts, key=lambda level: (-counts[level], level)))


def _remarks(name: str, kind: Kind, column: pa.ChunkedArray, different: int) -> list[str]:
    remarks = []
    infinite = len(column) - column.null_count - pc.sum(pc.is_finite(column)).as_py() if _is_float(column) else 0
    if infinite:
        remarks.append(f"{name}: {infinite:,} infinite values count as missing.")
    if kind == "category" and different > MAX_LEVELS:
        remarks.append(f"{name}: {different:,} categories; the {MAX_LEVELS:,} most frequent are kept apart.")
    return remarks


def _finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _is_float(column):
        return column
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def _is_float(column: pa.ChunkedArray) -> bool:
    return column.type == pa.float64()


def _labels(project: Project, model: str, table: pa.Table) -> tuple[Label, ...]:
    """The target's labels in order; none for a regression."""
    spec = project.table(model)
    column = table[spec.target]
    classifies = isinstance(spec, ClassificationSpec)
    whole = column.type == pa.float64() and pc.all(pc.equal(column, pc.floor(column))).as_py()
    allowed = (pa.string(), pa.bool_(), pa.int64()) if classifies else (pa.int64(), pa.float64())
    if column.type not in allowed and not (classifies and whole):
        raise _unfit(project, model, column)
    found = pc.value_counts(column.cast(pa.int64()) if classifies and whole else column)
    counts = {value["values"]: value["counts"] for value in found.to_pylist()}
    if len(counts) < 2:
        raise DataError(f"the target {spec.target!r} has the same value in every row: {_show(counts)}")
    if not classifies:
        return ()
    if len(counts) > min(MAX_LABELS, table.num_rows // 2):
        raise _unfit(project, model, column, f"{len(counts):,} different values in {table.num_rows:,} rows")
    if rare := [label for label, count in counts.items() if count < 2]:
        raise DataError(
            f"the target {spec.target!r} has labels of one row only: {_show(rare)}. Each needs two at the least: "
            "add rows, merge labels, or leave those rows out"
        )
    return tuple(sorted(counts))


def _unfit(project: Project, model: str, column: pa.ChunkedArray, found: str | None = None) -> SpecError:
    spec = project.table(model)
    numeric = column.type in (pa.int64(), pa.float64())
    if isinstance(spec, ClassificationSpec):
        expected, other = "labels: text, booleans or whole numbers, a few of them", "regression" if numeric else None
    else:
        expected, other = "numbers", None if column.type == TIME else "classification"
    hint = f' For this target, task = "{other}".' if other else ""
    problem = f"expected {expected}; {spec.target!r} holds {found or _describe(column)}.{hint}"
    return project.mistake(("models", model, "target"), problem)


def _describe(column: pa.ChunkedArray) -> str:
    """ "text such as 'n/k'": with the value that makes it so, if there is one."""
    values = pc.drop_null(column.unique()).to_pylist()
    example = next((value for value in values if _is_telling(value)), values[0] if values else None)
    such = "" if example is None else f" such as {_show([example])}"
    return f"{_TYPE_NAMES.get(column.type, str(column.type))}{such}"


def _is_telling(value: object) -> bool:
    """Whether a value could not be of a simpler type: the 0.5 among 1.0 and 2.0, the "n/k" among "1" and "2"."""
    if isinstance(value, float):
        return not value.is_integer()
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return True
    return False


def _show(values: Iterable[object]) -> str:
    shown = [str(value).lower() if isinstance(value, bool) else repr(value) for value in values]
    return ", ".join(shown[:10]) + ", …" * (len(shown) > 10)


def _choices(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    shown = ", ".join(names[:30]) + ", …" * (len(names) > 30)
    return f"; there are: {shown}" + (f"; did you mean {close[0]!r}?" if close else "")


def _words_of(name: str) -> str:
    """ "CustomerID" as "customer_id"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).lower()


def _key(name: str) -> str:
    """A column's name as a key in TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
