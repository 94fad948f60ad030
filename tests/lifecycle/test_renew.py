from __future__ import annotations

import time

import msgspec
import pytest
from projects import make_project, make_rows, respecify, write_rows

from mainspring.errors import BusyError, SpecError
from mainspring.files import lock
from mainspring.lifecycle import trials
from mainspring.lifecycle.progress import Watcher
from mainspring.lifecycle.renew import renew
from mainspring.registry import desired, history, versions

from .live import answer, records


def events(project, kind):
    return [event for event in history.read(project.state, "late") if event.kind == kind]


def test_a_better_challenger_is_promoted_and_put_on_probation(poor, copy_of):
    project = copy_of(poor)
    result = renew(project, "late", reason="size moved")
    assert (result.outcome, result.version) == ("promoted", "3"), result.message
    assert desired.read(project.state).champion("late") == "3"
    begin, end = events(project, "renew")
    assert (begin.detail, begin.data["phase"]) == ("size moved", "begin")
    assert (end.version, end.data["phase"]) == ("3", "end")
    assert end.detail.startswith("promoted: roc_auc")
    trial = trials.current(desired.read(project.state).models["late"], history.read(project.state, "late"))
    assert (trial.kind, trial.champion, trial.challenger) == ("probation", "2", "3")


def test_nothing_new_is_nothing_to_renew_with(poor, copy_of):
    project = copy_of(poor)
    renew(project, "late", reason="by hand")
    again = renew(project, "late", reason="by hand")
    assert (again.outcome, again.version) == ("unchanged", "3")
    assert versions.names(project.state, "late") == ["1", "2", "3"]


@pytest.mark.parametrize("rollout", ["canary", "shadow"])
def test_a_challenger_can_be_tried_first(poor, copy_of, rollout):
    project = respecify(copy_of(poor), ("budget = 1", f'budget = 1\nrenew = {{ rollout = "{rollout}", share = 0.25 }}'))
    result = renew(project, "late", reason="by hand")
    assert (result.outcome, result.version) == ("trial", "3"), result.message
    live = desired.read(project.state).models["late"]
    assert live.champion == "2"
    if rollout == "canary":
        assert [(route.version, route.share) for route in live.routes] == [("2", 0.75), ("3", 0.25)]
    else:
        assert live.shadow == "3"
    assert trials.look(project, "late").decision == "go on"
    assert desired.read(project.state).models["late"] == live
    [begun] = events(project, "rollout")
    assert (begun.version, begun.data["phase"], begun.data["rollout"]) == ("3", "begin", rollout)


def test_a_trial_without_traffic_ends_without_a_promotion(poor, copy_of):
    spec = ("budget = 1", 'budget = 1\nrenew = { rollout = "canary", trial = "1ms" }')
    project = respecify(copy_of(poor), spec)
    renew(project, "late", reason="by hand")
    time.sleep(0.05)  # many trials of a millisecond
    assert trials.look(project, "late").decision == "roll back"
    live = desired.read(project.state).models["late"]
    assert (live.champion, len(live.routes)) == ("2", 1)
    assert events(project, "rollout")[-1].data["outcome"] == "rolled back"


def test_a_failure_is_noted_and_changes_nothing(poor, copy_of):
    project = copy_of(poor)
    (project.folder / "orders.csv").unlink()
    result = renew(project, "late", reason="by hand")
    assert result.outcome == "failed"
    assert "orders.csv" in result.message
    assert events(project, "renew")[-1].detail.startswith("failed: ")
    assert desired.read(project.state).champion("late") == "2"


def test_one_renewal_of_a_model_at_a_time(fitted):
    path = versions.models_folder(fitted.state, "late") / ".fit.lock"
    with lock(path, what="a fit of late"), pytest.raises(BusyError, match="a fit of late is already under way"):
        renew(fitted, "late", reason="by hand")
    assert events(fitted, "renew") == []


def test_a_model_without_a_champion_has_nothing_to_renew(tmp_path):
    project = make_project(tmp_path / "orders")
    assert "no champion to renew yet" in renew(project, "late", reason="by hand").message


def test_a_champion_that_only_mlflow_knows_is_the_one_to_beat(fitted):
    (fitted.state / "desired.json").unlink()
    renew(fitted, "late", reason="by hand")
    assert desired.read(fitted.state).champion("late") == "1"


