"""A later version of a chat model is judged on questions with known answers. The models are an endpoint's."""

from __future__ import annotations

import json
import shutil
import time
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from mainspring import spec
from mainspring.cli import cli
from mainspring.errors import DataError, SpecError
from mainspring.lifecycle import language_questions, trials
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.renew import renew
from mainspring.monitoring import segments
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.registry import desired, versions
from mainspring.use import OpenProject

from .endpoints import adding

TOML = """\
[project]
name = "sums"

[models.sums]
task = "chat"
remote = {{ url = "{url}", model = "{model}" }}
{more}
"""
EMBEDDING = """
[models.vectors]
task = "embedding"
remote = {{ url = "{url}", model = "v"{width} }}
"""
JUDGED = 'data = "sums.jsonl"\ntarget = "sum"\nmetric = "numeric"'


@pytest.fixture(scope="module")
def url():
    with adding() as url:
        yield url


def declare(folder, url, model, more=JUDGED):
    (folder / "mainspring.toml").write_text(TOML.format(url=url, model=model, more=more))
    return spec.load(folder)


@pytest.fixture(scope="module")
def first(tmp_path_factory, url):
    """Version 1, which knows half of the 40 questions, is live."""
    folder = tmp_path_factory.mktemp("sums")
    rows = [{"question": f"What is {number} + 1?", "sum": number + 1} for number in range(40)]
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [result] = fit(declare(folder, url, "odd"))
    assert (result.outcome, result.version) == ("promoted", "1"), result.message
    assert result.metrics["numeric"]["value"] == 0.5
    assert "numeric 0.5000 on 40 questions" in result.message
    return folder


@pytest.fixture
def project(first, tmp_path, url):
    """Declares the model anew in a copy of `first`: `project("always")`."""
    folder = tmp_path / "sums"
    shutil.copytree(first, folder)
    return partial(declare, folder, url)


def test_a_later_version_is_promoted_where_it_is_better_and_rejected_where_it_is_worse(project):
    [better] = fit(project("always"))
    assert (better.outcome, better.version) == ("promoted", "2")
    comparison = better.verdict["comparison"]
    assert (comparison["champion"], comparison["challenger"], comparison["rows"]) == (0.5, 1.0, 40)
    assert better.verdict["against"] == "version 1"

    [worse] = fit(project("never"))
    assert (worse.outcome, worse.verdict["decision"]) == ("kept", "reject")
    state = project("never").state
    assert desired.read(state).champion("sums") == "2"
    page = versions.load(state, "sums", "3").file("report.html").read_text()
    assert "The gain over version 2" in page
    assert "on 40 questions" in page

    said = CliRunner().invoke(cli, ["evaluate", "sums", "--version", "2", "--json", "--project", str(state.parent)])
    told = json.loads(said.stdout)
    assert told["metrics"]["numeric"]["value"] == 1.0
    assert told["questions"] == 40


@pytest.mark.parametrize(("errors", "champion"), [(2, "2"), (60, "1")])
def test_a_better_version_is_tried_with_a_share_of_the_traffic_first(project, errors, champion):
    declared = project("always", JUDGED + '\nrenew = { rollout = "canary", share = 0.25, trial = "1ms" }')
    [found] = fit(declared)
    assert (found.outcome, found.version) == ("trial", "2")
    live = desired.read(declared.state).models["sums"]
    assert [(route.version, route.share) for route in live.routes] == [("1", 0.75), ("2", 0.25)]

    time.sleep(0.005)  # the trial's millisecond is over
    now = int(time.time() * 1e6)
    loads = [Load("1", now, now, 900, 3, 100.0, -2000.0, 5000.0, 900)]
    loads += [Load("2", now, now, 300, errors, 900.0, 300.0, 400.0, 300)]  # it takes longer, which is no harm
    writer = SegmentWriter(segments.folder(declared.state, "sums"))
    writer.append(TrafficFrame(loads))
    writer.close()
    judgement = trials.look(declared, "sums")
    assert judgement.decision == ("promote" if champion == "2" else "roll back"), judgement.reason
    assert ("; its errors alone were compared" in judgement.reason) == (champion == "2")  # it takes no labels
    assert desired.read(declared.state).champion("sums") == champion
    assert len(desired.read(declared.state).models["sums"].routes) == 1


def test_a_renewal_makes_it_anew_where_its_weights_are_others(project):
    more = JUDGED + '\nrenew = { every = "1d", cooldown = "1h" }'
    same = renew(project("odd", more), "sums", reason="1 day has passed")
    assert (same.outcome, same.version) == ("unchanged", "1")
    assert "all that it is made of is as it was for version 1" in same.message
    better = renew(project("always", more), "sums", reason="by hand")
    assert (better.outcome, better.version) == ("promoted", "2"), better.message
    assert better.verdict["comparison"]["rows"] == 40


