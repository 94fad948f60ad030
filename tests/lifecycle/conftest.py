from __future__ import annotations

import msgspec
import pytest
from projects import CHEAP, make_rows, read_rows, respecify, write_rows

from mainspring.data import dataset
from mainspring.data.splits import Split
from mainspring.lifecycle import promote
from mainspring.lifecycle.fit import fit
from mainspring.registry import versions


def fit_side(project, version="1"):
    """Which rows of the data the version was fitted on: (n,) bool."""
    split = msgspec.convert(versions.load(project.state, "late", version).manifest.lineage.split, Split)
    return ~split.is_holdout(dataset.load(project, "late").table)


def spoil_labels(project):
    """Turn the labels of all rows that version 1 was fitted on; those that are held out stay as they are."""
    seen = fit_side(project)
    rows = read_rows(project.folder / "orders.csv")
    for row, spoilt in zip(rows, seen, strict=True):
        if spoilt:
            row["late"] = {"True": "False", "False": "True"}[row["late"]]
    write_rows(project.folder / "orders.csv", rows)


@pytest.fixture(scope="session")
def spoilt(template, tmp_path_factory):
    """Version 1 is good, and version 2, fitted on spoilt labels, was rejected."""
    import shutil

    from mainspring import spec

    folder = tmp_path_factory.mktemp("spoilt") / "orders"
    shutil.copytree(template.folder, folder)
    project = respecify(spec.load(folder), *CHEAP)
    spoil_labels(project)
    [result] = fit(project)
    assert result.outcome == "kept", result.message
    return project


@pytest.fixture(scope="session")
def poor(spoilt, tmp_path_factory):
    """The spoilt version 2 is live, promoted by hand; the data is good again and has one row more: a fit will win."""
    import shutil

    from mainspring import spec

    folder = tmp_path_factory.mktemp("poor") / "orders"
    shutil.copytree(spoilt.folder, folder)
    project = spec.load(folder)
    promote.promote(project, "late", "2", reason="promoted by hand")
    write_rows(folder / "orders.csv", [*make_rows(), *make_rows(1, seed=99)])
    return project
