"""A prompt program in the loop: its traffic is watched, it learns from feedback, and a later version is tried first."""

from __future__ import annotations

import json
import threading
import time

import msgspec
import pytest
from click.testing import CliRunner
from programs import COLOURS, PROMPT, TOML, engines, make_mails, make_program, publish
from projects import wait_until
from serving.conftest import Served

from mainspring import prompts
from mainspring.cli import cli
from mainspring.lifecycle import lineage, trials
from mainspring.lifecycle.controller import Controller
from mainspring.lifecycle.fit import fit
from mainspring.lifecycle.monitor import Monitor
from mainspring.lifecycle.prompt_log import ProgramLog
from mainspring.lifecycle.renew import renew
from mainspring.monitoring import segments
from mainspring.monitoring.answers import SCORE
from mainspring.monitoring.segments import Load, SegmentWriter, TrafficFrame
from mainspring.registry import desired, history, versions
from mainspring.use import OpenProject

PUBLIC = TOML[: TOML.index("[models.mail.columns]")] + TOML[TOML.index("[models.desk]") :]
PUBLIC = PUBLIC.replace('embeddings = "vectors"\nstrategies = ["few-shot", "nearest-examples"]', "KEYS")
WATCHED = 'strategies = ["few-shot"]\nmonitor = { window = 60, rows = 40, persistence = 1 }'
DIRECT = 'strategies = ["direct"]'


def reported(project, name):
    return msgspec.json.decode(versions.load(project.state, "mail", "1").file(name).read_bytes())


def ask(served, mails, right=True):
    """Ask about mails, and tell the right answers; what was answered."""
    reply = served.predict("mail", [{"mail": mail["mail"]} for mail in mails]).json()
    if right:
        labels = [{"id": f"{reply['id']}-{row}", "label": mail["colour"]} for row, mail in enumerate(mails)]
        assert served.client.post("/models/mail/feedback", json={"feedback": labels}).json()["accepted"] == len(mails)
    return [one["answer"] for one in reply["predictions"]]


def wait_for_log(project, rows):
    """Until that many answers, and their labels, are in the log."""
    log = ProgramLog(project, versions.load(project.state, "mail", "1"))
    wait_until(lambda: (log.read().rows.columns[SCORE] >= 0).sum() == rows, "the log")


