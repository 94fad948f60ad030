"""`mainspring search`, `ask` and `chat` of documents."""

import json

import click
import handbooks
import pytest
from handbooks import ANSWER, DOCUMENTS, QUESTION

from mainspring.cli import cli
from mainspring.errors import SpecError

from .conftest import in_folder

LINE = DOCUMENTS["handbook/baggage.md"].partition(ANSWER)[0].count("\n") + 1
PLACE = f"handbook/baggage.md:{LINE}, Baggage > Musical instruments"


@pytest.fixture(scope="module")
def airdesk(tmp_path_factory):
    """Without a service: what can be loaded here, is."""
    return handbooks.make_project(tmp_path_factory.mktemp("documents") / "airdesk")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents") / "airdesk"
    project = handbooks.make_project(folder, handbook='questions = "questions.jsonl"')
    asked = [{"question": f"{QUESTION} {more}", "source": "handbook/baggage.md"} for more in "abc"]
    asked += [{"question": f"Is there a pool {number}?", "source": None} for number in range(8)]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)))
    with handbooks.engines(project):
        yield project


def flat(text):
    """What a table or a panel says, on one line."""
    return " ".join(text.replace("│", " ").split())


def test_search_shows_passages_and_their_places(mainspring, airdesk):
    found = mainspring("search", "handbook", QUESTION, "-k", "1", *in_folder(airdesk))
    assert found.code == 0, found.err
    assert f"handbook/baggage.md:{LINE}" in found.out
    assert "A violin counts" in flat(found.out)


def test_search_tells_machines_all_of_it(mainspring, airdesk):
    where = json.dumps({"source": "handbook/fares.md"})
    found = mainspring("search", "handbook", QUESTION, "--filter", where, "--json", *in_folder(airdesk)).json
    assert (found["model"], found["version"]) == ("handbook", "1")
    assert {passage["document"] for passage in found["passages"]} == {"handbook/fares.md"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "handbook", "a", "--filter", "{"), "--filter is not JSON"),
        (("search", "handbook", "a", "--filter", '{"a": {"b": 1}}'), "--filter.a: expected some of gt"),
        (("search", "desk", "a"), "this is for collections of documents, here handbook"),
        (("predict", "handbook", "a"), "mainspring search handbook"),
        (("ask", "talker", "a"), "talker answers from no documents"),
        (("evaluate", "talker", "--judge", "desk"), "talker answers from no documents"),
        (("evaluate", "handbook", "--questions", "3"), "are for chat models with knowledge"),
    ],
    ids=lambda given: given if isinstance(given, str) else given[0],
)
def test_what_cannot_be_asked_is_said(served, arguments, said):
    with pytest.raises((SpecError, click.UsageError)) as wrong:
        cli.main([*arguments, "--project", str(served.folder)], standalone_mode=False)
    assert said in str(wrong.value)


def test_a_collection_is_asked_by_itself(mainspring, airdesk):
    found = mainspring("ask", "handbook", QUESTION, "-k", "1", *in_folder(airdesk))
    assert found.code == 0, found.err
    assert f"[1] {PLACE}\n    “{ANSWER}”" in found.out


def test_a_chat_model_with_knowledge_is_asked(mainspring, served):
    found = mainspring("ask", "desk", QUESTION, "--json", *in_folder(served)).json
    assert found["answer"] == f"{ANSWER} [1]"
    assert found["citations"][0]["document"] == "handbook/baggage.md"
    talked = mainspring("chat", "desk", *in_folder(served), given=QUESTION)
    assert talked.out == f"{ANSWER} [1]\n[1] {PLACE}\n    “{ANSWER}”\n"


def test_an_assistant_is_evaluated_and_judged(mainspring, served):
    found = mainspring("evaluate", "desk", "--judge", "talker", "--json", *in_folder(served)).json
    assistant, opinion = found["assistant"], found["assistant"]["opinion"]
    answered = round(found["metrics"]["answered"]["value"] * assistant["answerable"])
    assert found["metrics"]["rightly_answered"]["value"] == answered / assistant["asked"] > 0
    assert found["metrics"]["citation_precision"]["low"] is not None
    # It is sure of violins, and says nothing that can be read of pools, where the desk quotes what is nearest.
    assert (opinion["judge"], opinion["judged"]) == ("talker version 1", answered)
    assert len(opinion["failed"]) == assistant["asked"] - answered > 0
    assert opinion["agreement"]["value"] == opinion["supported"]["value"] == 1

    shown = mainspring("evaluate", "desk", "--judge", "talker", *in_folder(served)).out
    assert f"It was asked {assistant['asked']} of {assistant['held_out']} questions" in flat(shown)
    assert f"judged {answered} answers and failed at {len(opinion['failed'])}" in flat(shown)


def test_doctor_counts_documents(mainspring, airdesk):
    checks = {check["what"]: check for check in mainspring("doctor", "--json", *in_folder(airdesk)).json["checks"]}
    assert checks["documents of handbook"]["found"] == "3"
    assert checks["extra [retrieval]"]["well"]
    assert checks["champion of handbook"]["well"]
