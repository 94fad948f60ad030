"""The prompt program that is live, on held-out questions: it asks what it asks in the gateway."""

from __future__ import annotations

import msgspec
import numpy as np

from mainspring import prompts
from mainspring.data.splits import Split
from mainspring.errors import EngineGoneError, MainspringError, OverloadedError, SpecError
from mainspring.lifecycle import judge
from mainspring.lifecycle.champions import Champions
from mainspring.lifecycle.prompt_verdict import Judgement
from mainspring.lifecycle.questions import Questions
from mainspring.prompts import LanguageModel, Prompt, fitting
from mainspring.prompts.metrics import METRICS
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.registry import versions
from mainspring.registry.versions import Version
from mainspring.spec import Project


async def judged_champion(
    project: Project, model: str, name: str, held: Questions, metric: str, opened: Champions, uses: Uses
) -> tuple[Judgement, np.ndarray] | str:
    """How the champion, version `name`, answers those of the held-out questions that it was not fitted on, and which:
    (n,) bool; or why it cannot be compared.

    It asks the models that it asks in the gateway, as its manifest names them. What is open for `uses` serves it where
    that comes to the same, so that nothing is loaded or asked twice.

    Raises:
        EngineGoneError, OverloadedError: a model does not answer just now, which says nothing of the champion.
    """
    try:
        version = versions.load(project.state, model, name)
        prompt = load_prompt(version)
        own = Uses.of(version.manifest.parameters).by(prompt)
        asked = await opened.language_model(uses if uses.by(prompt) == own else own)
        return await _judged(version, prompt, held, metric, asked)
    except (EngineGoneError, OverloadedError):
        raise
    except MainspringError as error:
        return str(error)


async def _judged(
    version: Version, prompt: Prompt, held: Questions, metric: str, asked: LanguageModel
) -> tuple[Judgement, np.ndarray]:
    """On the questions that the version was not fitted on; SpecError where there are none, or it asks others."""
    if set(prompt.variables) != {column.name for column in held.dataset.schema.features}:
        raise SpecError(f"its prompt has other variables: {', '.join(prompt.variables)}")
    unseen = msgspec.convert(version.manifest.lineage.split, Split).is_holdout(held.dataset.table)
    if not unseen.any():
        raise SpecError("it was fitted on all of the held-out questions")
    some = held.take(unseen)
    judged = await fitting.judge(prompt, some.asked, METRICS[metric], asked)
    return Judgement(f"version {version.name}", metric, judged, judge.clusters(some.dataset)), unseen


def load_prompt(version: Version) -> Prompt:
    """The prompt of a version, whose files are verified first.

    Raises:
        RegistryError: a file is missing or damaged.
    """
    version.verify()
    return prompts.load(version.file(FILE_NAME))