def test_the_world_turns_and_a_renewal_follows(tmp_path):
    known = [mail for mail in make_mails(180) if "crash" not in mail["mail"]]
    project = make_program(tmp_path / "office", PUBLIC.replace("KEYS", WATCHED), mails=known)
    with engines(project):
        [first] = fit(project, ["mail"])
        assert first.outcome == "promoted", first.message
        assert set(reported(project, "profile.json")["outputs"]) == {"answer", "answered", "tokens"}
        monitor = Monitor(project, "mail")
        served = Served(project)
        try:
            usual = known[: 2 * 60 : 2]
            assert ask(served, usual) == [mail["colour"] for mail in usual]
            wait_for_log(project, 60)
            calm = monitor.look(time.time_ns() // 1000 + 10_000_000)
            assert [report.rows for report in calm.reports] == [60, 60]
            assert calm.alarms == []
            news = [{**mail, "mail": "crash " + mail["mail"]} for mail in make_mails(300, seed=9)]
            news = [{**mail, "colour": "green"} for mail in news if "About crash" in mail["mail"]][:60]
            assert set(ask(served, news)) == {"red"}  # which is wrong
            wait_for_log(project, 120)
        finally:
            served.stop()
        alarms = {alarm.finding.name: alarm for alarm in monitor.look(time.time_ns() // 1000 + 10_000_000).alarms}
        assert {"mail", "answer", "colour", "choice_accuracy"} <= alarms.keys()
        assert alarms["choice_accuracy"].finding.was == "1"
        assert alarms["choice_accuracy"].finding.now == "0"
        where = ["--json", "--project", str(project.folder)]
        shown = json.loads(CliRunner().invoke(cli, ["drift", "mail", *where]).stdout)
        assert {alarm["finding"]["name"] for alarm in shown["alarms"]} == alarms.keys()

        better = renew(project, "mail", reason=alarms["choice_accuracy"].message)
        assert (better.outcome, better.version) == ("promoted", "2"), better.message
        made = versions.load(project.state, "mail", "2")
        assert made.manifest.lineage.policy["live"]
        assert made.manifest.lineage.rows == len(known) + 60  # what the data has, too, is taken once
        shots = [example.values["mail"] for example in prompts.load(made.file("prompt.md")).examples]
        assert any("About crash" in shot for shot in shots)
        again = renew(project, "mail", reason="by hand")
        assert (again.outcome, again.version) == ("unchanged", "2")
        assert "no row has come since version 2" in again.message


def test_private_questions_are_watched_and_not_learned_from(tmp_path):
    toml = TOML.replace('"few-shot", "nearest-examples"', '"direct"').replace(
        "holdout = 0.4", "holdout = 0.4\nmonitor = { window = 60, rows = 40, persistence = 1 }"
    )
    toml = toml.replace("mail = {", 'colour = { private = "drop" }\nmail = {')
    project = make_program(tmp_path / "office", toml)
    with engines(project):
        fit(project, ["mail"])
        desired.set_champion(project.state, "mail", "1")
        assert set(reported(project, "profile.json")["outputs"]) == {"tokens"}
        assert "mail" in reported(project, "profile.json")["inputs"]
        served = Served(project)
        try:
            ask(served, make_mails(60, seed=2), right=False)
            log = ProgramLog(project, versions.load(project.state, "mail", "1"))
            wait_until(lambda: len(log.read()) == 60, "the log")
        finally:
            served.stop()
        [report] = Monitor(project, "mail").look(time.time_ns() // 1000 + 10_000_000).reports
        assert {finding.name for finding in report.findings if finding.subject == "prediction"} == {"tokens"}
        assert renew(project, "mail", reason="by hand").outcome == "unchanged"


def test_a_new_champion_of_what_it_asks_begins_a_renewal(tmp_path):
    toml = PUBLIC.replace("KEYS", DIRECT + '\nrenew = { cooldown = "1s" }')
    project = make_program(tmp_path / "office", toml)
    with engines(project, ("desk", "2")):
        fit(project, ["mail"])
        desired.set_champion(project.state, "mail", "1")
        assert lineage.outdated(project, "mail", "1") is None
        publish(project, "desk", "chat")
        stop = threading.Event()
        controller = threading.Thread(target=Controller(project).run, args=(stop,))
        controller.start()

        def renewals():
            return [event for event in history.read(project.state, "mail") if event.kind == "renew"]

        try:
            wait_until(lambda: len(renewals()) == 2, "the renewal", 30)
        finally:
            stop.set()
            controller.join()
        assert renewals()[0].detail == "desk is now version 2"
        # It is not better, so version 1 stays, and nothing more is to be done.
        assert lineage.outdated(project, "mail", "1") is None
        assert versions.load(project.state, "mail", "2").manifest.lineage.uses == {"desk": "2"}


@pytest.mark.parametrize(("errors", "champion"), [(2, "2"), (90, "1")])
def test_a_better_prompt_takes_a_share_of_the_traffic_first(tmp_path, errors, champion):
    keys = DIRECT + '\nrenew = { rollout = "canary", share = 0.5, trial = "1ms" }'
    project = make_program(tmp_path / "office", PUBLIC.replace("KEYS", keys))
    with engines(project):
        fit(project, ["mail"])
        desired.set_champion(project.state, "mail", "1")
        examples = [f'{{"mail": "{word} {word}", "answer": "{colour}"}}' for word, colour in COLOURS.items()]
        better = PROMPT.replace("+++\nanswer", '+++\nstrategy = "few-shot"\nanswer', 1)
        (project.folder / "mail.md").write_text(better + "\n# examples\n" + "\n".join(examples) + "\n")
        [found] = fit(project, ["mail"])
        assert (found.outcome, found.version) == ("trial", "2"), found.message
        assert "takes 50% of the traffic" in found.message
        served = Served(project)
        try:
            # It goes live beside the first when the chat model has.
            wait_until(
                lambda: served.predict("mail", {"mail": "a"}).headers.get("x-model-version") == "2", "the canary"
            )
            answered = {}
            for key in [f"customer-{number}" for number in range(20)] * 2:
                reply = served.predict("mail", {"mail": "a crash"}, headers={"X-Prediction-Key": key})
                told = (reply.headers["x-model-version"], reply.json()["predictions"][0]["answer"])
                assert answered.setdefault(key, told) == told  # the same customer, the same version
                served.client.post("/models/mail/feedback", json={"id": reply.json()["id"], "label": "green"})
            assert set(answered.values()) == {("1", "red"), ("2", "green")}
        finally:
            served.stop()  # which writes the rest of the log
        now = time.time_ns() // 1000
        writer = SegmentWriter(segments.folder(project.state, "mail"))
        loads = [Load("1", now, now, 300, 2, 100.0, -2000.0, 5000.0, 300)]
        loads += [Load("2", now, now, 300, errors, 900.0, 300.0, 400.0, 300)]
        writer.append(TrafficFrame(loads))
        writer.close()
        judgement = trials.look(project, "mail")
        assert judgement.decision == ("promote" if champion == "2" else "roll back"), judgement.reason
        loss = judgement.checks[-1]
        assert (loss.value, loss.challenger + loss.champion) == (-1.0, 40)  # right against wrong, by feedback
        assert desired.read(project.state).champion("mail") == champion


def test_strategies_that_reason_are_tried_and_the_best_is_kept(tmp_path):
    keys = 'strategies = ["chain-of-thought", "self-consistency"]'
    written = PROMPT.replace("max_tokens = 8", "max_tokens = 32")
    project = make_program(tmp_path / "office", PUBLIC.replace("KEYS", keys), written)
    with engines(project, rule="reason"):
        [result] = fit(project, ["mail"])
        assert result.outcome == "promoted", result.message
        assert result.metrics["choice_accuracy"]["value"] == 1.0
        report = reported(project, "report.json")
        assert report["candidate"].startswith("self-consistency")
        assert report["selection"]["decision"] == "promote"  # it is better than the prompt as written
        scores = {}
        for trial in report["trials"]:
            scores.setdefault(trial["strategy"], []).append(trial["score"])
        assert scores.keys() == {"direct", "chain-of-thought", "self-consistency"}
        assert max(scores["chain-of-thought"]) < max(scores["self-consistency"]) == 1.0
        kept = prompts.load(versions.load(project.state, "mail", "1").file("prompt.md"))
        assert all(example.reasoning.startswith("It is about ") for example in kept.examples)
        with OpenProject(project.folder).prompt("mail") as mail:
            [answer] = mail.answer([{"mail": "About crash number 3"}])
        assert (answer.value, answer.cost.calls, len(answer.trace[0].said)) == ("green", 1, 5)
