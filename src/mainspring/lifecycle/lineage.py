"""Where a version comes from, as hashes: two fits with equal data, spec and code give the same model."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mainspring
from mainspring.functions import code_of
from mainspring.registry import desired, versions
from mainspring.registry.versions import Lineage, Version
from mainspring.spec import ChatSpec, LanguageSpec, ModelSpec, Project, PromptSpec, RetrievalSpec

# What a fit depends on. A change elsewhere, as in the gateway, makes no model stale.
_TABLES = ("data", "evaluation", "functions.py", "runtimes", "schema.py", "tasks")
_LANGUAGE = (
    "evaluation/language",
    "evaluation/vector_parity",
    "runtimes/language",
    "tasks/bert",
    "tasks/built",
    "tasks/encoder",
    "tasks/export_encoder",
    "tasks/language",
    "tasks/vllm",
    "weights",
)
_PROMPTS = (
    "data",
    "evaluation",
    "functions.py",
    "prompts",
    "runtimes/language/protocol",
    "runtimes/records",
    "schema.py",
)
_RETRIEVAL = (
    "data/documents",
    "evaluation/retrieval",
    "evaluation/vector_parity",
    "runtimes/index",
    "runtimes/language/bulk_encoding",
    "runtimes/language/embedding",
    "runtimes/language/encoders",
    "runtimes/language/pooling",
    "tasks/answerability",
    "tasks/bert",
    "tasks/embedder",
    "tasks/embedding_passages",
    "tasks/encoder",
    "tasks/export_encoder",
    "tasks/fastest_encoder",
    "tasks/indexing",
    "tasks/other_questions",
    "tasks/retrieval",
)
_ALL = ("spec/",)
_LIBRARIES = ("numpy", "pyarrow", "scikit-learn", "xgboost-cpu", "xgboost", "optuna", "onnx", "skl2onnx", "onnxmltools")


@dataclass(frozen=True)
class Fingerprint:
    """The three things that make a model stale when they change."""

    data: str
    spec: str
    code: str

    def matches(self, version: Version) -> bool:
        """Whether `version` was fitted from the same."""
        lineage = version.manifest.lineage
        return (lineage.data, lineage.spec, lineage.code) == (self.data, self.spec, self.code)

    def lineage(self, **found: Any) -> Lineage:
        """That of a version made of this, here and now; `found` is the rest, which a fit knows."""
        return Lineage(
            data=self.data,
            spec=self.spec,
            code=self.code,
            python=platform.python_version(),
            libraries=_libraries(),
            **found,
        )


def fingerprint(project: Project, model: str, data: str) -> Fingerprint:
    """The fingerprint of a fit of `model` on data whose own fingerprint is `data`."""
    spec = project.models[model]
    return Fingerprint(
        data,
        _digest(_fitted_part(spec).encode()),
        _digest(_own_code(_parts(spec)), _users_code(project, spec)),
    )


def outdated(project: Project, model: str, champion: str) -> str | None:
    """Which model that `model` asks has another champion than any version of it was fitted with; None if none has.

    Raises:
        RegistryError: a version is damaged.
    """
    uses = project.models[model].uses
    if not uses:
        return None
    live = desired.read(project.state)
    now = {name: version for name in uses if (version := live.champion(name))}
    before = versions.load(project.state, model, champion).manifest.lineage.uses
    if len(now) < len(uses) or now == before:
        return None
    if any(version.manifest.lineage.uses == now for version in versions.load_all(project.state, model)):
        return None
    return "; ".join(f"{name} is now version {now[name]}" for name in uses if before.get(name) != now[name])


def _libraries() -> dict[str, str]:
    """The versions of what a fit is computed with."""
    found = {}
    for name in (*_LIBRARIES, "onnxruntime"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"mainspring": mainspring.__version__, **found}


def _fitted_part(spec: ModelSpec) -> str:
    """What the spec says of the model itself; how it is watched and renewed makes nothing stale.

    Nor does what a language model is judged by, and what its log may hold: nothing is learned from either.
    """
    beside = {"data", "query", "target", "metric", "private"} if isinstance(spec, LanguageSpec) else set()
    return spec.model_dump_json(exclude={"monitor", "renew", *beside})


def _parts(spec: ModelSpec) -> tuple[str, ...]:
    """The code that a model of this kind depends on."""
    if isinstance(spec, LanguageSpec):
        return _LANGUAGE
    if isinstance(spec, RetrievalSpec):
        return _RETRIEVAL
    return _PROMPTS if isinstance(spec, PromptSpec) else _TABLES


@cache
def _own_code(parts: tuple[str, ...]) -> bytes:
    root = Path(mainspring.__file__).parent
    files = [file.relative_to(root).as_posix() for file in root.rglob("*.py")]
    # Tables depend on whole folders, less what is others'.
    other = (*_LANGUAGE, *_RETRIEVAL) if parts == _TABLES else ()
    chosen = sorted(file for file in files if file.startswith((*parts, *_ALL)) and not file.startswith(other))
    return b"\0".join(file.encode() + b"\0" + (root / file).read_bytes() for file in chosen)


def _users_code(project: Project, spec: ModelSpec) -> bytes:
    """The module that gives the data, or what a chat model answers from, where the spec names a function of it."""
    if isinstance(spec, LanguageSpec):
        return code_of(spec.knowledge or "", project.folder) if isinstance(spec, ChatSpec) else b""
    return code_of(getattr(spec, "data", ""), project.folder)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
