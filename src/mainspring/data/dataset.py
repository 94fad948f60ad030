"""A model's data, ready to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainspring.data.conform import conform
from mainspring.data.conform import truth as conform_truth
from mainspring.data.fingerprints import mix, row_hashes, table_fingerprint
from mainspring.data.kinds import check_names, known_targets, understand
from mainspring.data.leaks import find_leaks
from mainspring.data.readers import read
from mainspring.errors import DataError
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, Schema
from mainspring.spec import Project


@dataclass(frozen=True)
class Dataset:
    """The rows whose target is known, in every form that fitting needs; n of them.

    `table` has all columns, also those that are no features. `columns` has the features as the graph takes them.
    `truth` is (n,) int64 codes into `schema.target.labels`, or float64. `time` is (n,) int64 microseconds since 1970
    UTC, and `group` (n,) str, where the spec names such columns. `hashes` is (n,) uint64: rows that are equal in the
    columns `hashed` (the features and the constants) have equal hashes. `fingerprint` is that of all data loaded, also
    after `take`. `live` is (n,) bool: rows that were added from live traffic. `notes` are sentences for the user: what
    was dropped and why.
    """

    table: pa.Table
    schema: Schema
    columns: Columns
    truth: np.ndarray
    time: np.ndarray | None
    group: np.ndarray | None
    hashes: np.ndarray
    hashed: tuple[Column, ...]
    fingerprint: str
    live: np.ndarray
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return self.table.num_rows

    def take(self, rows: np.ndarray) -> Dataset:
        """The dataset of some rows: (n,) bool, or places in any order."""
        places = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            table=self.table.take(places),
            columns={name: values[places] for name, values in self.columns.items()},
            truth=self.truth[places],
            time=None if self.time is None else self.time[places],
            group=None if self.group is None else self.group[places],
            hashes=self.hashes[places],
            live=self.live[places],
        )


def load(project: Project, model: str, live: pa.Table | None = None) -> Dataset:
    """Read, understand and check the data of `model`; `live` has further rows, of live traffic whose labels have come.

    A live row that the data has, too, is left out. The fingerprint is that of the data alone.

    Raises:
        SpecError: the spec names what is not there, or asks of the data what it cannot be.
        DataError: the data cannot be read, or there is too little of it.
    """
    spec = project.table(model)
    everything = read(project, model)
    check_names(project, model, everything)
    fingerprint, old_rows = table_fingerprint(everything), everything.num_rows
    if live is not None and live.num_rows:
        everything = with_live(everything, live)
    known = known_targets(everything, spec.target)
    table = everything if known.all() else everything.filter(pa.array(known))
    understanding = understand(project, model, table)
    schema = Schema(understanding.features, understanding.target)
    hashed = understanding.features + understanding.constants
    columns = conform(table, hashed)
    truth = conform_truth(table, schema.target)
    notes = list(understanding.notes)
    if unknown := int((~known).sum()):
        notes.insert(0, f"{unknown:,} of {len(known):,} rows have no value of {spec.target} and are left out.")
    notes += [
        f"{leak.name} gives the target away: alone it explains {leak.explained:.1%} of {spec.target}. If it is not "
        f'known when the model is asked: exclude = ["{leak.name}"].'
        for leak in find_leaks(columns, schema.features, truth, schema.target)
    ]
    dataset = Dataset(
        table=table,
        schema=schema,
        columns={feature.name: columns[feature.name] for feature in schema.features},
        truth=truth,
        time=row_times(table, spec.time) if spec.time else None,
        group=row_groups(table, spec.group) if spec.group else None,
        hashes=row_hashes(columns, hashed),
        hashed=hashed,
        fingerprint=fingerprint,
        live=np.flatnonzero(known) >= old_rows,
        notes=tuple(notes),
    )
    again = again_in_live(dataset)
    return dataset.take(~again) if again.any() else dataset


def with_live(everything: pa.Table, live: pa.Table) -> pa.Table:
    """`everything` and then the rows of `live`, in its form; a column that these lack is missing in all of them.

    Raises:
        DataError: a column of `live` cannot be made what it is in the data.
    """
    columns: list[pa.ChunkedArray] = []
    for field in everything.schema:
        if field.name not in live.column_names:
            columns.append(pa.nulls(live.num_rows, field.type))
            continue
        try:
            columns.append(live[field.name].cast(_fitting(field.type, live[field.name]), safe=False))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            found = live[field.name].type
            raise DataError(
                f"live rows have {field.name!r} as {found}, which cannot be made {field.type} as in the data: {error}"
            ) from None
    return pa.concat_tables([everything, pa.table(columns, everything.column_names)], promote_options="permissive")


def _fitting(type_: pa.DataType, live: pa.ChunkedArray) -> pa.DataType:
    """The data's type, unless that is of whole numbers and some live ones are not whole."""
    if pa.types.is_integer(type_) and pa.types.is_floating(live.type):
        return type_ if pc.all(pc.equal(live, pc.floor(live))).as_py() in (True, None) else live.type
    return type_


def again_in_live(dataset: Dataset) -> np.ndarray:
    """Which live rows the data has, too: (n,) bool."""
    keys = dataset.hashes ^ mix(dataset.truth.astype(np.float64).view(np.uint64))
    if dataset.time is not None:
        keys ^= mix(mix(dataset.time.view(np.uint64)))
    return dataset.live & np.isin(keys, keys[~dataset.live])


def row_times(table: pa.Table, name: str) -> np.ndarray:
    """The time of each row: (n,) int64 microseconds. DataError if one has none, for it would have no place in time."""
    times = conform(table, (Column(name, "time"),))[name]
    _require_present(times != MISSING_TIME, name, "the time that orders the rows")
    return times


def row_groups(table: pa.Table, name: str) -> np.ndarray:
    """The group of each row: (n,) object array of str. DataError if one has none."""
    groups = conform(table, (Column(name, "category"),))[name]
    _require_present(groups != MISSING_TEXT, name, "the group that keeps rows together")
    return groups


def _require_present(present: np.ndarray, name: str, what: str) -> None:
    if not present.all():
        raise DataError(
            f"{name} is {what}, and {int((~present).sum()):,} rows have no value of it (the first is row "
            f"{int(np.argmin(present)) + 1}): fill it in, or leave those rows out"
        )