def test_a_policy_of_time_needs_a_time(fitted):
    project = respecify(fitted, ("budget = 2", 'budget = 2\nrenew = { data = "window", window = "9d" }'))
    with pytest.raises(SpecError, match=r"models\.late\.renew\.data: 'window' needs models\.late\.time"):
        renew(project, "late", reason="by hand")


@pytest.mark.parametrize("private", ["hash", "drop"])
def test_a_private_column_is_never_learned_from_as_the_log_has_it(fitted, private):
    project = respecify(fitted, ("budget = 2", f'budget = 2\ncolumns = {{ plan = {{ private = "{private}" }} }}'))
    answer(project, records(400, seed=17), labelled=True)
    result = renew(project, "late", reason="by hand")
    assert result.outcome in ("promoted", "kept"), result.message
    manifest = versions.load(project.state, "late", "2").manifest
    assert manifest.lineage.rows > 600  # live rows were learned from
    assert set(manifest.schema.feature("plan").levels) == {"a", "b", "c"}


class Notes(Watcher):
    """Keeps what a renewal has to say."""

    def __init__(self):
        self.said = []

    def step(self, model, what):
        self.said.append(what)

    note = step


def recipe(project, version):
    return versions.load(project.state, "late", version).manifest.recipe


def without_rounds(found):
    return [
        (one.kind, {k: v for k, v in one.parameters.items() if k != "rounds"}, one.weight) for one in found.ingredients
    ]


def test_the_champions_recipe_is_fitted_anew(poor, copy_of):
    project = copy_of(poor)
    notes = Notes()
    renew(project, "late", reason="by hand", watcher=notes)
    assert any(said.startswith("fitting the recipe of version 2 on ") for said in notes.said)
    assert recipe(project, "2").kept_from is None
    assert recipe(project, "3").kept_from == "2"
    assert without_rounds(recipe(project, "3")) == without_rounds(recipe(project, "2"))
    assert "the recipe of version 2, fitted anew: roc_auc" in events(project, "fit")[-1].detail
    manifest = versions.load(project.state, "late", "3").manifest
    assert "the recipe of version 2 was fitted anew" in (manifest_folder(project, "3") / "report.html").read_text()
    assert manifest.lineage.policy == {"data": "all", "from": None}


def manifest_folder(project, version):
    return versions.models_folder(project.state, "late") / version


def test_a_search_is_made_where_renewals_have_their_own(poor, copy_of):
    project = respecify(copy_of(poor), ("budget = 1", 'budget = 1\nrenew = { candidates = ["tree"], budget = 2 }'))
    renew(project, "late", reason="by hand")
    assert recipe(project, "3").kept_from is None
    manifest = versions.load(project.state, "late", "3").manifest
    assert manifest.candidate == "tree"
    assert manifest.lineage.policy["candidates"] == ["tree"]
    assert "searched: " in events(project, "fit")[-1].detail


def test_a_search_can_be_asked_for_also_on_rows_that_were_fitted_without_one(poor, copy_of):
    project = copy_of(poor)
    renew(project, "late", reason="by hand")
    assert renew(project, "late", reason="by hand", search=True).version == "4"
    assert recipe(project, "4").kept_from is None
    again = renew(project, "late", reason="by hand", search=True)
    assert (again.outcome, again.version) == ("unchanged", "4")


def test_a_version_from_before_there_were_recipes_is_renewed_by_a_search(poor, copy_of):
    project = copy_of(poor)
    path = manifest_folder(project, "2") / versions.MANIFEST
    old = msgspec.json.decode(path.read_bytes())
    del old["recipe"]
    path.write_bytes(msgspec.json.encode(old))
    notes = Notes()
    renew(project, "late", reason="by hand", watcher=notes)
    assert "version 2 is of a time when recipes were not kept: candidates are searched" in notes.said
    assert recipe(project, "3").kept_from is None


def test_a_recipe_found_under_another_spec_is_not_kept(poor, copy_of):
    project = respecify(copy_of(poor), ("budget = 1", "budget = 2"))
    notes = Notes()
    renew(project, "late", reason="by hand", watcher=notes)
    assert "the spec has changed since version 2 was fitted: candidates are searched" in notes.said
    assert recipe(project, "3").kept_from is None


def test_more_data_is_more_to_learn_from(fitted):
    write_rows(fitted.folder / "orders.csv", make_rows(600, seed=3))
    result = renew(fitted, "late", reason="by hand")
    assert result.outcome in ("promoted", "kept")
    lineage = versions.load(fitted.state, "late", "2").manifest.lineage
    assert (lineage.rows, lineage.policy) == (600, {"data": "all", "from": None})
