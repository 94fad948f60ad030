"""The reference profile: how inputs and outputs looked when a version was fitted, small enough to travel with it.

A number is kept as its quantiles and the counts of the cells between them (see `tallies`), a category or a boolean as
the shares of its values; a time as its hour of the day and a text as its length. The *inputs* are described as they
were on the rows that the model was fitted on, for these it knows; so are the true labels. The *outputs*, the score and
the calibration are those of the held-out rows: on the rows of its fit a model is surer than it will ever be again.

Of the rows themselves a sample is kept beside, for the test that looks at all inputs together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mainspring.errors import RegistryError
from mainspring.monitoring.performance import Skill, skill_of
from mainspring.monitoring.tallies import NumberCounter, moments, watched
from mainspring.registry.versions import PROFILE, Version
from mainspring.runtimes.onnx import Outputs
from mainspring.schema import MISSING_TEXT, Columns, Schema, label_text

SAMPLE = "reference.parquet"
SAMPLE_ROWS = 4000
_QUANTILES = np.linspace(0.0, 1.0, 201)
_MOST_VALUES = 200
_DECIMALS = 6


class ColumnProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column: `rows` known values, and the share `missing` of all.

    Either `quantiles` (201 of them, from the least to the greatest) with the counts in `cells`, `mean` and standard
    `deviation`; or `shares` of values, `other` being the share of values past the 200 most frequent; or neither where
    all is missing. `outside` is the share of new rows that should lie outside of all this even if nothing moves: those
    that would have, had they not been among the rows described (Good & Turing's estimate, 1953). `importance` is the
    column's share of the model's permutation importance.
    """

    rows: int
    missing: float
    quantiles: list[float] = []
    cells: list[int] = []
    mean: float = 0.0
    deviation: float = 0.0
    shares: dict[str, float] = {}
    other: float = 0.0
    outside: float = 0.0
    importance: float = 0.0

    @property
    def cuts(self) -> np.ndarray:
        """The distinct quantiles."""
        return np.unique(self.quantiles)


class Profile(msgspec.Struct, frozen=True):
    """All inputs; the outputs, as `output_columns` names them; the true labels; how well the model did.

    `skill` is None where the held-out rows could not tell, as with a single class. `threshold` is that of a collection
    of documents: the probability that the answer is there from which on it is answered.
    """

    rows: int
    inputs: dict[str, ColumnProfile]
    outputs: dict[str, ColumnProfile]
    target: ColumnProfile
    skill: Skill | None
    threshold: float | None = None


@dataclass(frozen=True)
class Reference:
    """The profile of a version, and up to 4,000 of the rows that it was fitted on."""

    profile: Profile
    sample: Columns


def build(
    schema: Schema,
    metric: str,
    *,
    fit: Columns,
    fit_truth: np.ndarray,
    held_out: Columns,
    outputs: Outputs,
    truth: np.ndarray,
    importance: dict[str, float],
    seed: int = 0,
) -> Reference:
    """The reference of a version.

    Args:
        schema: what the version takes and gives.
        metric: what "better" means.
        fit: the inputs that it was fitted on.
        fit_truth: (n,) their true labels, as codes into the schema's labels, or numbers.
        held_out: the inputs that were held out; used where nothing was fitted on.
        outputs: what the version answers on the held-out rows.
        truth: (m,) their true labels.
        importance: of each column, at least 0, on any scale: it is kept as shares that add up to 1. Where it is 0
            for all, or nothing is known of it, all are taken as equal.
        seed: which rows are kept as the sample.
    """
    columns = fit if len(fit_truth) else held_out
    answers = {name: describe(values) for name, values in output_columns(outputs, schema).items()}
    rows = len(fit_truth) or len(truth)
    skill = skill_of(schema, metric, outputs, truth, fit_truth)
    labels = describe(truth_column(fit_truth if len(fit_truth) else truth, schema))
    profile = Profile(rows, inputs_of(schema, columns, importance), answers, labels, skill)
    return Reference(profile, sample_of(schema, columns, rows, seed))


def inputs_of(schema: Schema, columns: Columns, importance: dict[str, float]) -> dict[str, ColumnProfile]:
    """The profile of each input; `importance` as in `build`."""
    shares = _shares_of_importance(importance, [column.name for column in schema.features])
    return {
        column.name: msgspec.structs.replace(
            describe(watched(columns[column.name], column.kind)), importance=shares[column.name]
        )
        for column in schema.features
    }


def sample_of(schema: Schema, columns: Columns, rows: int, seed: int) -> Columns:
    """The inputs of some of so many `rows`: of those that the values of a column with very many were not chosen by."""
    some = np.sort(np.random.default_rng(seed).permutation(np.arange(1, rows, 2))[:SAMPLE_ROWS])
    return {column.name: columns[column.name][some] for column in schema.features}


def save(reference: Reference, folder: Path) -> None:
    """Write `profile.json` and `reference.parquet` into `folder`."""
    (folder / PROFILE).write_bytes(msgspec.json.encode(reference.profile))
    table = pa.table({name: _as_arrow(values) for name, values in reference.sample.items()})
    parquet.write_table(table, folder / SAMPLE, compression="zstd")


