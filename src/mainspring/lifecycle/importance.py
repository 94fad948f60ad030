"""Permutation importance: how much worse does the served model get when one column's values change places?

Breiman (2001). It is measured on held-out rows and through the exported graph, so it tells of what is served.
"""

from __future__ import annotations

import numpy as np

from mainspring.data.dataset import Dataset
from mainspring.errors import DataError
from mainspring.evaluation.metrics import METRICS, score
from mainspring.lifecycle.judge import aligned
from mainspring.lifecycle.report import Importance
from mainspring.runtimes.onnx import OnnxRuntime

_ROWS = 4000
_SHUFFLES = 5


def permutation_importance(runtime: OnnxRuntime, dataset: Dataset, metric: str, *, seed: int) -> list[Importance]:
    """The columns, most important first; empty where the metric cannot be computed on these rows."""
    generator = np.random.default_rng(seed)
    some = dataset.take(np.sort(generator.permutation(len(dataset))[:_ROWS]))
    columns = {column.name: some.columns[column.name] for column in runtime.schema.features}
    sign = 1.0 if METRICS[metric].greater_is_better else -1.0

    def quality(changed: dict[str, np.ndarray]) -> float:
        outputs = runtime.predict_in_chunks({**columns, **changed})
        return sign * score(metric, some.truth, aligned(outputs, runtime.schema, dataset.schema))

    try:
        whole = quality({})
    except DataError:
        return []
    found = []
    for name, values in columns.items():
        losses = [whole - quality({name: generator.permutation(values)}) for _ in range(_SHUFFLES)]
        found.append(Importance(name, float(np.mean(losses)), min(losses), max(losses)))
    return sorted(found, key=lambda one: -one.mean)
