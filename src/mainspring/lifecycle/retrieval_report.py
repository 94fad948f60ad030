"""The report of a version of a collection: every number that backs it, as JSON. `retrieval_page` draws it."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.errors import RegistryError
from mainspring.registry.versions import REPORT, Version


class UnreadLine(msgspec.Struct, frozen=True):
    """A source from which nothing was taken, and why."""

    source: str
    reason: str


class WayLine(msgspec.Struct, frozen=True, kw_only=True):
    """A way to search, and how it did on `questions`: `metrics` with intervals, `{name: {"value", "low", "high"}}`."""

    who: str
    questions: int
    metrics: dict[str, dict[str, Any]]
    chosen: bool = False


class MissedLine(msgspec.Struct, frozen=True):
    """A question whose answer was not found early: where it stands, at which `rank` (None: not at all), and what came
    first instead.
    """

    question: str
    expected: str
    rank: int | None
    first: str


class Abstaining(msgspec.Struct, frozen=True, kw_only=True):
    """How well answerable questions are told from others: the area under the ROC curve, beside that of the best score
    alone, and what happens at the threshold.
    """

    answerable: int
    unanswerable: int
    roc_auc: dict[str, Any]
    by_top_score: dict[str, Any]
    threshold: float
    answered: dict[str, Any]  # of the answerable ones
    refused: dict[str, Any]  # of the others


class RetrievalReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `tuned` are the ways that were tried on the tuning questions, `judged` those on the others."""

    project: str
    model: str
    version: str
    created: str
    metric: str
    candidate: str
    documents: int
    passages: int
    embedded: int
    reused: int
    unread: list[UnreadLine]
    notes: list[str]
    settings: dict[str, Any]
    tuned: list[WayLine]
    selection: str | None
    judged: list[WayLine]
    missed: list[MissedLine]
    abstaining: Abstaining | None
    questions: dict[str, int]
    verdict: dict[str, Any]
    seconds: dict[str, float]


def read(version: Version) -> RetrievalReport:
    """The report of a published version.

    Raises:
        RegistryError: it has none, or it is damaged.
    """
    try:
        return msgspec.json.decode(version.file(REPORT).read_bytes(), type=RetrievalReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"the {REPORT} of version {version.name} cannot be read: {error}") from None
