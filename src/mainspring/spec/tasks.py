"""Every task, and the class of its spec."""

from __future__ import annotations

from mainspring.spec.models import (
    ChatSpec,
    ClassificationSpec,
    CompletionSpec,
    EmbeddingSpec,
    ModelSpec,
    PromptSpec,
    RegressionSpec,
)
from mainspring.spec.retrieval import RetrievalSpec

TASKS: dict[str, type[ModelSpec]] = {
    "classification": ClassificationSpec,
    "regression": RegressionSpec,
    "chat": ChatSpec,
    "completion": CompletionSpec,
    "embedding": EmbeddingSpec,
    "prompt": PromptSpec,
    "retrieval": RetrievalSpec,
}
