"""A chat model from its weights to an answer, with the real SmolLM2; fitted once for all tests of this file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from mainspring import spec
from mainspring.cli import cli
from mainspring.errors import RegistryError, SpecError
from mainspring.lifecycle.fit import fit
from mainspring.registry import desired, history, versions
from mainspring.use import OpenProject

# Of this the small model is sure; of the capital of France any rounding decides.
QUESTION = "Which city is the capital of Japan?"
TOML = """\
[project]
name = "talk"

[models.desk]
task = "chat"
base = "smollm2-135m-instruct"

[models.llama]
task = "completion"
base = "smollm2-135m-instruct"
engine = "llamacpp"

[models.vectors]
task = "embedding"
base = "all-minilm-l6-v2"

[models.far]
task = "chat"
remote = { url = "http://127.0.0.1:9/v1", model = "large", key = "FAR_KEY" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talk")
    (folder / "mainspring.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module")
def fitted(folder):
    """What became of each model."""
    return {result.model: result for result in fit(spec.load(folder))}


@pytest.fixture(scope="module")
def desk(folder, fitted):
    with OpenProject(folder).model("desk") as model:
        yield model


def test_the_first_version_is_promoted_in_the_fastest_precision_that_passes(folder, fitted):
    assert fitted["desk"].outcome == "promoted", fitted["desk"].message
    version = versions.load(folder / ".mainspring", "desk", "1")
    version.verify()
    manifest = version.manifest
    assert manifest.parameters["engine"] == "openvino"
    report = msgspec.json.decode(version.file("report.json").read_bytes())
    passed = [way["passed"] for way in report["ways"]]
    assert passed == [False] * (len(passed) - 1) + [True]
    assert manifest.parameters["properties"] == {"precision": report["ways"][-1]["precision"]}
    assert manifest.parity["passed"]
    assert set(manifest.metrics) == {"agreement", "mean_divergence", "tail_divergence", "perplexity_ratio"}
    assert desired.read(folder / ".mainspring").champion("desk") == "1"


def test_golden_examples_are_those_of_which_the_model_is_sure(folder, fitted):
    golden = versions.load(folder / ".mainspring", "desk", "1").golden()
    assert len(golden.records) >= 10
    assert all(answer["tokens"] == 1 and answer["text"] for answer in golden.answers)


def test_what_has_not_changed_is_not_fitted_again(folder, fitted):
    [again] = fit(spec.load(folder), ["far"])
    assert (again.outcome, again.version) == ("unchanged", "1")


def test_a_later_version_waits_for_somebody_who_says_that_it_is_better(folder, fitted, monkeypatch):
    assert fitted["far"].outcome == "promoted"
    (folder / "mainspring.toml").write_text(TOML.replace('"large"', '"larger"'))
    try:
        [later] = fit(spec.load(folder), ["far"])
    finally:
        (folder / "mainspring.toml").write_text(TOML)
    assert (later.outcome, later.version) == ("kept", "2")
    assert later.verdict["decision"] == "insufficient evidence"
    assert "mainspring promote far" in later.message
    assert desired.read(folder / ".mainspring").champion("far") == "1"


def test_an_endpoint_is_written_down_without_its_key(folder, fitted, monkeypatch):
    monkeypatch.setenv("FAR_KEY", "secret-of-far")
    version = versions.load(folder / ".mainspring", "far", "1")
    told = json.loads(version.file("remote.json").read_text())
    assert told["key_environment"] == "FAR_KEY"
    assert "secret-of-far" not in "".join(path.read_text() for path in version.folder.glob("*.json"))


def test_the_model_answers_from_python(desk):
    answer = desk.generate(QUESTION, temperature=0.0, max_tokens=24)
    assert "Tokyo" in answer
    pieces = list(desk.stream(QUESTION, temperature=0.0, max_tokens=24))
    assert "Tokyo" in "".join(pieces)
    assert len(pieces) > 3

    async def both():
        asked = [desk.agenerate("Say hello.", temperature=0.0, max_tokens=5) for _ in range(2)]
        return await asyncio.gather(*asked)

    # Not the same text: what is computed together rounds otherwise than what is computed alone.
    assert all(desk._loop.run(both()))


def test_a_stream_that_is_left_is_cancelled_and_the_next_one_answers(desk):
    stream = desk.stream("Count from one to a thousand.", max_tokens=500)
    next(stream)
    stream.close()
    assert desk.generate("Say hello.", temperature=0.0, max_tokens=3)


def test_models_that_cannot_be_asked(folder, fitted):
    project = OpenProject(folder)
    with pytest.raises(SpecError, match=r"no model 'dsk'.*did you mean 'desk'"):
        project.model("dsk")
    with pytest.raises(RegistryError, match="no version '9'"):
        project.model("desk", "9")


def test_chat_reads_one_message_from_a_pipe(folder, fitted):
    command = [sys.executable, "-m", "mainspring.cli", "chat", "desk", "--project", folder]
    command += ["--temperature", "0", "--max-tokens", "24"]
    done = subprocess.run(command, input=QUESTION, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Tokyo" in done.stdout


def test_what_llamacpp_runs_is_not_said_to_be_proven(folder, fitted):
    assert fitted["llama"].outcome == "promoted", fitted["llama"].message
    assert "was not measured" in fitted["llama"].message
    version = versions.load(folder / ".mainspring", "llama", "1")
    assert (version.manifest.parameters["engine"], version.manifest.parity) == ("llamacpp", {})
    assert len(version.golden().records) >= 3


def test_an_embedding_model_gives_vectors_by_meaning(folder, fitted):
    assert fitted["vectors"].outcome == "promoted", fitted["vectors"].message
    with OpenProject(folder).model("vectors") as model:
        cat, kitten, tax = model.embed(["a cat sleeps", "a kitten is asleep", "the income tax of 1998"])
    assert cat @ cat == pytest.approx(1.0, abs=1e-5)
    assert cat @ kitten > 0.5 > cat @ tax


def test_commands_tell_of_language_models(folder, fitted):
    runner = CliRunner()
    status = runner.invoke(cli, ["status", "--project", str(folder)])
    assert status.exit_code == 0, status.output
    assert "agreement" in status.output
    told = history.read(folder / ".mainspring", "desk")
    assert [event.kind for event in told] == ["fit", "promote"]
    for command, possible in (("replay", "evaluate"), ("drift", "evaluate")):
        refused = runner.invoke(cli, [command, "desk", "--project", str(folder)])
        assert isinstance(refused.exception, SpecError), (command, refused.output)
        assert "desk is a chat model" in str(refused.exception)
        assert f"mainspring {possible} desk" in str(refused.exception)
    assert "nothing to renew" in runner.invoke(cli, ["renew", "--project", str(folder)]).output


def test_evaluate_tells_what_parity_found_and_why_this_way_is_served(folder, fitted):
    found = evaluated(folder, "desk")
    version = versions.load(folder / ".mainspring", "desk", "1")
    assert (found["version"], found["champion"], found["metric"]) == ("1", "1", "agreement")
    assert found["metrics"] == version.manifest.metrics
    assert all({"value", "low", "high"} <= set(figure) for figure in found["metrics"].values())
    assert found["limits"]["mean_divergence"] == "at most 0.003"
    assert found["ways"][-1]["passed"]
    assert "fastest way that says the same" in found["why"]
    assert (found["context"], found["weights"]["licence"], found["engine"]) == (8192, "Apache-2.0", "openvino")
    page = Path(found["report"]).read_text()
    assert page.count("<svg") == len(found["limits"]) == 4
    assert "smollm2-135m-instruct" in page
    said = CliRunner().invoke(cli, ["evaluate", "desk", "--project", str(folder)]).output
    assert "at least 0.95" in said
    assert found["why"] in said


def test_evaluate_says_where_nothing_was_measured(folder, fitted):
    for model in ("llama", "far"):
        found = evaluated(folder, model)
        assert (found["metrics"], found["limits"], found["ways"]) == ({}, {}, [])
        assert found["why"].startswith("Nothing was measured")
        assert found["why"] in Path(found["report"]).read_text()
    vectors = evaluated(folder, "vectors")
    assert vectors["limits"] == {"cosine": "at least 0.999"}
    assert vectors["metrics"]["cosine"]["low"] == min(vectors["cosines"])


def evaluated(folder, model):
    done = CliRunner().invoke(cli, ["evaluate", model, "--json", "--project", str(folder)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
