from __future__ import annotations

import os
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from projects import CHEAP, TOML, champion, fit_side, make_project, make_rows, publish, read_rows, respecify, write_rows

from mainspring import spec
from mainspring.errors import RegistryError, SpecError
from mainspring.files import lock, sha256
from mainspring.lifecycle import promote
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.progress import Watcher
from mainspring.registry import history, tracking, versions


def names(project):
    return versions.names(project.state, "late")


def change_manifest(project, version, **lineage):
    path = versions.models_folder(project.state, "late") / version / versions.MANIFEST
    manifest = msgspec.json.decode(path.read_bytes())
    manifest["lineage"] |= lineage
    path.write_bytes(msgspec.json.encode(manifest))


def test_the_first_version_that_beats_the_baseline_is_live(template):
    version = versions.load(template.state, "late", "1")
    version.verify()
    manifest = version.manifest
    assert champion(template) == "1"
    assert manifest.verdict["decision"] == "promote"
    assert manifest.verdict["against"] == "baseline"
    assert manifest.verdict["comparison"]["champion"] == 0.5
    kept = {"golden.json", "model.onnx", "profile.json", "reference.parquet", "report.html", "report.json"}
    assert set(manifest.files) == kept
    assert manifest.lineage.fit_rows + manifest.lineage.holdout_rows == manifest.lineage.rows == 300
    assert manifest.lineage.holdout_rows == manifest.verdict["comparison"]["rows"] == (~fit_side(template)).sum()
    assert len(version.golden().records) >= 24
    events = [(event.kind, event.version) for event in history.read(template.state, "late")]
    assert events == [("fit", "1"), ("promote", "1")]
    assert tracking.connect(template).champion("late") == "1"


def test_an_unchanged_project_is_left_alone_and_told_so(fitted):
    before = {path: path.stat().st_mtime_ns for path in fitted.state.rglob("*.json*")}
    [result] = fit(fitted)
    assert (result.outcome, result.version) == ("unchanged", "1")
    assert result.message == ("data, spec and code are as they were for version 1 (which is live): nothing to do")
    assert {path: path.stat().st_mtime_ns for path in fitted.state.rglob("*.json*")} == before


def test_what_no_model_depends_on_makes_none_stale(fitted):
    path = fitted.folder / "orders.csv"
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    project = respecify(fitted, ("port = 0", "port = 0\nworkers = 2"), ('name = "orders"', 'name = "orders" # ours'))
    assert fit(project)[0].outcome == "unchanged"


def test_a_changed_spec_and_then_one_changed_row_make_it_stale(fitted):
    project = respecify(fitted, *CHEAP)
    [second] = fit(project)
    assert (second.version, champion(project)) == ("2", "1")
    assert second.outcome == "kept"
    assert second.verdict["decision"] == "insufficient evidence"  # as good as version 1, so that nothing is shown
    assert second.verdict["against"] == "version 1"
    assert second.verdict["comparison"]["rows"] == 55
    client = tracking.connect(project)._client
    assert client.get_model_version_by_alias("late", "challenger").tags["mainspring.version"] == "2"
    assert fit(project)[0].outcome == "unchanged"

    rows = read_rows(project.folder / "orders.csv")
    rows[7]["plan"] = "c" if rows[7]["plan"] != "c" else "b"
    write_rows(project.folder / "orders.csv", rows)
    [third] = fit(project)
    assert (third.outcome, third.version, champion(project)) == ("kept", "3", "1")
    lineages = [version.manifest.lineage for version in versions.load_all(project.state, "late")]
    assert lineages[0].data == lineages[1].data != lineages[2].data
    assert lineages[0].spec != lineages[1].spec == lineages[2].spec


def test_data_that_is_as_it_was_before_needs_no_fit(poor, copy_of):
    """Version 1's data is back: there is nothing to learn from it that version 1 does not know."""
    project = copy_of(poor)
    write_rows(project.folder / "orders.csv", make_rows())
    project = respecify(project, *((after, before) for before, after in CHEAP))
    [result] = fit(project)
    assert (result.outcome, result.version) == ("unchanged", "1")
    assert "live is version 2" in result.message
    assert champion(project) == "2"


def test_a_worse_challenger_is_rejected(spoilt):
    verdict = versions.load(spoilt.state, "late", "2").manifest.verdict
    assert verdict["decision"] == "reject"
    assert verdict["against"] == "version 1"
    comparison = verdict["comparison"]
    assert comparison["rows"] == 55
    assert comparison["challenger"] < 0.3 < 0.8 < comparison["champion"]
    assert comparison["low"] <= comparison["difference"] <= comparison["high"] < 0
    assert champion(spoilt) == "1"


