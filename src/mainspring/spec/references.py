"""Models that name other models, as prompt programs and chat models with knowledge do: what may be wrong with it, and
in which order to fit them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mainspring.spec.mistakes import Mistake, choices
from mainspring.spec.models import ChatSpec, ModelSpec, PromptSpec

_NEEDS = {"nearest-examples": "embeddings", "react": "tools"}


def wrong_references(models: Mapping[str, ModelSpec], names: Collection[str]) -> list[Mistake]:
    """The mistakes of those of `models` that name others; `names` are all that the file declares, wrong ones too."""
    mistakes: list[Mistake] = []
    for name, spec in models.items():
        if isinstance(spec, PromptSpec):
            asked = [("model", spec.model, "chat"), *(("tools", tool, "") for tool in spec.tools)]
            asked += [("embeddings", spec.embeddings, "embedding")] if spec.embeddings else []
            mistakes += _wrong_names(name, asked, models, names)
            mistakes += _wrong_strategies(name, spec)
            mistakes += _knowing(name, spec, models)
        elif isinstance(spec, ChatSpec) and spec.knowledge is not None:
            mistakes += _wrong_names(name, [("knowledge", spec.knowledge, "retrieval")], models, names)
    return mistakes


def in_order(models: Mapping[str, ModelSpec], chosen: Collection[str]) -> list[str]:
    """`chosen`, each after those of them that it asks; otherwise as they come."""

    def depth(name: str) -> int:
        return 1 + max(map(depth, models[name].uses), default=-1)

    return sorted(chosen, key=depth)


def _wrong_names(
    name: str, asked: list[tuple[str, str, str]], models: Mapping[str, ModelSpec], names: Collection[str]
) -> Iterator[Mistake]:
    """A name that is none, a model of the wrong kind, a program that asks itself. `asked`: key, name, task."""
    for key, other, task in asked:
        place = ("models", name, key)
        found = models.get(other)
        if other not in names:
            yield place, f"{other!r} is not a model{choices(other, _of_task(models, task))}"
        elif other == name or _asks(models, other, name):
            yield place, f"{other!r} would ask {name!r} itself"
        elif found is not None and found.task == "embedding" and not task:
            yield place, f"{other!r} is an embedding model, which tells a chat model nothing: expected another model"
        elif found is not None and task and found.task != task:
            expected = choices(other, _of_task(models, task))
            yield place, f"{other!r} is a {found.task} model; expected one of the task {task!r}{expected}"


def _knowing(name: str, spec: PromptSpec, models: Mapping[str, ModelSpec]) -> Iterator[Mistake]:
    """A program's prompt is no question that documents could be searched for."""
    asked = models.get(spec.model)
    if isinstance(asked, ChatSpec) and asked.knowledge is not None:
        told = f"{spec.model!r} answers questions from {asked.knowledge!r}, and follows no prompt"
        others = [other for other, one in models.items() if isinstance(one, ChatSpec) and one.knowledge is None]
        expected = choices(spec.model, others)
        yield ("models", name, "model"), f"{told}: name a chat model without knowledge, and it in `tools`{expected}"


def _wrong_strategies(name: str, spec: PromptSpec) -> Iterator[Mistake]:
    for strategy in spec.strategies or ():
        needed = _NEEDS.get(strategy)
        if needed and not getattr(spec, needed):
            yield ("models", name, "strategies"), f"{strategy!r} needs the key {needed!r}"


def _of_task(models: Mapping[str, ModelSpec], task: str) -> list[str]:
    return [name for name, spec in models.items() if task in ("", spec.task)]


def _asks(models: Mapping[str, ModelSpec], asking: str, asked: str) -> bool:
    """Whether `asking` asks `asked`, itself or through others."""
    seen, waiting = set[str](), [asking]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        spec = models.get(name)
        if spec is not None:
            waiting += spec.uses
    return asked in seen - {asking}
