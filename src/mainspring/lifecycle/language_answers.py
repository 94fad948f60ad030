"""What a version of a language model said to the questions that it is judged by, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.lifecycle.assistant_report import AssistantReport

if TYPE_CHECKING:
    from mainspring.evaluation.assistants import Replies


@dataclass(frozen=True, eq=False)
class Answers:
    """`scores` are those of the questions' metric, (n,), 0 to 1; `groups` codes of those that are not independent.

    `metrics` maps each figure to `{"value", "low", "high", "method"}`. An assistant has a `report` and its `replies`.
    """

    scores: np.ndarray
    groups: np.ndarray | None
    metrics: dict[str, dict[str, Any]]
    report: AssistantReport | None = None
    replies: Replies | None = None
