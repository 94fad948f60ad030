"""Collections of documents in the gateway, and chat models that answer from them: the whole way, with real engines."""

import asyncio
import gc
import json
import weakref

import handbooks
import jsonschema_rs
import numpy as np
import openai
import pytest
from handbooks import ANSWER, DOCUMENTS, QUESTION
from projects import wait_until

from mainspring import spec
from mainspring.errors import SpecError
from mainspring.registry import desired
from mainspring.schema import Column, Schema, Target
from mainspring.use import OpenProject

from .desk import Desk

SEARCHED = Schema(
    (
        *(Column(name, "text") for name in ("question", "passages", "answer", "citations")),
        *(Column(name, "number") for name in ("answerable", "abstained")),
    ),
    Target("score"),
)
ANSWERED = Schema(
    (Column("messages", "text"), *SEARCHED.features[1:], Column("prompt_tokens", "number")), Target("tokens")
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Nothing that a test may change, but its log."""
    served = Desk(tmp_path_factory.mktemp("desk") / "airdesk", desk=handbooks.CLERK)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def changing(tmp_path_factory):
    """Each test leaves a version of the handbook live that answers."""
    served = Desk(tmp_path_factory.mktemp("changing") / "airdesk", handbook='private = "drop"', desk='private = "hash"')
    yield served
    served.stop()


def test_a_program_asks_an_assistant_as_a_tool_and_gets_what_it_knows(desk):
    handbooks.publish_clerk(desk.project)
    wait_until(lambda: desk.predict("clerk", {"question": "?"}).status_code == 200, "the clerk")
    said = desk.predict("clerk", {"question": "?"}).json()["predictions"][0]
    assert (said["answer"], said["calls"]) == (f"{ANSWER} [1]", 2)
    with OpenProject(desk.project.folder).prompt("clerk") as clerk:
        assert clerk.answer([{"question": "?"}])[0].value == f"{ANSWER} [1]"


def test_a_programs_own_model_answers_from_no_documents(desk):
    text = handbooks.TOML.format(serving="", handbook="", desk=handbooks.CLERK).replace('= "talker"', '= "desk"')
    with pytest.raises(
        SpecError, match=r"clerk\.model: 'desk' answers questions from 'handbook', and follows no prompt"
    ):
        spec.parse(text, desk.project.folder)


def events(text):
    """The data of a stream's events."""
    return [block.removeprefix("data: ") for block in text.removesuffix("\n\n").split("\n\n")]


def test_a_search_gives_passages_with_their_places(desk):
    answer = desk.search(k=2)
    found = answer.json()
    assert answer.status_code == 200
    assert (found["model"], found["version"]) == ("handbook", "1")
    assert found["id"] == answer.headers["x-prediction-id"]
    assert answer.headers["x-model-version"] == "1"
    first, second = found["passages"]
    assert first["document"] == "handbook/baggage.md"
    assert first["path"] == ["Baggage", "Musical instruments"]
    assert first["anchor"] == "musical-instruments"
    assert first["quote"].startswith(ANSWER)
    for passage in (first, second):
        assert DOCUMENTS[passage["document"]][passage["begin"] : passage["end"]] == passage["quote"]
    assert first["score"] > second["score"]
    assert first["metadata"] == {"words": 44}
    assert len(desk.search().json()["passages"]) == 5, "all that there are, fewer than the default"


def test_a_filter_chooses_among_the_passages(desk):
    def sources(where):
        return {passage["document"] for passage in desk.search(k=100, filter=where).json()["passages"]}

    assert sources({"source": "handbook/pets.md"}) == {"handbook/pets.md"}
    assert sources({"not": {"source": "handbook/pets.md"}}) == {"handbook/baggage.md", "handbook/fares.md"}
    assert sources({"words": {"gt": 100}}) == set()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "$.query"),
        ({"query": ""}, "$.query"),
        ({"query": " \n"}, "$.query"),
        ({"query": 7}, "$.query"),
        ({"query": "a", "k": 0}, "$.k"),
        ({"query": "a", "k": 101}, "$.k"),
        ({"query": "a", "k": "five"}, "$.k"),
        ({"query": "a", "page": 1}, "$.page"),
        ({"query": "a", "filter": ["fares.md"]}, "$.filter"),
        ({"query": "a", "filter": {"year": {"above": 1}}}, "$.filter.year"),
        ({"query": "a", "filter": {"any": [{"year": {"gt": "x"}}]}}, "$.filter.any[0].year.gt"),
        ({"query": "a " * 6000}, "$.query"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(desk, body, place):
    answer = desk.client.post("/models/handbook/search", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["place"] == place


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"question": "a", "messages": [{"role": "system", "content": "Obey."}]}, "$.messages[0].role"),
        ({"question": "a", "messages": [{"role": "user"}]}, "$.messages[0].content"),
        ({"question": "a", "stream": "yes"}, "$.stream"),
        ({"query": "a"}, "$.query"),
    ],
)
def test_what_is_wrong_with_a_question_is_named(desk, body, place):
    answer = desk.client.post("/models/desk/ask", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["place"] == place


def test_a_body_that_is_no_json_and_a_model_that_is_none(desk):
    answer = desk.client.post("/models/handbook/search", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    twice = b'{"query": "a", "query": "b"}'
    answer = desk.client.post("/models/handbook/search", content=twice, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert desk.search(model="nobody").status_code == 404
    assert desk.client.get("/models/handbook/search").status_code == 405


def test_each_kind_of_model_says_how_it_is_asked(desk):
    answer = desk.client.post("/models/handbook/predict", json={"query": "a"})
    assert answer.status_code == 400
    assert "/models/handbook/search" in answer.json()["error"]["message"]
    assert "/v1/chat/completions" in desk.search(model="desk").json()["error"]["message"]
    answer = desk.ask(model="talker")
    assert answer.status_code == 400
    assert "answers from no documents" in answer.json()["error"]["message"]
    with pytest.raises(openai.BadRequestError, match="/models/handbook/search"):
        desk.openai.chat.completions.create(model="handbook", messages=[{"role": "user", "content": "a"}])


def test_a_chat_model_with_knowledge_answers_and_cites(desk):
    found = desk.ask().json()
    assert found["answer"] == f"{ANSWER} [1]", "what no passage supports is left out"
    assert not found["abstained"]
    assert not found["quoted"]
    assert found["removed"] == 1
    (cited,) = found["citations"]
    assert found["answer"][cited["begin"] : cited["end"]] == ANSWER
    assert DOCUMENTS[cited["document"]][slice(*cited["place"])] == cited["quote"] == ANSWER
    assert cited["path"] == ["Baggage", "Musical instruments"]


def test_a_collection_by_itself_is_quoted(desk):
    found = desk.ask(model="handbook", k=1).json()
    assert found["quoted"]
    assert found["answer"].startswith(ANSWER)
    assert {cited["document"] for cited in found["citations"]} == {"handbook/baggage.md"}
    for cited in found["citations"]:
        assert DOCUMENTS[cited["document"]][slice(*cited["place"])] == cited["quote"]
        assert found["answer"][cited["begin"] : cited["end"]] == cited["quote"]


def test_a_filter_that_leaves_nothing_is_an_abstention(desk):
    for model in ("desk", "handbook"):
        found = desk.ask(model=model, filter={"source": "nowhere.md"}).json()
        assert found["abstained"]
        assert found["citations"] == []
        assert found["answer"]


def test_a_question_is_understood_with_what_was_said_before(desk):
    before = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": f"{ANSWER} [1]"}]
    found = desk.ask("And its fare?", messages=before).json()
    assert "violin" in found["question"]


def test_a_streamed_answer_ends_with_the_whole_of_it(desk):
    whole = desk.ask().json()
    answer = desk.ask(stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *pieces, last, done = events(answer.text)
    assert done == "[DONE]"
    assert "".join(json.loads(piece)["text"] for piece in pieces) == whole["answer"]
    told = json.loads(last)
    assert told["id"] == answer.headers["x-prediction-id"]
    assert {**told, "id": ""} == {**whole, "id": ""}


def test_openais_client_gets_citations_as_annotations(desk):
    message = desk.chat().choices[0].message
    (annotation,) = message.annotations
    cited = annotation.url_citation
    assert annotation.type == "url_citation"
    assert message.content[cited.start_index : cited.end_index] == ANSWER
    assert cited.url == "handbook/baggage.md#musical-instruments"
    assert cited.title == "Baggage"
    assert annotation.passage["quote"] == ANSWER
    again = desk.openai.chat.completions.create(
        model="desk",
        messages=[
            {"role": "user", "content": QUESTION},
            message.model_dump(exclude_none=True),
            {"role": "user", "content": QUESTION},
        ],
    )
    assert again.choices[0].message.content == message.content, "an answer can be sent back as it came"
    *_, last = desk.chat(stream=True)
    assert last.choices[0].finish_reason == "stop"
    assert [one["url_citation"]["url"] for one in last.choices[0].delta.annotations] == [cited.url]


def test_a_model_without_knowledge_has_no_annotations(desk):
    answer = desk.client.post(
        "/v1/chat/completions", json={"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
    )
    assert "annotations" not in answer.json()["choices"][0]["message"]


def test_what_an_answer_from_documents_cannot_be_is_refused_by_name(desk):
    for more, param in (
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            desk.chat(**more)
        assert refused.value.param == param


def test_private_questions_and_answers_are_not_logged(changing):
    searched, asked = changing.search().json()["id"], changing.ask().json()["id"]
    columns, _ = changing.logged("handbook", SEARCHED, searched)
    assert "question" not in columns
    assert json.loads(columns["passages"][0])
    (messages,) = changing.logged("desk", ANSWERED, asked)[0]["messages"]
    assert len(messages) == 16
    assert "violin" not in messages


def test_without_its_documents_a_chat_model_says_what_to_do(changing):
    changing.client.post("/v2/repository/models/handbook/unload")
    answer = changing.ask()
    assert answer.status_code == 503
    assert "desk answers from handbook, which is not live" in answer.json()["error"]["message"]
    assert "/v2/repository/models/handbook/load" in answer.json()["error"]["message"]
    with pytest.raises(openai.InternalServerError, match="which is not live"):
        changing.chat()
    changing.client.post("/v2/repository/models/handbook/load")
    wait_until(lambda: changing.ask().status_code == 200, "the documents to be back")


def test_a_version_that_finds_otherwise_does_not_go_live(changing):
    before = changing.search().json()["version"]
    version = handbooks.publish_handbook(changing.project, live=False, finds=["0" * 64]).name
    with handbooks.embedder(changing.project, version):
        desired.set_champion(changing.state, "handbook", version)

        def state():
            return changing.client.get("/models/handbook").json()

        wait_until(lambda: state()["state"] == "failed", "it to fail")
        assert "does not find 1 of its 1 passages" in state()["error"]
        assert changing.search().json()["version"] == before
        desired.set_champion(changing.state, "handbook", before)
        wait_until(lambda: state()["state"] == "live", "the one before to be wanted")


def test_another_version_takes_over_while_it_is_asked(changing):
    slot = changing.gateway.slots.find("handbook")
    first = weakref.ref(slot.live.index)
    changed = {**DOCUMENTS, "handbook/baggage.md": DOCUMENTS["handbook/baggage.md"].replace("seat", "chair")}
    version = handbooks.publish_handbook(changing.project, changed, live=False).name
    with handbooks.embedder(changing.project, version):
        desired.set_champion(changing.state, "handbook", version)
        seen = []
        wait_until(lambda: seen.append(changing.search()) or seen[-1].json()["version"] == version, "the new version")
        assert {answer.status_code for answer in seen} == {200}
        assert "chair" in changing.search("a chair").json()["passages"][0]["text"]
        assert "chair" in changing.ask("a chair of its own?", model="handbook", k=1).json()["answer"]
        wait_until(lambda: gc.collect() is not None and first() is None, "the old index to be let go of")
        desired.set_champion(changing.state, "handbook", "1")
        wait_until(lambda: changing.search().json()["version"] == "1", "the first to be back")


def test_readiness_asks_a_golden_question(desk):
    assert desk.client.get("/readyz").json()["models"]["handbook"] == {"ready": True, "version": "1"}


def test_searches_and_answers_are_logged(desk):
    def counted():
        lines = desk.client.get("/metrics").text.splitlines()
        names = (
            'mainspring_search_top_score_count{model="handbook",version="1"}',
            'mainspring_answers_total{model="desk",outcome="answered",version="1"}',
        )
        return [float(line.rpartition(" ")[2]) for name in names for line in lines if line.startswith(name)]

    desk.search(), desk.ask()
    before = counted()
    search, quoted = desk.search(k=2).json(), desk.ask(model="handbook", k=1).json()
    asked, chatted = desk.ask().json(), desk.chat()
    assert counted() == [before[0] + 4, before[1] + 2]
    columns, scores = desk.logged("handbook", SEARCHED, search["id"])
    assert columns["question"] == [QUESTION]
    passages = json.loads(columns["passages"][0])
    assert [one["id"] for one in passages] == [one["id"] for one in search["passages"]]
    assert passages[0]["score"] == pytest.approx(search["passages"][0]["score"], abs=1e-6)
    assert scores[0] == pytest.approx(search["passages"][0]["score"])
    assert columns["answer"] == [""]
    assert np.isnan(columns["abstained"][0])
    columns, _ = desk.logged("handbook", SEARCHED, quoted["id"])
    assert columns["answer"] == [quoted["answer"]]
    assert columns["abstained"] == [0]
    assert json.loads(columns["citations"][0])[0]["document"] == "handbook/baggage.md"
    for id_ in (asked["id"], chatted.id.removeprefix("chatcmpl-")):
        columns, _ = desk.logged("desk", ANSWERED, id_)
        assert columns["answer"] == [asked["answer"]]
        assert len(json.loads(columns["passages"][0])) == 3
        assert columns["abstained"] == [0]
        assert columns["prompt_tokens"][0] > 20


def test_feedback_is_a_place_or_a_judgement(desk):
    searched, asked = desk.search().json()["id"], desk.ask().json()["id"]

    def tell(model, **item):
        return desk.client.post(f"/models/{model}/feedback", json=item)

    assert tell("handbook", id=searched, label="handbook/baggage.md#musical-instruments").json()["accepted"] == 1
    assert tell("desk", id=asked, label=True).json()["accepted"] == 1
    assert tell("handbook", id=searched, label=True).status_code == 422
    answer = tell("desk", id=asked, label="right")
    assert answer.status_code == 422
    assert answer.json()["error"]["place"] == "$.label"


def test_the_description_holds_for_the_answers(desk):
    document = desk.client.get("/openapi.json").json()
    assert "/models/talker/ask" not in document["paths"]
    assert "/models/desk/search" not in document["paths"]
    for path, answer in (
        ("/models/handbook/search", desk.search()),
        ("/models/handbook/ask", desk.ask(model="handbook")),
        ("/models/desk/ask", desk.ask()),
    ):
        operation = document["paths"][path]["post"]
        schema = {
            **operation["responses"]["200"]["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        jsonschema_rs.validate(schema, answer.json())
        body = {
            **operation["requestBody"]["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(body, {"query": "a", "k": 101})
        assert {"200", "401", "404", "422", "429", "503"} <= operation["responses"].keys()


def test_a_collection_is_a_tool_of_a_prompt_program(desk):
    loaded = desk.gateway.slots.find("handbook").live
    (loop,) = [server.get_loop() for server in desk.server.servers]
    told = asyncio.run_coroutine_threadsafe(loaded.tell({"question": QUESTION}), loop).result(10)
    assert told.startswith(f"[handbook/baggage.md, Baggage > Musical instruments]\n{ANSWER}")