def test_the_gate_is_the_specs(project):
    [found] = fit(project("always", JUDGED + "\ngate = { margin = 0.9 }"))
    assert found.verdict["decision"] == "reject"


def test_questions_make_no_version_stale_and_without_them_nothing_is_shown(project):
    [same] = fit(project("odd", more=""))
    assert (same.outcome, same.version) == ("unchanged", "1")
    [later] = fit(project("always", more=""))
    assert later.verdict["decision"] == "insufficient evidence"
    assert "no questions to judge by" in later.message


def test_a_champion_that_does_not_answer_is_not_compared_with(project):
    (project("odd").state / "models" / "sums" / "1" / "remote.json").unlink()
    [later] = fit(project("always"))
    assert later.verdict["decision"] == "insufficient evidence"
    assert "version 1, cannot be compared" in later.message


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('{"question": "1 + 1?", "answer": 2}', SpecError, r"sums\.target: the data has no column 'sum'"),
        ('{"text": "1 + 1?", "sum": 2}', SpecError, "a column 'question' or 'messages' is needed"),
        ('{"question": "1 + 1?", "sum": null}', DataError, "no row with a value of sum"),
        ('{"question": null, "sum": 2}\n{"question": "a", "sum": 2}', DataError, "row 1 .* has no value of q"),
        ('{"question": "1 + 1?", "sum": "two"}', DataError, "row 1 .*numeric does not compare 'two'"),
        ('{"messages": "[]", "sum": 2}', DataError, "messages of row 1"),
        ('{"messages": "[{\\"role\\": 1}]", "sum": 2}', DataError, "messages of row 1"),
    ],
)
def test_questions_that_cannot_be_asked(project, text, error, said):
    declared = project("odd")
    (declared.folder / "sums.jsonl").write_text(text)
    with pytest.raises(error, match=said):
        language_questions.load(declared, "sums", declared.models["sums"])


@pytest.mark.parametrize(
    ("metric", "right", "answer", "score"),
    [
        ("exact_match", "Tokyo", "the tokyo.", 1.0),
        ("exact_match", 42, "42", 1.0),
        ("choice_accuracy", "yes", "Yes, it is.", 1.0),
        ("choice_accuracy", "yes", "no", 0.0),
        ("json_equal", '{"a": 1}', 'Here: {"a": 1.0}', 1.0),
        ("numeric", "1.5", "about 1.5", 1.0),
        ("token_f1", "red green", "red", pytest.approx(2 / 3)),
    ],
)
def test_answers_are_read_as_the_metric_needs(project, metric, right, answer, score):
    declared = project("odd", JUDGED.replace("numeric", metric))
    rows = [{"messages": json.dumps([{"role": "user", "content": "?"}]), "sum": right}]
    rows += [{"messages": rows[0]["messages"], "sum": "no"}] if metric == "choice_accuracy" else []
    (declared.folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = language_questions.load(declared, "sums", declared.models["sums"])
    assert language_questions.METRICS[metric](found.reading.read(answer), found.expected[0]) == score
    assert found.requests[0].messages == [{"role": "user", "content": "?"}]
    assert found.requests[0].sampling.max_tokens == language_questions.MOST_TOKENS


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('data = "sums.jsonl"', "together with `target`"),
        ('renew = { rollout = "shadow" }', "a language model has no shadows"),
        ('renew = { data = "window", window = "1d" }', r"no \['data', 'window'\] in `renew`: a language model learns"),
        ('metric = "numeric"', "`query` and `metric` together with `data`"),
    ],
)
def test_keys_that_belong_together(project, more, said):
    with pytest.raises(SpecError, match=said):
        project("odd", more)


def test_an_endpoint_gives_vectors_of_the_width_that_the_spec_says(project, url):
    declared = project("odd", EMBEDDING.format(url=url, width=", embeds = 3"))
    [result] = fit(declared, ["vectors"])
    assert result.outcome == "promoted", result.message
    with OpenProject(declared.folder).model("vectors") as model:
        found = model.embed(["four"])
    np.testing.assert_allclose(found, np.array([[4.0, 1.0, 0.0]]) / 17**0.5, atol=1e-6)
    with pytest.raises(SpecError, match=r"vectors: .*`embeds` \(the width"):
        project("odd", EMBEDDING.format(url=url, width=""))
