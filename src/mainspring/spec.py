"""`mainspring.toml`: the one file that declares a project.

It is read into frozen pydantic models. A mistake is one line that names the key, what is allowed, what was found and
where; several mistakes are reported together, so that one run shows them all. Keys that depend on data (a file, a
column) are checked when the data is read, by the same messages: see `Project.mistake`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from mainspring.errors import SpecError
from mainspring.schema import Kind

FILE_NAME = "mainspring.toml"
STATE_FOLDER = ".mainspring"

Path_: TypeAlias = tuple[str, ...]

ClassificationMetric = Literal[
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "mcc",
]
RegressionMetric = Literal["rmse", "mae", "r2", "mape"]
Candidate = Literal["linear", "tree", "forest", "boosting", "blend"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+)\s*(B|kB|KB|MB|GB)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3}


def _seconds(value: object) -> float:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())) and float(match[1]):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError('a duration such as "60s", "5m" or "1h"')


def _bytes(value: object) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())) and int(match[1]):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError('a size such as "500kB" or "4MB"')


def _budget(value: object) -> Budget:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Budget(trials=value)
    try:
        return Budget(seconds=_seconds(value))
    except ValueError:
        raise ValueError('a number of trials such as 40, or a duration such as "60s"') from None


def _window(value: object) -> Window:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Window(rows=value)
    try:
        return Window(seconds=_seconds(value))
    except ValueError:
        raise ValueError('a number of rows such as 5000, or a duration such as "1d"') from None


def _column(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Strict(BaseModel):
    """No unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Budget(Strict):
    """How long candidates are tried: a number of trials (the same result anywhere) or seconds (as many as fit)."""

    trials: int | None = None
    seconds: float | None = None


class ColumnSpec(Strict):
    """What the user knows better than inference about one column.

    `private` says what the prediction log, the profile and the reference rows may hold of it: nothing ("drop"), or a
    keyed hash ("hash").
    """

    kind: Kind | None = None
    unit: str | None = None
    description: str | None = None
    private: Literal["drop", "hash"] | None = None


class GateSpec(Strict):
    """What a challenger must show: better than the champion by more than `margin`, at this level of `significance`."""

    margin: float = 0.0
    significance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05


class Window(Strict):
    """A stretch of live traffic that is looked at as one: so many rows, or so much time."""

    rows: int | None = None
    seconds: float | None = None


class MonitorSpec(Strict):
    """When live traffic counts as moved: see docs/guide/monitoring.md.

    An alarm needs a window of at least `rows` rows, an effect of at least `effect`, significance at the false-discovery
    rate `significance`, and all of it in `persistence` windows in a row.
    """

    window: Annotated[Window, BeforeValidator(_window)] = Window(rows=2000)
    rows: Annotated[int, Field(ge=30)] = 200
    effect: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    significance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.01
    persistence: Annotated[int, Field(ge=1, le=100)] = 2
    ignore: tuple[str, ...] = Field(default=(), strict=False)


class RenewSpec(Strict):
    """When a challenger is fitted, on what, and how it is let in: see docs/guide/renewal.md.

    `data`: all history, the newest `window` of it, or what came since the change that raised the alarm. `feedback`:
    whether answered and labelled live rows are learned from, too. `candidates` and `budget` are the model's own unless
    given. A challenger that passed the gate takes all traffic at once (`full`), answers beside the champion without
    being heard (`shadow`), or takes the `share` of a canary; it is watched for `trial`, and after a promotion too.
    """

    on_alarm: bool = True
    every: Seconds | None = None
    data: Literal["all", "window", "since-change"] = "all"
    window: Seconds | None = None
    feedback: bool = True
    candidates: tuple[Candidate, ...] | None = Field(default=None, strict=False, min_length=1)
    budget: Annotated[Budget | None, BeforeValidator(_budget)] = None
    cooldown: Seconds = 3600.0
    per_day: Annotated[int, Field(ge=1, le=1000)] = 4
    rollout: Literal["full", "shadow", "canary"] = "full"
    share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    trial: Seconds = 3600.0

    @model_validator(mode="after")
    def _window_belongs_to_its_data(self) -> RenewSpec:
        if (self.data == "window") != (self.window is not None):
            raise ValueError('`window` (such as "90d") together with data = "window", and only then')
        return self


class ModelSpec(Strict):
    """What every task has."""

    task: str
    data: str
    query: str | None = None
    gate: GateSpec = GateSpec()
    monitor: MonitorSpec = MonitorSpec()
    renew: RenewSpec = RenewSpec()


