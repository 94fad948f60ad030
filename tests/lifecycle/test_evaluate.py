from __future__ import annotations

import numpy as np
import pytest
from projects import fit_side, make_project, make_rows, read_rows, respecify, write_rows

from mainspring.errors import DataError, RegistryError, SpecError
from mainspring.lifecycle.evaluate import evaluate
from mainspring.registry import versions


def test_the_champion_on_the_data_it_was_fitted_with(template):
    found = evaluate(template, "late")
    manifest = versions.load(template.state, "late", "1").manifest
    assert (found.version, found.champion, found.metric, found.verdict) == ("1", "1", "roc_auc", None)
    assert found.rows == manifest.lineage.holdout_rows
    assert found.metrics == manifest.metrics
    for estimate in found.metrics.values():
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert found.report.endswith("/models/late/1/report.html")


def test_another_version_is_compared_with_the_champion(spoilt):
    found = evaluate(spoilt, "late", "2")
    assert (found.version, found.champion) == ("2", "1")
    assert found.verdict["decision"] == "reject"
    assert found.verdict["against"] == "version 1"
    assert found.verdict["comparison"]["rows"] == found.rows == 55


def test_data_that_grew_is_judged_on_the_rows_that_were_not_seen(fitted):
    """Where the new rows are of another kind, it shows; and no row that the version saw counts."""
    before = evaluate(fitted, "late")
    new = make_rows(400, seed=21)
    for row in new:
        row["late"] = not row["late"]
    write_rows(fitted.folder / "orders.csv", [*new, *make_rows()])
    after = evaluate(fitted, "late")
    assert after.rows == (~fit_side(fitted)).sum() > before.rows
    assert after.metrics["roc_auc"]["value"] < before.metrics["roc_auc"]["value"] - 0.2


def test_rows_that_the_version_saw_do_not_count(fitted):
    """Negative: only rows of the fit side are left, so that there is nothing to judge by."""
    rows = [row for row, seen in zip(make_rows(), fit_side(fitted), strict=True) if seen]
    write_rows(fitted.folder / "orders.csv", rows)
    with pytest.raises(DataError, match="version 1 of late was fitted on every row there is"):
        evaluate(fitted, "late")


def test_held_out_rows_do_count(fitted):
    rows = [row for row, seen in zip(make_rows(), fit_side(fitted), strict=True) if not seen]
    write_rows(fitted.folder / "orders.csv", rows)
    assert evaluate(fitted, "late").rows == len(rows) == np.sum(~fit_side(fitted))


def test_a_column_that_the_data_no_longer_has(fitted):
    rows = read_rows(fitted.folder / "orders.csv")
    for row in rows:
        del row["heat"]
    write_rows(fitted.folder / "orders.csv", rows)
    with pytest.raises(DataError, match="heat"):
        evaluate(fitted, "late")


def test_nothing_to_evaluate(tmp_path):
    project = make_project(tmp_path / "new")
    with pytest.raises(RegistryError, match="late has no versions yet: mainspring fit late"):
        evaluate(project, "late")
    with pytest.raises(SpecError, match="no model 'lat'"):
        evaluate(project, "lat")


def test_a_version_that_is_not_there_or_damaged(fitted):
    with pytest.raises(RegistryError, match="no version '7' of late; there are: 1"):
        evaluate(fitted, "late", "7")
    path = versions.load(fitted.state, "late", "1").file("model.onnx")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RegistryError, match=r"model.onnx is damaged"):
        evaluate(fitted, "late")


def test_a_target_that_became_another(fitted):
    project = respecify(fitted, ('target = "late"', 'target = "plan"'))
    with pytest.raises(DataError, match="it predicts 'late', and the data's target is 'plan'"):
        evaluate(project, "late")
