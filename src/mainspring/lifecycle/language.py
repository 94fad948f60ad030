"""A language model becomes a version: weights, the way in which they are computed, and the proof that it is right.

Nothing is learned here. What is chosen is the precision: see `tasks.language`. Whether a later version is better is
asked of questions with known answers, where the spec names some: see `language_verdict`. A version holds one GGUF file
(or the folder of an encoder, or one for vLLM, or an endpoint's address), the properties that the engine is loaded with,
what the choice cost in the model's own words, and golden examples that every engine must continue as the one here did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mainspring.errors import require
from mainspring.lifecycle import language_page, language_verdict, lineage
from mainspring.lifecycle.language_report import LanguageReport
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.prompts.knowledge import PROMPT, Knowledge
from mainspring.registry import versions
from mainspring.registry.versions import Manifest, Version
from mainspring.schema import Column, Schema, Target
from mainspring.spec import AnsweringSpec, ChatSpec, LanguageSpec, Project
from mainspring.tasks import language
from mainspring.tasks.built import Built
from mainspring.weights import Weights, resolve

if TYPE_CHECKING:
    from mainspring.lifecycle.assistant_questions import AssistantQuestions
    from mainspring.lifecycle.language_questions import Questions

_SCHEMAS = {
    "chat": Schema((Column("messages", "text"),), Target("answer")),
    "completion": Schema((Column("prompt", "text"),), Target("answer")),
    "embedding": Schema((Column("text", "text"),), Target("vector")),
}


def prepare(project: Project, model: str, watcher: Watcher) -> Prepared:
    """Find the weights, fetching them if need be.

    Raises:
        WeightsError: they cannot be had, or are not what their sha256 says.
    """
    spec = project.language(model)
    if spec.remote is not None:
        identity, build = _text_print(spec.remote.model_dump_json()), _remote(spec)
    else:
        assert spec.base is not None
        watcher.step(model, f"finding the weights of {spec.base}")
        weights = resolve(spec.base, project.folder)
        identity = weights.identity
        watcher.note(model, f"{weights.name}: {weights.licence or 'licence not known'}, from {weights.source}")
        build = _local(spec, weights, model, watcher)
    if (prompt := _prompt(project, model, spec)) is not None:
        identity = _text_print(f"{identity}\0{prompt}")
    print_of_now = lineage.fingerprint(project, model, identity)
    return Prepared(print_of_now, lambda staged: _make(project, model, build, print_of_now, staged, watcher))


def _prompt(project: Project, model: str, spec: LanguageSpec) -> str | None:
    """What a chat model with knowledge is told of who it is; None where the spec names no file.

    Raises:
        SpecError: the file is not there, or is not text.
    """
    if not isinstance(spec, ChatSpec) or spec.prompt is None:
        return None
    try:
        return (project.folder / spec.prompt).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise project.mistake(("models", model, "prompt"), f"{spec.prompt!r} cannot be read: {error}") from None


def _local(spec: LanguageSpec, weights: Weights, model: str, watcher: Watcher) -> Callable[[Path], Built]:
    def say(what: str) -> None:
        watcher.step(model, what)

    if spec.task == "embedding":
        from mainspring.tasks.encoder import build_encoder

        return lambda staged: build_encoder(weights, staged, say=say)
    if spec.engine == "vllm":
        from mainspring.tasks.vllm import build_for_vllm

        return lambda staged: build_for_vllm(spec, weights, staged, say=say)
    return lambda staged: language.build_generator(spec, weights, staged, say=say)


def _remote(spec: LanguageSpec) -> Callable[[Path], Built]:
    return lambda staged: language.build_remote(spec, staged)


def _text_print(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _make(
    project: Project,
    model: str,
    build: Callable[[Path], Built],
    print_of_now: lineage.Fingerprint,
    staged: Path,
    watcher: Watcher,
) -> Version:
    spec = project.language(model)
    questions = _questions(project, model, spec, watcher)
    built = build(staged)
    if isinstance(spec, ChatSpec) and spec.knowledge is not None:
        knowledge = Knowledge(spec.knowledge, spec.passages, spec.answers)
        built = replace(built, parameters={**built.parameters, "knowledge": msgspec.to_builtins(knowledge)})
        if (prompt := _prompt(project, model, spec)) is not None:
            (staged / PROMPT).write_text(prompt, encoding="utf-8")
    if isinstance(questions, str):
        judged = language_verdict.unjudged(project, model, built, questions)
    else:
        judged = language_verdict.judge(
            project, model, built, staged, questions, lambda what: watcher.step(model, what)
        )
    (staged / versions.GOLDEN).write_bytes(msgspec.json.encode(built.golden))
    report = built.report
    if not isinstance(questions, str):
        report = report | {"questions": len(questions), "assistant": msgspec.to_builtins(judged.report)}
    (staged / versions.REPORT).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    manifest = Manifest(
        project=project.name,
        model=model,
        version=versions.next_name(project.state, model),
        task=spec.task,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema=_SCHEMAS[spec.task],
        lineage=print_of_now.lineage(rows=0, fit_rows=0, holdout_rows=0, split={}, seed=0),
        candidate=built.candidate,
        parameters=built.parameters,
        metric=built.metric if isinstance(questions, str) else questions.metric,
        metrics=judged.metrics | built.metrics,
        parity=built.parity,
        verdict=judged.verdict,
    )
    told = msgspec.convert(report, LanguageReport)
    (staged / versions.REPORT_PAGE).write_text(language_page.render(manifest, told), encoding="utf-8")
    return versions.publish(staged, manifest)


def _questions(
    project: Project, model: str, spec: LanguageSpec, watcher: Watcher
) -> Questions | AssistantQuestions | str:
    """Those that the spec names, or those of what it knows; or, in words, why there are none."""
    if not isinstance(spec, AnsweringSpec) or (
        spec.data is None and not (isinstance(spec, ChatSpec) and spec.knowledge)
    ):
        return "there are no questions to judge by (`data` and `target`)"
    if spec.data is None:
        require("faiss", "retrieval")
        require("scipy", "retrieval")
        from mainspring.lifecycle import assistant_questions

        watcher.step(model, "reading the questions")
        return assistant_questions.load(project, model)
    require("pyarrow", "tabular")
    require("scipy", "tabular")
    from mainspring.lifecycle import language_questions

    watcher.step(model, "reading the questions")
    found = language_questions.load(project, model, spec)
    if found.left_out:
        watcher.note(model, f"{found.left_out:,} rows have no value of {spec.target} and are left out.")
    return found