class TabularSpec(ModelSpec):
    """What classification and regression share: a table, a target, and how the two are split and searched."""

    target: str
    time: str | None = None
    group: str | None = None
    exclude: tuple[str, ...] = Field(default=(), strict=False)
    columns: dict[str, Annotated[ColumnSpec, BeforeValidator(_column)]] = {}
    missing: tuple[str, ...] | None = Field(default=None, strict=False)
    holdout: Annotated[float, Field(gt=0.0, lt=0.9)] = 0.2
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    candidates: tuple[Candidate, ...] = Field(
        default=("linear", "tree", "forest", "boosting", "blend"), strict=False, min_length=1
    )
    budget: Annotated[Budget, BeforeValidator(_budget)] = Budget(trials=16)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class ClassificationSpec(TabularSpec):
    """Which class? Two or more."""

    task: Literal["classification"]
    metric: ClassificationMetric | None = None
    class_weight: Literal["balanced"] | None = None


class RegressionSpec(TabularSpec):
    """How much?"""

    task: Literal["regression"]
    metric: RegressionMetric = "rmse"


TASKS: dict[str, type[TabularSpec]] = {"classification": ClassificationSpec, "regression": RegressionSpec}


class ServingSpec(Strict):
    """Where the gateway listens, and its limits."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    max_body: Bytes = 4 * 1000**2
    max_rows: Annotated[int, Field(ge=1)] = 10_000
    timeout: Seconds = 10.0
    queue: Annotated[int, Field(ge=1)] = 256
    default_model: str | None = None


class LogSpec(Strict):
    """The prediction log: whether, where its Parquet files go (a folder, or a URL of any file system that pyarrow or
    fsspec knows), and how long and how much is kept.
    """

    enabled: bool = True
    store: str | None = None
    keep: Seconds = 90 * 86_400.0
    keep_size: Bytes = 10 * 1000**3


class TrackingSpec(Strict):
    """Where MLflow keeps runs and the registry: a file of the project's own, or a server."""

    uri: str | None = None


class ProjectSpec(Strict):
    """`[project]`."""

    name: Name
    description: str | None = None


class _Document(Strict):
    project: ProjectSpec
    serving: ServingSpec = ServingSpec()
    log: LogSpec = LogSpec()
    tracking: TrackingSpec = TrackingSpec()
    models: dict[Name, dict[str, Any]] = {}


class Project(Strict):
    """A project: the folder, and what its `mainspring.toml` says."""

    folder: Path
    project: ProjectSpec
    serving: ServingSpec
    log: LogSpec
    tracking: TrackingSpec
    models: dict[str, TabularSpec]
    _lines: dict[Path_, int] = PrivateAttr(default_factory=dict)

    @property
    def name(self) -> str:
        """The project's name."""
        return self.project.name

    @property
    def state(self) -> Path:
        """The folder in which Mainspring keeps what it makes."""
        return self.folder / STATE_FOLDER

    def model(self, name: str) -> TabularSpec:
        """The model called `name`; SpecError, with the names there are, if there is none."""
        if name in self.models:
            return self.models[name]
        raise SpecError(f"no model {name!r} in {self.folder / FILE_NAME}{_choices(name, self.models)}")

    def mistake(self, key: Path_, problem: str) -> SpecError:
        """The error for a key whose value turned out wrong later, as when its file is missing."""
        return SpecError(_message(key, problem, self._lines))


def load(folder: Path | str = ".") -> Project:
    """Read `mainspring.toml` in `folder`.

    Raises:
        SpecError: with one line for each mistake.
    """
    folder = Path(folder).resolve()
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except (FileNotFoundError, NotADirectoryError):
        raise SpecError(
            f"no {FILE_NAME} in {folder}: go to a project's folder, name one with --project, or make one with "
            "`mainspring init DIR`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    return parse(text, folder)


def parse(text: str, folder: Path) -> Project:
    """The project that `text` declares; `folder` is what its paths are relative to."""
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise SpecError(f"{FILE_NAME} is not valid TOML: {error}") from None
    except RecursionError:
        raise SpecError(f"{FILE_NAME} cannot be read: its lists and tables are nested too deeply") from None
    lines = _line_numbers(text)
    mistakes: list[tuple[Path_, str]] = []
    models: dict[str, TabularSpec] = {}
    try:
        document = _Document.model_validate(raw)
    except ValidationError as error:
        mistakes += _mistakes(error, _Document, ())
        document = None
    tables = raw.get("models", {})
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if not isinstance(table, dict):
            continue  # reported above
        here = ("models", name)
        task = table.get("task")
        if task is None:
            mistakes.append((here, f"the key 'task' is missing; allowed: {', '.join(TASKS)}"))
        elif task not in TASKS if isinstance(task, str) else True:
            mistakes.append(((*here, "task"), f"{task!r} is not a task{_choices(str(task), TASKS)}"))
        else:
            try:
                models[name] = TASKS[task].model_validate(table)
            except ValidationError as error:
                mistakes += _mistakes(error, TASKS[task], here)
    if document and document.serving.default_model not in (None, *tables):
        found = document.serving.default_model
        mistakes.append((("serving", "default_model"), f"{found!r} is not a model{_choices(str(found), tables)}"))
    if mistakes or document is None:
        raise SpecError("\n".join(_message(key, problem, lines) for key, problem in mistakes))
    project = Project(
        folder=folder,
        project=document.project,
        serving=document.serving,
        log=document.log,
        tracking=document.tracking,
        models=models,
    )
    project._lines.update(lines)
    return project


def _message(key: Path_, problem: str, lines: dict[Path_, int]) -> str:
    line = next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), None)
    where = f"{FILE_NAME}, line {line}" if line else FILE_NAME
    return ": ".join(part for part in (where, ".".join(key), problem) if part)


