"""A collection of documents goes through the loop: fitted, judged, renewed, and never half there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from collections_at_hand import QUESTIONS, make_collection, write_questions

from mainspring import spec
from mainspring.errors import DataError, SpecError
from mainspring.lifecycle import retrieval_report
from mainspring.lifecycle.evaluate import evaluate
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.progress import Result, Watcher
from mainspring.lifecycle.renew import renew
from mainspring.registry import desired, versions
from mainspring.runtimes.index.index import Index
from mainspring.spec import Project


@pytest.fixture(scope="module")
def fitted_once(tmp_path_factory) -> Project:
    project = make_collection(tmp_path_factory.mktemp("collection") / "office")
    [result] = fit(project)
    assert result.outcome == "promoted", result.message
    return project


@pytest.fixture
def fitted(fitted_once, tmp_path) -> Project:
    """The collection, version 1 of which is live."""
    shutil.copytree(fitted_once.folder, tmp_path / "office")
    return spec.load(tmp_path / "office")


def fit_one(project: Project) -> Result:
    [result] = fit(project)
    return result


def report(project: Project, version: str):
    return retrieval_report.read(versions.load(project.state, "rules", version))


def found(project: Project, version: str, question: str) -> list[str]:
    """The texts that a version finds by words, best first."""
    index = Index.load(versions.load(project.state, "rules", version).folder / "index")
    try:
        width = index.settings.embedder.width
        vector = np.full(width, width**-0.5, np.float32)
        return [one.quote for one in index.search(question, vector, 3, dense_weight=0.0)]
    finally:
        index.close()


def test_the_first_version_goes_live_with_what_is_known_of_it(fitted):
    version = versions.load(fitted.state, "rules", "1")
    version.verify()
    told = report(fitted, "1")
    assert (told.documents, told.reused, told.unread) == (4, 0, [])
    assert {line.who for line in told.judged} == {"words alone (BM25)", "meaning alone", "both, meaning 0.1"}
    assert told.questions["tuning"] + told.questions["judging"] == len(QUESTIONS)
    value = version.manifest.metrics["ndcg_at_10"]
    assert value["low"] <= value["value"] <= value["high"]
    assert value["value"] > 0.5  # by words: a random embedder finds nothing
    assert "<table" in (version.folder / versions.REPORT_PAGE).read_text()


def test_nothing_new_is_nothing_to_do(fitted):
    result = fit_one(fitted)
    assert (result.outcome, result.version) == ("unchanged", "1")


def test_new_documents_go_live_and_only_they_are_embedded(fitted):
    (fitted.folder / "rules" / "keys.md").write_text("# Keys\n\nA lost key costs 55. Tell the porter.\n")
    (fitted.folder / "rules" / "parking.md").unlink()
    result = fit_one(fitted)
    assert result.outcome == "promoted", result.message
    assert "the documents are others" in result.message
    assert desired.read(fitted.state).champion("rules") == "2"
    told = report(fitted, "2")
    assert told.documents == 3
    assert told.embedded == 1
    assert "costs 55" in found(fitted, "2", "what does a lost key cost?")[0]
    assert "costs 40" in found(fitted, "1", "what does a lost key cost?")[0]  # a reader of the old one is not disturbed


def test_renewal_takes_new_documents_too(fitted):
    (fitted.folder / "rules" / "lunch.md").write_text("# Lunch\n\nOn Tuesday there is soup.\n")
    result = renew(fitted, "rules", reason="by hand")
    assert (result.outcome, result.version) == ("promoted", "2")


def test_another_spec_has_to_be_shown_better(fitted):
    toml = fitted.folder / "mainspring.toml"
    toml.write_text(toml.read_text() + "tokens = 32\n")
    result = fit_one(spec.load(fitted.folder))
    assert result.outcome == "kept"
    assert result.verdict["decision"] == "insufficient evidence"
    assert desired.read(fitted.state).champion("rules") == "1"


def test_a_reranker_is_searched_with_and_has_to_be_shown_better(fitted):
    toml = fitted.folder / "mainspring.toml"
    toml.write_text(toml.read_text() + 'rerank = "late-interaction"\n')
    result = fit_one(spec.load(fitted.folder))
    assert result.verdict["decision"] == "insufficient evidence"
    told = report(fitted, "2")
    assert [one.who for one in told.judged[-2:]] == [
        "both, meaning 0.1",
        "both, meaning 0.1, reranked by late-interaction",
    ]
    assert any(note.startswith("reranking is not shown to pay") for note in told.notes)
    assert Index.load(versions.load(fitted.state, "rules", "2").folder / "index").settings.rerank == "late-interaction"
    now = evaluate(spec.load(fitted.folder), "rules", "2")
    assert now.metrics["ndcg_at_10"] == versions.load(fitted.state, "rules", "2").manifest.metrics["ndcg_at_10"]
    toml.write_text(toml.read_text().replace("late-interaction", "nothing"))
    [result] = fit(spec.load(fitted.folder))
    assert "cross-encoder" in result.message


def test_the_same_documents_are_not_called_others(fitted):
    write_questions(fitted, [*QUESTIONS, ("may I bring a dog?", None, None)])
    result = fit_one(fitted)
    assert (result.outcome, result.verdict["decision"]) == ("kept", "insufficient evidence")


def test_what_cannot_be_read_is_reported_and_stops_nothing(fitted):
    rules = fitted.folder / "rules"
    (rules / "empty.md").write_text("")
    (rules / "copy.md").write_bytes((rules / "keys.md").read_bytes())
    result = fit_one(fitted)
    assert result.version == "2"
    unread = {line.source: line.reason for line in report(fitted, "2").unread}
    assert set(unread) == {"rules/empty.md", "rules/keys.md"}  # the copy comes first by name
    assert "empty" in unread["rules/empty.md"]
    assert "copy.md" in unread["rules/keys.md"]


def test_a_fit_that_dies_leaves_the_last_state_and_its_vectors(fitted):
    class Dies(Watcher):
        def step(self, model: str, what: str) -> None:
            if what.startswith("asking"):
                raise KeyboardInterrupt

    for path in (fitted.folder / "rules").iterdir():
        path.write_text(path.read_text() + "\nAnd so on, for ever.\n")
    with pytest.raises(KeyboardInterrupt):
        fit(fitted, watcher=Dies())
    assert versions.names(fitted.state, "rules") == ["1"]
    assert desired.read(fitted.state).champion("rules") == "1"
    assert fit_one(fitted).version == "2"
    told = report(fitted, "2")
    assert told.embedded == 0
    assert told.reused > 0


def test_questions_whose_places_are_gone_are_told_and_left_out(fitted):
    write_questions(fitted, [*QUESTIONS, ("what about hats?", "rules/hats.md", None)])
    assert fit_one(fitted).version == "2"
    assert any("rules/hats.md" in note for note in report(fitted, "2").notes)


def test_evaluation_is_on_the_questions_that_were_not_tuned_on(fitted):
    now = evaluate(fitted, "rules")
    assert now.of == "questions"
    assert 0 < now.rows < len(QUESTIONS)
    assert now.metrics["ndcg_at_10"] == versions.load(fitted.state, "rules", "1").manifest.metrics["ndcg_at_10"]


def test_an_old_version_does_not_find_what_it_does_not_have(fitted):
    for name in ("keys.md", "parking.md", "leave.md", "travel.md"):
        path = fitted.folder / "rules" / name
        path.write_text(path.read_text().replace(".", ", as of today."))
    write_questions(fitted, [(text, source, None) for text, source, _ in QUESTIONS])
    assert fit_one(fitted).version == "2"
    assert evaluate(fitted, "rules", "2").metrics["ndcg_at_10"]["value"] > 0.5
    old = evaluate(fitted, "rules", "1")
    assert old.metrics["ndcg_at_10"]["value"] < 0.5
    assert old.verdict is not None


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda folder: shutil.rmtree(folder / "rules"), SpecError, "rules"),
        (lambda folder: (folder / "questions.jsonl").write_text('{"text": "?"}\n'), DataError, "question"),
        (lambda folder: (folder / "questions.jsonl").unlink(), SpecError, "questions"),
    ],
    ids=["no documents", "no column", "no questions"],
)
def test_what_is_not_there_is_named(fitted, change, error, told):
    change(fitted.folder)
    result = fit_one(fitted)
    assert result.outcome == "failed"
    assert told in result.message
    assert desired.read(fitted.state).champion("rules") == "1"


def test_documents_that_all_cannot_be_read_are_an_error(fitted):
    for path in Path(fitted.folder / "rules").iterdir():
        path.write_bytes(b"")
    result = fit_one(fitted)
    assert result.outcome == "failed"
    assert "no document could be read" in result.message
