"""A prompt program from its file to an answer over HTTP, and back to a score; most tests share one that is fitted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner
from programs import COLOURS, PROMPT, TOML, engines, make_mails, make_program, publish
from projects import wait_until
from serving.conftest import Served
from serving.graphs import DELAY, DELAY_RECORD
from serving.graphs import publish as publish_table

from mainspring import prompts, spec
from mainspring.cli import cli
from mainspring.data.splits import Split
from mainspring.errors import DataError, RegistryError, SpecError
from mainspring.lifecycle import questions
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.prompt_evaluation import evaluate
from mainspring.registry import desired, versions
from mainspring.use import OpenProject

DELAY_TOML = """
[models.delay]
task = "classification"
data = "flights.csv"
target = "late"

[models.asks]
task = "prompt"
prompt = "asks.md"
model = "desk"
tools = ["delay"]
data = "mail.jsonl"
target = "colour"
strategies = ["direct"]
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The fitted program, with its engines running."""
    folder = tmp_path_factory.mktemp("programs") / "office"
    folder.mkdir()
    asks = PROMPT.replace("+++\n", '+++\nstrategy = "react"\n', 1)
    (folder / "asks.md").write_text(asks.replace("max_tokens = 8", "max_tokens = 64"))
    project = make_program(folder, TOML + DELAY_TOML)
    publish_table(project.state, "delay", DELAY, DELAY_RECORD)
    desired.set_champion(project.state, "delay", "1")
    with engines(project):
        results = {result.model: result for result in fit(project, ["asks", "mail"])}
        yield project, results


@pytest.fixture(scope="module")
def served(office):
    served = Served(office[0])
    yield served
    served.stop()


def report_of(project, version="1"):
    return msgspec.json.decode(versions.load(project.state, "mail", version).file("report.json").read_bytes())


def test_the_winner_is_promoted_on_held_out_questions_with_what_it_costs(office):
    project, results = office
    result = results["mail"]
    assert result.outcome == "promoted", result.message
    assert result.verdict["against"] == "baseline"
    assert result.metrics["choice_accuracy"]["value"] > 0.9
    assert result.metrics["tokens"]["value"] > 10
    assert "tokens a question against 0" in result.message
    version = versions.load(project.state, "mail", "1")
    version.verify()
    assert version.manifest.lineage.uses == {"desk": "1", "vectors": "1"}
    report = report_of(project)
    assert report["selection"]["decision"] == "promote"
    levels = [report[decision]["comparison"]["significance"] for decision in ("selection", "verdict")]
    assert levels == [0.05, 0.025]  # both were made on the same questions
    assert [one["who"] for one in report["held_out"]] == [
        report["candidate"],
        "direct, as written",
        "the most frequent answer",
    ]
    assert {trial["strategy"] for trial in report["trials"]} == {"direct", "few-shot", "nearest-examples"}
    page = version.file("report.html").read_text()
    assert "On held-out questions" in page
    assert "gain of" in page


def test_no_held_out_question_is_an_example(office):
    project, _ = office
    version = versions.load(project.state, "mail", "1")
    fitted = prompts.load(version.file("prompt.md"))
    found = questions.load(project, "mail", prompts.load(project.folder / "mail.md"))
    split = msgspec.convert(version.manifest.lineage.split, type=Split)
    held = [found.asked[row].values for row in split.is_holdout(found.dataset.table).nonzero()[0]]
    assert len(held) == version.manifest.lineage.holdout_rows
    assert fitted.examples
    assert not [example for example in fitted.examples if example.values in held]


def test_answers_come_over_http_and_their_truth_goes_back(office, served):
    project, _ = office
    mails = make_mails(40, seed=5)
    records = [{"mail": mail["mail"]} for mail in mails]
    reply = served.predict("mail", records, headers={"X-Prediction-Key": "k"})
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert (told["model"], told["version"]) == ("mail", reply.headers["x-model-version"])
    assert [one["answer"] for one in told["predictions"]] == [mail["colour"] for mail in mails]
    assert all(one["tokens"] > 10 and one["calls"] == 1 and one["stopped"] is None for one in told["predictions"])
    description = served.client.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    jsonschema.validate(records[0], schemas["mail.record"])
    jsonschema.validate(told["predictions"][0], schemas["mail.prediction"])
    assert schemas["mail.record"]["properties"]["mail"]["description"] == "as it came"
    listed = {model["name"]: model for model in served.client.get("/models").json()["models"]}
    assert (listed["mail"]["task"], listed["mail"]["state"]) == ("prompt", "live")
    assert served.client.get("/readyz").status_code == 200
    assert 'gen_ai_client_token_usage_count{gen_ai_operation_name="prompt"' in served.client.get("/metrics").text

    labels = [{"id": f"{told['id']}-{row}", "label": mail["colour"]} for row, mail in enumerate(mails[:9])]
    labels.append({"key": "k-9", "label": "red" if mails[9]["colour"] != "red" else "blue"})  # one was wrong
    assert served.client.post("/models/mail/feedback", json={"feedback": labels}).json()["accepted"] == 10
    refused = served.client.post("/models/mail/feedback", json={"id": told["id"], "label": "pink"})
    assert refused.status_code == 422
    time.sleep(0.5)  # the log is written a few times a second
    shown = CliRunner().invoke(cli, ["evaluate", "mail", "--project", str(project.folder), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["metrics"]["choice_accuracy of 10 live answers"]["value"] == 0.9
    written = b"".join(path.read_bytes() for path in (project.state / "log" / "mail").iterdir())
    assert mails[0]["mail"].encode() not in written  # it is private


def test_what_is_asked_wrongly_is_refused(served):
    unknown = served.predict("mail", {"mial": "?"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (422, "invalid_record")
    infer = served.client.post("/v2/models/mail/infer", json={"inputs": []})
    assert infer.status_code == 400
    assert "POST /models/mail/predict" in infer.text
    chat = served.client.post(
        "/v1/chat/completions", json={"model": "mail", "messages": [{"role": "user", "content": "a"}]}
    )
    assert chat.status_code == 400
    assert "ask it with POST /models/mail/predict" in chat.text


def test_a_program_uses_other_models_as_tools(office, served):
    project, results = office
    version = results["asks"].version
    assert results["asks"].verdict["comparison"]["champion"] > 0
    desired.set_champion(project.state, "asks", version)
    wait_until(lambda: served.predict("asks", {"mail": json.dumps(DELAY_RECORD)}).status_code == 200, "asks to be live")
    late = served.predict("delay").json()["predictions"][0]["label"]
    found = served.predict("asks", {"mail": json.dumps(DELAY_RECORD)}).json()["predictions"][0]
    assert (found["answer"], found["calls"]) == ("green" if late else "blue", 2)


def test_the_command_line_answers_and_refuses(office):
    project, _ = office
    runner = CliRunner()
    where = ["--project", str(project.folder)]
    answered = runner.invoke(cli, ["predict", "mail", '{"mail": "About invoice invoice"}', "--json", *where])
    assert answered.exit_code == 0, answered.output
    assert json.loads(answered.output)["predictions"][0]["answer"] == COLOURS["invoice"]
    assert "green" in runner.invoke(cli, ["predict", "mail", '{"mail": "crash"}', *where]).output
    with OpenProject(project.folder).prompt("mail") as mail:
        for word, colour in COLOURS.items():
            assert [answer.value for answer in mail.answer([{"mail": word}])] == [colour]
    refused = runner.invoke(cli, ["replay", "mail", *where])
    assert isinstance(refused.exception, SpecError), refused.output
    assert "mail is a prompt model: a replay would fit it again and again" in str(refused.exception)
    assert "no window is complete yet" in runner.invoke(cli, ["drift", "mail", *where]).output
    renewed = json.loads(runner.invoke(cli, ["renew", "mail", "--json", *where]).stdout)["models"][0]
    assert (renewed["outcome"], renewed["version"]) == ("unchanged", "1"), renewed


def test_it_is_stale_when_what_it_asks_or_the_prompt_changes(tmp_path):
    project = make_program(tmp_path / "office", TOML.replace('"few-shot", "nearest-examples"', '"direct"'))
    prompt = project.folder / "mail.md"
    with engines(project, ("desk", "2")):
        [first] = fit(project, ["mail"])
        assert first.outcome == "kept"  # "red" to everything is no better than the most frequent answer
        assert first.verdict["decision"] != "promote"
        assert fit(project, ["mail"])[0].outcome == "unchanged"
        publish(project, "desk", "chat")
        [again] = fit(project, ["mail"])
        assert again.version == "2"
        assert versions.load(project.state, "mail", "2").manifest.lineage.uses["desk"] == "2"
        desired.set_champion(project.state, "mail", "1")
        examples = [f'{{"mail": "{word} {word}", "answer": "{colour}"}}' for word, colour in COLOURS.items()]
        written = PROMPT.replace("+++\nanswer", '+++\nstrategy = "few-shot"\nanswer', 1)
        prompt.write_text(written + "\n# examples\n" + "\n".join(examples) + "\n")
        [better] = fit(project, ["mail"])
        assert (better.outcome, better.version) == ("promoted", "3"), better.message
        assert better.verdict["against"] == "version 1"
        assert better.verdict["tokens"]["challenger"]["value"] > better.verdict["tokens"]["champion"]["value"]
        [same] = fit(project, ["mail"], force=True)
        assert (same.outcome, same.verdict["decision"]) == ("kept", "insufficient evidence")


def test_the_champion_is_judged_with_the_models_that_it_asks(tmp_path):
    toml = TOML.replace('"few-shot", "nearest-examples"', '"direct"')
    toml = toml.replace("[models.mail.columns]\n", '[models.mail.columns]\ncolour = { private = "drop" }\n')
    folder = tmp_path / "office"
    project = make_program(folder, toml)
    with engines(project, ("clerk", "1")):
        fit(project, ["mail"])
        desired.set_champion(project.state, "mail", "1")
        clerk = toml[toml.index("[models.desk]") : toml.index("[models.vectors]")].replace("desk", "clerk")
        (folder / "mainspring.toml").write_text(toml.replace('model = "desk"', 'model = "clerk"') + clerk)
        project = spec.load(folder)
        publish(project, "clerk", "chat")
        [beside] = fit(project, ["mail"])
        assert beside.verdict["comparison"]["rows"] > 30, beside.message
        desired.update(project.state, lambda models: {name: model for name, model in models.items() if name != "desk"})
        [alone] = fit(project, ["mail"], force=True)
        assert (alone.outcome, alone.verdict["decision"]) == ("kept", "insufficient evidence"), alone.message
        assert "version 1, cannot be compared: desk has no champion yet" in alone.verdict["reason"]
        with pytest.raises(RegistryError, match="desk has no champion yet"):
            evaluate(project, "mail", "1")
        found = evaluate(project, "mail", alone.version)
        assert found.verdict["decision"] == "insufficient evidence"
        assert list(found.metrics) == ["choice_accuracy", "tokens", "calls"]  # no live score: answers are private


def test_groups_stay_whole_and_are_resampled_whole(tmp_path):
    toml = TOML.replace('"few-shot", "nearest-examples"', '"few-shot"').replace("holdout", 'group = "from"\nholdout')
    project = make_program(tmp_path / "office", toml)
    with engines(project):
        [result] = fit(project, ["mail"])
    manifest = versions.load(project.state, "mail", "1").manifest
    assert manifest.lineage.split["method"] == "group"
    assert 1 < result.verdict["comparison"]["clusters"] < 12
    split = msgspec.convert(manifest.lineage.split, type=Split)
    found = questions.load(project, "mail", prompts.load(project.folder / "mail.md")).dataset
    held = split.is_holdout(found.table)
    assert not set(found.group[held]) & set(found.group[~held])


def test_without_its_engine_it_is_503_and_others_answer(tmp_path, office):
    project, _ = office
    folder = tmp_path / "office"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns("*.sock"))
    copy = spec.load(folder)
    served = None
    try:
        with engines(copy) as process:
            served = Served(copy)
            wait_until(lambda: served.predict("mail", {"mail": "crash"}).status_code == 200, "the first answer")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            reply = served.predict("mail", {"mail": "hours"})
            assert reply.status_code == 503
            assert reply.headers["retry-after"]
            assert "engine" in reply.json()["error"]["message"]
            assert served.predict("delay").status_code == 200
            assert served.client.get("/readyz").status_code == 503
    finally:
        if served:
            served.stop()


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (
            'model = "desk"',
            'model = "dsk"',
            "mail.model: 'dsk' is not a model; allowed: desk; did you mean 'desk'?",
        ),
        ('model = "desk"', 'model = "vectors"', "'vectors' is a embedding model; expected one of the task 'chat'"),
        ('model = "desk"', 'model = "mail"', "models.mail.model: 'mail' would ask 'mail' itself"),
        ('embeddings = "vectors"\n', "", "models.mail.strategies: 'nearest-examples' needs the key 'embeddings'"),
        ('embeddings = "vectors"', 'embeddings = "vectors"\ntools = ["x"]', "models.mail.tools: 'x' is not a model"),
        ("holdout = 0.4", 'renew = { rollout = "shadow" }', "a prompt has no shadows, for an answer is dear"),
        ("holdout = 0.4", "renew = { budget = 2 }", "no ['budget'] in `renew`: a renewal of a prompt tries its"),
        ('"few-shot", "nearest', '"few-shots", "nearest', "did you mean 'few-shot'?"),
    ],
)
def test_mistakes_in_the_spec(tmp_path, before, after, found):
    assert before in TOML
    with pytest.raises(SpecError) as mistake:
        spec.parse(TOML.replace(before, after), tmp_path)
    assert found in str(mistake.value)
    assert str(mistake.value).startswith("mainspring.toml, line ")


@pytest.mark.parametrize(
    ("change", "error", "found"),
    [
        (lambda folder: (folder / "mail.md").unlink(), SpecError, "models.mail.prompt: there is no file 'mail.md'"),
        (lambda folder: (folder / "mail.md").write_text("# user\n{{mail"), SpecError, "mail.md, line 2: expected a"),
        (
            lambda folder: (folder / "mail.md").write_text("# user\n{{text}}"),
            SpecError,
            "the variable 'text', which",
        ),
        (
            lambda folder: (folder / "mail.md").write_text(PROMPT.replace('"blue"', '"grey"')),
            DataError,
            "expected one of the labels red, green, grey",
        ),
    ],
)
def test_mistakes_that_only_the_files_show(tmp_path, change, error, found):
    project = make_program(tmp_path / "office")
    change(project.folder)
    [result] = fit(project, ["mail"])
    assert (result.outcome, found in result.message) == ("failed", True), result.message


def test_a_model_without_a_champion_is_fitted_first(tmp_path):
    project = make_program(tmp_path / "office")
    (project.state / "desired.json").unlink()
    [result] = fit(project, ["mail"])
    assert result.message.startswith("desk has no champion yet: mainspring promote desk 1")
    with pytest.raises(RegistryError, match="mail has no champion yet"):
        OpenProject(project.folder).prompt("mail")