def test_a_better_challenger_is_promoted(poor, copy_of):
    project = copy_of(poor)
    [result] = fit(project)
    assert (result.outcome, result.version, champion(project)) == ("promoted", "3", "3")
    assert result.verdict["comparison"]["difference"] > 0.5
    assert tracking.connect(project).champion("late") == "3"
    assert promote.rollback(project, "late") == "2"
    assert champion(project) == "2"
    assert tracking.connect(project).champion("late") == "2"
    assert fit(project)[0].outcome == "unchanged"  # what was rolled back does not come back by itself
    assert promote.rollback(project, "late") == "1"
    with pytest.raises(RegistryError, match="version 1 is the first champion of late"):
        promote.rollback(project, "late")


def test_an_alias_moved_in_mlflow_while_nothing_followed_it_names_the_champion(poor, copy_of):
    project = copy_of(poor)
    tracking.connect(project).set_alias("late", tracking.CHAMPION, "1")
    assert champion(project) == "2"
    [result] = fit(project)
    assert result.verdict["against"] == "version 1"
    assert (result.outcome, champion(project)) == ("kept", "1")


def test_an_alias_on_a_version_that_is_not_ours_is_noted_and_stops_no_fit(poor, copy_of):
    project, told = copy_of(poor), []
    client = tracking.connect(project)._client
    other = client.create_model_version("late", source="file:///elsewhere")
    client.set_registered_model_alias("late", "champion", other.version)

    class Listener(Watcher):
        def note(self, model, what):
            told.append(what)

    [result] = fit(project, watcher=Listener())
    assert (result.outcome, result.verdict["against"]) == ("promoted", "version 2")
    assert any("which Mainspring did not make" in what for what in told)


def test_a_margin_must_be_beaten(poor, copy_of):
    project = respecify(copy_of(poor), ("budget = 1", "budget = 1\ngate.margin = 0.95"))
    [result] = fit(project)
    assert result.outcome == "kept"
    assert champion(project) == "2"


def test_versions_are_compared_on_rows_that_neither_was_fitted_on(poor, copy_of):
    """The challenger holds out twice the rows; half of them the champion was fitted on."""
    project = respecify(copy_of(poor), ("budget = 1", "budget = 1\nholdout = 0.4"))
    [result] = fit(project)
    assert result.outcome == "promoted"
    unseen = ~fit_side(project, "2") & ~fit_side(project, "3")
    assert (~fit_side(project, "3")).sum() > 100
    assert result.verdict["comparison"]["rows"] == unseen.sum() == (~fit_side(project, "2")).sum() < 60


def test_a_champion_that_was_fitted_on_everything_cannot_be_judged(poor, copy_of):
    """Negative test of the one above: were the champion's own rows used, this challenger would win."""
    project = copy_of(poor)
    split = versions.load(project.state, "late", "2").manifest.lineage.split
    change_manifest(project, "2", split=split | {"below": 0.0})
    assert fit_side(project, "2").all()
    [result] = fit(project)
    assert (result.outcome, champion(project)) == ("kept", "2")
    assert result.verdict == {
        "decision": "insufficient evidence",
        "reason": "the champion, version 2, was fitted on all of the held-out rows",
        "comparison": None,
        "against": "version 2",
    }


def test_the_rows_that_a_version_was_fitted_on_are_never_held_out_later(fitted):
    """Data grows, in another order: every row that version 1 saw stays on its side."""
    before = dict(zip(map(str, make_rows()), fit_side(fitted), strict=True))
    rows = [*make_rows(200, seed=8), *reversed(make_rows())]
    write_rows(fitted.folder / "orders.csv", rows)
    after = fit_side(fitted)
    assert [side for row, side in zip(rows, after, strict=True) if str(row) in before] == [*reversed(before.values())]
    assert 0.1 < np.mean(~after[:200]) < 0.3


@pytest.mark.parametrize("damage", ["lost", "damaged"])
def test_a_champion_that_is_lost_or_damaged_leaves_the_verdict_to_people(poor, copy_of, damage):
    project = copy_of(poor)
    folder = versions.load(project.state, "late", "2").folder
    if damage == "lost":
        shutil.rmtree(folder)
    else:
        (folder / "model.onnx").write_bytes(b"x" + (folder / "model.onnx").read_bytes())
    [result] = fit(project)
    assert (result.outcome, result.verdict["decision"]) == ("kept", "insufficient evidence")
    assert result.verdict["reason"].startswith("the champion, version 2, cannot be compared: ")
    promote.promote(project, "late", result.version, reason="promoted by hand")
    assert champion(project) == result.version


def test_an_old_version_that_is_damaged_stops_no_fit(poor, copy_of):
    project = copy_of(poor)
    (versions.models_folder(project.state, "late") / "1" / versions.MANIFEST).write_text("{")
    assert fit(project)[0].outcome == "promoted"