def load(version: Version) -> Reference:
    """Read what `save` wrote.

    Raises:
        RegistryError: the version has no profile, or one of an earlier form.
    """
    try:
        version.file(SAMPLE)  # it belongs to the version
        return read(version.file(PROFILE).parent)
    except (RegistryError, msgspec.DecodeError, pa.ArrowException, OSError) as error:
        model = version.manifest.model
        raise RegistryError(
            f"version {version.name} of {model} has no profile that drift can be measured against ({error}): "
            f"fit it again, with `mainspring fit {model} --force`"
        ) from None


def read(folder: Path) -> Reference:
    """Read what `save` wrote into `folder`.

    Raises:
        OSError, msgspec.DecodeError, pyarrow.ArrowException: it is not there, damaged, or of an earlier form.
    """
    profile = msgspec.json.decode((folder / PROFILE).read_bytes(), type=Profile)
    table = parquet.read_table(folder / SAMPLE)
    return Reference(profile, {name: _as_numpy(table[name]) for name in table.column_names})


def _as_arrow(values: np.ndarray) -> pa.Array:
    """A column; of vectors, (n, width), a list of numbers a row."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _as_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy()
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)


def output_columns(outputs: Outputs, schema: Schema) -> Columns:
    """The outputs as columns: `label` and `probability:LABEL`, or `value`.

    Of two labels only the second has a probability here, for the first's is one minus it. Numbers are rounded, so that
    an answer whose last bits depend on the machine stays the same answer.
    """
    if outputs.values is not None:
        return {"value": _rounded(outputs.values)}
    assert outputs.labels is not None
    assert outputs.probabilities is not None
    labels = schema.target.labels
    watched_labels = list(enumerate(labels))[1:] if len(labels) == 2 else list(enumerate(labels))
    probabilities = {
        f"probability:{label_text(label)}": np.round(outputs.probabilities[:, code], _DECIMALS)
        for code, label in watched_labels
    }
    return {"label": np.asarray(outputs.labels, dtype=object), **probabilities}


def truth_column(truth: np.ndarray, schema: Schema) -> np.ndarray:
    """True labels as text, or numbers; what is unknown (NaN) is missing."""
    if not schema.target.labels:
        return truth.astype(np.float64)
    texts = np.array([*map(label_text, schema.target.labels), MISSING_TEXT], dtype=object)
    return texts[np.where(np.isnan(truth), len(texts) - 1, truth).astype(np.intp)]


def describe(values: np.ndarray) -> ColumnProfile:
    """The profile of numbers (float64, NaN missing) or of text (object, "" missing)."""
    return _describe_numbers(values) if values.dtype != object else _describe_categories(values)


def _describe_numbers(values: np.ndarray) -> ColumnProfile:
    known = values[~np.isnan(values)]
    missing = 1.0 - len(known) / max(1, len(values))
    if not len(known):
        return ColumnProfile(0, missing)
    # Halved, because the distance from the least to the greatest may be more than a float can hold.
    quantiles = 2 * np.quantile(known / 2, _QUANTILES)
    quantiles[0], quantiles[-1] = known.min(), known.max()  # halving can lose the last bit of a tiny number
    quantiles = np.maximum.accumulate(np.clip(quantiles, quantiles[0], quantiles[-1]))
    counter = NumberCounter(np.unique(quantiles))
    counter.add(known)
    cells = counter.tally.cells
    mean, deviation = moments(known)
    # The least and the greatest would each have been outside without themselves, unless another is as far out.
    outside = (int(cells[1] == 1) + int(cells[-2] == 1)) / len(known) if len(known) > 1 else 1.0
    return ColumnProfile(len(known), missing, quantiles.tolist(), cells.tolist(), mean, deviation, outside=outside)


def _describe_categories(values: np.ndarray) -> ColumnProfile:
    counts = Counter(values.tolist())
    missing = counts.pop(MISSING_TEXT, 0)
    missing_share = missing / max(1, len(values))
    if not counts:
        return ColumnProfile(0, missing_share)
    kept = counts
    if chosen := len(counts) > _MOST_VALUES:
        # Those that happened to come often would be chosen, and then seem to come less often ever after: so the values
        # are chosen by every second row, and counted in the others.
        kept, counts = Counter(values[::2].tolist()), Counter(values[1::2].tolist())
        kept.pop(MISSING_TEXT, 0)
        counts.pop(MISSING_TEXT, 0)
    rows = max(1, sum(counts.values()))
    shares = {value: counts[value] / rows for value, _ in kept.most_common(_MOST_VALUES)}
    other = sum(count for value, count in counts.items() if value not in shares)
    once = 0 if chosen else sum(count == 1 for count in counts.values())
    return ColumnProfile(rows, missing_share, shares=shares, other=other / rows, outside=(other + once) / rows)


def _rounded(values: np.ndarray) -> np.ndarray:
    """To six significant digits."""
    magnitude = np.floor(np.log10(np.where(values == 0, 1.0, np.abs(values))))
    unit = 10.0 ** np.clip(magnitude - (_DECIMALS - 1), -300, 300)
    return np.round(values / unit) * unit


def _shares_of_importance(importance: dict[str, float], names: list[str]) -> dict[str, float]:
    total = sum(importance.get(name, 0.0) for name in names)
    if total <= 0:
        return dict.fromkeys(names, 1 / max(1, len(names)))
    return {name: importance.get(name, 0.0) / total for name in names}
