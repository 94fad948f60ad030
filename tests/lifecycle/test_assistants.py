"""A chat model with knowledge is judged by its collection's questions: when it is fitted, and when it is evaluated."""

import json

import handbooks
import pytest
from click.testing import CliRunner

from mainspring import spec
from mainspring.cli import cli
from mainspring.errors import RegistryError, SpecError
from mainspring.lifecycle import assistant_questions
from mainspring.lifecycle.evaluate_language import evaluate
from mainspring.lifecycle.fit import fit
from mainspring.registry import versions

ITEMS = range(80)
DOCUMENTS = {
    "handbook/fees.md": "# Fees\n\n"
    + "\n\n".join(f"## Fee {n}\n\nThe fee of alpha{n} comes to {n} dollars." for n in ITEMS),
    "handbook/names.md": "# Names\n\n" + "\n\n".join(f"## Name {n}\n\nThat alpha{n} is alpha{n}." for n in ITEMS),
}
TOML = """\
[project]
name = "airdesk"

[models.handbook]
task = "retrieval"
data = "handbook/*.md"
{questions}

[models.desk]
task = "chat"
remote = {{ url = "http://127.0.0.1:9/v1", model = "rule" }}
knowledge = "handbook"
answers = "quoted"
{desk}
"""
QUESTIONS = 'questions = "questions.jsonl"'


def declare(folder, desk, questions=QUESTIONS):
    (folder / "mainspring.toml").write_text(TOML.format(desk=desk, questions=questions))
    return spec.load(folder)


def write(folder):
    """The documents and the questions, into `folder`."""
    (folder / "handbook").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text)
    rows = [
        {"question": f"alpha{n}?", "source": f"handbook/fees.md#fee-{n}", "answer": f"It comes to {n} dollars."}
        for n in ITEMS
    ]
    rows += [{"question": f"is there a moon {n}?", "source": None} for n in range(20)]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def said_of(version):
    return json.loads(version.file("report.json").read_text())["assistant"]


def evaluated(project, *options):
    said = CliRunner().invoke(cli, ["evaluate", "desk", *options, "--json", "--project", str(project.folder)])
    assert not said.exception, said.output
    return json.loads(said.stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Version 1 quotes what is found first, which is a name and no fee; version 2 quotes from three passages."""
    folder = write(tmp_path_factory.mktemp("assistants"))
    handbooks.publish_handbook(declare(folder, "passages = 1"), DOCUMENTS)
    [first] = fit(declare(folder, "passages = 1"), ["desk"])
    assert (first.outcome, first.version) == ("promoted", "1"), first.message
    assert first.metrics["rightly_answered"]["value"] < 0.1
    return declare(folder, "passages = 3")


def test_a_version_that_cites_the_right_place_more_often_is_promoted(project):
    [better] = fit(project, ["desk"])
    assert (better.outcome, better.version) == ("promoted", "2"), better.message
    comparison = better.verdict["comparison"]
    report = said_of(versions.load(project.state, "desk", "2"))
    assert (comparison["metric"], comparison["rows"]) == ("rightly_answered", report["asked"])
    # Quoted answers cost nothing: all that is held out is asked. What nothing answers is answered all the same, for
    # this collection is not calibrated.
    assert report["asked"] == report["held_out"] > report["answerable"] == report["known"] > 30
    found = {name: estimate["value"] for name, estimate in better.metrics.items()}
    assert found["rightly_answered"] == pytest.approx(report["answerable"] / report["asked"])
    assert (found["citation_precision"], found["answered"], found["kept_silent"]) == (1, 1, 0)
    assert 0 < found["token_f1"] < 1
    assert all(line["expected"] == "" for line in report["wrong"])

    page = versions.load(project.state, "desk", "2").file("report.html").read_text()
    assert "Not rightly answered" in page
    assert "is there a moon" in page
    assert f"It was asked {report['asked']} of {report['held_out']} questions" in page

    told = evaluated(project, "--version", "1")
    assert told["verdict"]["decision"] == "reject"
    assert (told["verdict"]["against"], told["metrics"]["answered"]["value"]) == ("version 2", 1)
    few = evaluated(project, "--version", "1", "--questions", "9")
    assert (few["assistant"]["asked"], few["verdict"]["decision"]) == (9, "insufficient evidence")
    one = evaluated(project, "--version", "1", "--questions", "1")
    assert "cannot be compared" in one["verdict"]["reason"]


def test_a_judge_that_is_none_is_told_before_anything_is_asked(project):
    said = []
    with pytest.raises(SpecError, match="handbook"):
        evaluate(project, "desk", judge="handbook", say=said.append)
    assert not said


def test_a_champion_that_answers_from_elsewhere_is_not_compared(tmp_path):
    project = declare(write(tmp_path), "")
    handbooks.publish_handbook(project, DOCUMENTS)
    without = (tmp_path / "mainspring.toml").read_text().replace('knowledge = "handbook"\nanswers = "quoted"\n', "")
    (tmp_path / "mainspring.toml").write_text(without)
    [first] = fit(spec.load(tmp_path), ["desk"])
    assert first.outcome == "promoted", first.message
    [later] = fit(declare(tmp_path, ""), ["desk"])
    assert later.verdict["decision"] == "insufficient evidence"
    assert "version 1, cannot be compared: it does not answer from handbook" in later.message
    assert (
        "Its answers were not judged: it does not answer from handbook" in evaluated(project, "--version", "1")["why"]
    )


def test_the_metric_is_the_specs(project):
    declared = declare(project.folder, 'passages = 1\nmetric = "token_f1"')
    assert assistant_questions.load(declared, "desk").metric == "token_f1"
    with pytest.raises(SpecError, match=r'"exact_match" or "token_f1" without `data`'):
        declare(project.folder, 'metric = "numeric"')


def test_without_questions_it_is_for_people_to_say(project):
    declared = declare(project.folder, "passages = 2", questions="")
    [later] = fit(declared, ["desk"])
    assert later.verdict["decision"] == "insufficient evidence"
    assert "handbook has no questions to judge answers by" in later.message
    assert "Its answers were not judged: handbook has no questions" in evaluated(declared)["why"]
    with pytest.raises(RegistryError, match="handbook has no questions"):
        evaluate(declared, "desk", questions=5)