def test_what_cannot_be_predicted_is_not_promoted(tmp_path):
    project = respecify(make_project(tmp_path / "noise", rows=make_rows(strength=0.0)), *CHEAP)
    [result] = fit(project)
    assert (result.outcome, result.version) == ("kept", "1")
    assert result.verdict["decision"] in ("reject", "insufficient evidence")
    assert result.verdict["against"] == "baseline"
    assert champion(project) is None
    assert names(project) == ["1"]
    with pytest.raises(RegistryError, match="late has no champion yet"):
        promote.rollback(project, "late")


def test_a_model_that_fails_stops_no_other(template, tmp_path):
    broken = TOML[TOML.index("[models") :].replace("orders.csv", "nothing.csv")
    toml = TOML[: TOML.index("[models")] + broken.replace("late]", "first]") + TOML[TOML.index("[models") :]
    toml += broken.replace("late]", "third]").replace("nothing.csv", "orders.csv").replace('= "late"', '= "lat"')
    folder = tmp_path / "three"
    shutil.copytree(template.folder, folder)
    (folder / "mainspring.toml").write_text(toml)
    results = fit(spec.load(folder))
    assert [(result.model, result.outcome) for result in results] == [
        ("first", "failed"),
        ("late", "unchanged"),
        ("third", "failed"),
    ]
    assert "models.first.data" in results[0].message
    assert "models.third.target" in results[2].message
    assert "did you mean 'late'?" in results[2].message


def test_only_the_models_that_are_named_are_fitted(fitted):
    assert [result.model for result in fit(fitted, ["late"])] == ["late"]
    with pytest.raises(SpecError, match="no model 'lat'"):
        fit(fitted, ["late", "lat"])


def test_a_second_fit_at_the_same_time_is_refused(fitted):
    with lock(versions.models_folder(fitted.state, "late") / ".fit.lock", what="a fit of late"):
        [result] = fit(fitted)
    assert result.outcome == "failed"
    assert "a fit of late is already under way (process " in result.message


def test_a_store_that_does_not_answer_changes_nothing(fitted):
    (fitted.state / "mlflow.db").write_bytes(b"no database" * 1000)
    [result] = fit(fitted, force=True)
    assert result.outcome == "failed"
    assert "MLflow at sqlite:///" in result.message
    assert names(fitted) == ["1"]
    with pytest.raises(Exception, match="MLflow at sqlite:///"):
        promote.promote(fitted, "late", "1", reason="by hand")
    assert champion(fitted) == "1"


def test_versions_that_mlflow_lacks_are_recorded_by_the_next_fit(fitted):
    (fitted.state / "mlflow.db").unlink()
    assert fit(fitted)[0].outcome == "unchanged"
    kept = tracking.connect(fitted)._client.search_model_versions("name = 'late'")
    assert [version.tags["mainspring.version"] for version in kept] == ["1"]


def test_a_watcher_is_told_how_it_goes(poor, copy_of):
    told = []

    class Listener(Watcher):
        def step(self, model, what):
            told.append((model, what.split()[0]))

        def trial(self, model, metric, trial, best, done):
            told.append((model, metric, done))

    fit(copy_of(poor), watcher=Listener())
    assert told == [
        ("late", "reading"),
        ("late", "trying"),
        ("late", "roc_auc", 1),
        ("late", "exporting"),
        ("late", "judging"),
        ("late", "writing"),
        ("late", "recording"),
    ]


@pytest.mark.slow
def test_the_same_data_spec_and_code_give_the_same_model_in_another_process(tmp_path):
    """With other hashes and another number of threads, for the kind of model in which these could matter."""
    here, there = (
        respecify(make_project(tmp_path / name), ('["linear", "boosting"]\nbudget = 2', '["boosting"]\nbudget = 1'))
        for name in ("here", "there")
    )
    assert fit(here)[0].outcome == "promoted"
    script = "from mainspring import spec; from mainspring.lifecycle.fit import fit; fit(spec.load('.'))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([sys.executable, "-c", script], cwd=there.folder, env=environment, check=True)
    first, second = (versions.load(project.state, "late", "1") for project in (here, there))
    for name in ("model.onnx", "golden.json", "profile.json"):
        assert sha256(first.file(name)) == sha256(second.file(name))
    assert first.manifest.lineage == second.manifest.lineage
    assert first.manifest.metrics == second.manifest.metrics


def test_promoting_by_hand(fitted):
    publish(fitted.state)
    promote.promote(fitted, "late", "2", reason="because")
    assert champion(fitted) == "2"
    assert history.read(fitted.state, "late")[-1].detail == "because"
    promote.promote(fitted, "late", "2", reason="again")
    assert history.read(fitted.state, "late")[-1].detail == "because"
    for version in ("9", "../1", ""):
        with pytest.raises(RegistryError, match=r"no version .* of late; there are: 1, 2"):
            promote.promote(fitted, "late", version, reason="no")
    (versions.load(fitted.state, "late", "1").folder / "golden.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"golden.json is damaged"):
        promote.promote(fitted, "late", "1", reason="no")
    assert champion(fitted) == "2"
