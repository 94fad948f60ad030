"""Prompt programs in the gateway, with engines in this process that answer by rule."""

import asyncio
import gc
import json
import weakref

import pytest
from programs import PROMPT, TOML
from prometheus_client import CollectorRegistry, Counter
from prompts.engines import RuleEngine

from mainspring import prompts, spec
from mainspring.monitoring import log
from mainspring.registry.versions import Golden, Lineage, Manifest
from mainspring.schema import Column, Schema, Target
from mainspring.serving.feedback import Feedback
from mainspring.serving.language import LanguageVersion
from mainspring.serving.language_metrics import LanguageMetrics
from mainspring.serving.messages import ClientGoneError, Request
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.problems import Problem
from mainspring.serving.programs import PromptVersion
from mainspring.serving.prompting import Prompting
from mainspring.serving.slots import Slots

EXAMPLES = '# examples\n{"mail": "crash", "answer": "green"}\n{"mail": "hours", "answer": "red"}\n'


class Silent(RuleEngine):
    """Never gets to the end of an answer."""

    async def count(self, request):
        await asyncio.sleep(60)


def blue(messages, choice):
    return "blue"


def manifest(model, task, version="1", parameters=()):
    return Manifest(
        project="office",
        model=model,
        version=version,
        task=task,
        created="2026-01-01T00:00:00+00:00",
        schema=Schema((Column("mail", "text"),), Target("colour", ("red", "green", "blue"))),
        lineage=Lineage("d", "s", "c", 0, 0, 0, {}, 0, "3.11", {}),
        candidate="",
        parameters=dict(parameters),
        metric="choice_accuracy",
        metrics={},
        parity={},
        verdict={},
    )


def bring(slots, model, engine, version="1"):
    """Let an engine answer as the live version of `model`."""
    slots.find(model).live = LanguageVersion(manifest(model, "chat", version), engine, Golden([], [], 0.0))


def program(slots, front="", version="1", model="desk", embeddings=None, tools=()):
    text = PROMPT.replace("+++\n", f"+++\n{front}\n", 1) + EXAMPLES
    uses = {"model": model, "embeddings": embeddings, "tools": tools}
    return PromptVersion(manifest("mail", "prompt", version, uses), prompts.parse(text), {"mail": "crash"}, slots)


@pytest.fixture
def slots():
    return Slots(["mail", "desk", "other", "vectors"])


def ask(tmp_path, slots, *, silence=60.0, hangs_up=False):
    """Ask the live program once, as the gateway does; the answers, and what the log counted."""
    project = spec.parse(TOML, tmp_path)

    async def receive():
        await asyncio.sleep(0.05 if hangs_up else 60)
        return {"type": "http.disconnect"}

    async def run():
        registry = CollectorRegistry()
        written = PredictionLog(project, *(Counter(name, "-", ["model"], registry=registry) for name in "ab"))
        prompting = Prompting(LanguageMetrics(registry), written, silence)
        request = Request({"method": "POST", "path": "/", "headers": []}, receive)
        request.body = b'{"mail": "a"}'
        try:
            reply = await prompting(request, slots.find("mail"), 10)
            return json.loads(reply.body)["predictions"]
        except ClientGoneError:
            return None
        finally:
            await written.close()

    answers = asyncio.run(run())
    [load] = log.traffic(project, "mail", "1", 0, 2**62)
    return answers, load


def test_a_client_that_hangs_up_is_no_error_of_the_version(tmp_path, slots):
    engine = Silent(blue)
    bring(slots, "desk", engine)
    slots.find("mail").live = program(slots)
    answers, load = ask(tmp_path, slots, hangs_up=True)
    assert answers is None
    assert (load.requests, load.errors) == (1, 0)
    assert engine.cancelled == 1


def test_the_prompts_own_limit_of_time_comes_first(tmp_path, slots):
    bring(slots, "desk", Silent(blue))
    slots.find("mail").live = program(slots, "limits = { seconds = 0.2 }")
    [answer], load = ask(tmp_path, slots, silence=0.05)
    assert answer["stopped"] == "stopped after 0.2 s (limits.seconds)"
    assert load.errors == 0


@pytest.mark.parametrize("rule", ["drop", "hash"])
def test_no_label_is_taken_where_answers_are_private(tmp_path, slots, rule):
    private = f'[models.mail.columns]\ncolour = {{ private = "{rule}" }}'
    project = spec.parse(TOML.replace("[models.mail.columns]", private), tmp_path)
    slots.find("mail").live = program(slots)

    async def run():
        counted = Counter("a", "-", ["model", "outcome"], registry=CollectorRegistry())
        feedback = Feedback(slots, project, counted, 10)
        request = Request({"method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}, None)
        request.body = b'{"key": "a", "label": "red"}'
        with pytest.raises(Problem, match=r"answers of mail are private \(columns.colour\)") as refused:
            await feedback(request, "mail")
        assert refused.value.status == 409
        await feedback.close()

    asyncio.run(run())


def test_a_version_takes_over_only_when_the_models_that_it_asks_are_live(slots):
    async def run():
        second = program(slots, version="2", model="other")
        await second.open()  # nothing answers yet, so that nothing is lost
        slots.find("mail").live = program(slots)
        with pytest.raises(Problem, match="other has no version yet"):
            await second.open()
        bring(slots, "other", RuleEngine(blue))
        await second.open()

    asyncio.run(run())


def test_a_new_chat_model_costs_no_vector(slots):
    async def run():
        vectors = RuleEngine(blue)
        bring(slots, "vectors", vectors)
        asked = program(slots, 'strategy = "nearest-examples"', embeddings="vectors")
        embedded = []
        for version in ("1", "1", "2"):
            if version not in slots.find("desk").versions:
                bring(slots, "desk", RuleEngine(blue), version)
            with asked.asking() as model:
                await asked.prompt.answer({"mail": f"{len(embedded)}"}, model)
            embedded.append(vectors.embedded)
        assert embedded == [3, 4, 5]  # both examples once, and each question
        bring(slots, "vectors", RuleEngine(blue), "2")
        with asked.asking() as model:
            await asked.prompt.answer({"mail": "3"}, model)
        assert slots.find("vectors").live.engine.embedded == 3

    asyncio.run(run())


def test_a_tool_that_was_retired_is_let_go_of(slots):
    bring(slots, "desk", RuleEngine(blue))
    bring(slots, "other", RuleEngine(blue))
    asked = program(slots, 'strategy = "react"', tools=["other"])
    with asked.asking() as model:
        assert set(model.tools) == {"other"}
    del model
    retired = weakref.ref(slots.find("other").live)
    bring(slots, "other", RuleEngine(blue), "2")
    gc.collect()
    assert retired() is None