def _choices(found: str, allowed: Any) -> str:
    """The end of a message: what is allowed, and what was perhaps meant."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"; allowed: {', '.join(names) or 'none'}{hint}"


_EXPECTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
}


def _mistakes(error: ValidationError, model: type[BaseModel], prefix: Path_) -> list[tuple[Path_, str]]:
    """Pydantic's findings in our words."""
    found = []
    for item in error.errors(include_url=False):
        key = tuple(str(part) for part in item["loc"] if part != "[key]")
        value, context, kind = item["input"], item.get("ctx", {}), item["type"]
        if kind == "extra_forbidden":
            problem = f"unknown key{_choices(key[-1], _fields_at(model, key[:-1]))}"
        elif kind == "missing":
            key, problem = key[:-1], f"the key {key[-1]!r} is missing"
        elif kind == "literal_error":
            allowed = re.findall(r"'([^']*)'", context["expected"])
            problem = f"{value!r} is not allowed{_choices(str(value), allowed)}"
        elif kind == "value_error":
            problem = f"expected {context['error']}; found {value!r}"
        elif kind == "string_pattern_mismatch":
            problem = f"expected a name of a-z, 0-9, - and _ that begins with a letter; found {value!r}"
        elif kind == "too_short":
            problem = f"expected at least {context['min_length']}; found {context['actual_length'] or 'none'}"
        elif kind in _EXPECTED:
            problem = f"expected {_EXPECTED[kind]}; found {value!r}"
        else:
            said = item["msg"].replace("Input should be", "expected").replace("Value should be", "expected")
            problem = f"{said}; found {value!r}"
        found.append(((*prefix, *key), problem))
    return found


def _fields_at(model: type[BaseModel], key: Path_) -> list[str]:
    """The keys allowed in the table at `key` inside `model`."""
    for part in key:
        field = model.model_fields.get(part)
        if field is None:  # a name of the user's own, as in columns.NAME: the model stays the one found
            continue
        nested = _nested_model(field.annotation)
        if nested is None:
            return []
        model = nested
    return list(model.model_fields)


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if nested := _nested_model(argument):
            return nested
    return None


_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEYS = rf"({_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*{_KEYS}[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"[ \t]*{_KEYS}[ \t]*=")
_PART = re.compile(
    r"""
    \"{3} (?:\\.|[^\\])*? \"{3,5} | '{3} .*? '{3,5}        # a text of many lines; it may end with two quotes of its own
    | " (?:\\.|[^"\\])* " | ' [^']* ' | \# [^\n]*
    | [\[\]{}\n] | [^\[\]{}\n"'\#]+
    """,
    re.VERBOSE | re.DOTALL,
)


def _line_numbers(text: str) -> dict[Path_, int]:
    """Where each key and table begins. The standard parser keeps no positions; this finds those of valid TOML."""
    lines: dict[Path_, int] = {}
    table: Path_ = ()
    position, number = 0, 1
    while position < len(text):
        if match := _HEADER.match(text, position):
            table = _split_key(match[1])
            lines.setdefault(table, number)
        elif match := _ASSIGNMENT.match(text, position):
            lines.setdefault((*table, *_split_key(match[1])), number)
        end = _end_of_statement(text, match.end() if match else position)
        number += text.count("\n", position, end)
        position = end
    return lines


def _end_of_statement(text: str, position: int) -> int:
    """After the next line break that is in no text, list or inline table."""
    depth = 0
    while part := _PART.match(text, position):
        position = part.end()
        if part[0] in ("[", "{"):
            depth += 1
        elif part[0] in ("]", "}"):
            depth -= 1
        elif part[0] == "\n" and depth == 0:
            return position
    return len(text)


def _split_key(key: str) -> Path_:
    """`columns."dep delay"` → ("columns", "dep delay"), as the standard parser reads it."""
    parts, inner = [], tomllib.loads(f"{key} = 0")
    while isinstance(inner, dict):
        [(part, inner)] = inner.items()
        parts.append(part)
    return tuple(parts)
