"""What Prometheus scrapes of searches and of answers from passages, beside what it scrapes of every request."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from mainspring.runtimes.index.found import Searched

_SCORES = tuple(step / 20 for step in range(1, 21))
_LABELS = ("model", "version")


class RetrievalMetrics:
    """The numbers, in the gateway's `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.top_score = Histogram(
            "mainspring_search_top_score",
            "The score of the best passage of a search; nothing where none was found.",
            _LABELS,
            buckets=_SCORES,
            registry=registry,
        )
        self.unanswerable = Counter(
            "mainspring_searches_unanswerable_total",
            "Searches whose passages hold no answer, by the calibrated threshold.",
            _LABELS,
            registry=registry,
        )
        self.answers = Counter(
            "mainspring_answers_total",
            "Answers from passages, and abstentions.",
            (*_LABELS, "outcome"),
            registry=registry,
        )

    def searched(self, model: str, version: str, result: Searched) -> None:
        """A search is over."""
        if result.found:
            self.top_score.labels(model, version).observe(result.found[0].score)
        if result.answerable is not None and result.threshold is not None and result.answerable < result.threshold:
            self.unanswerable.labels(model, version).inc()

    def answered(self, model: str, version: str, abstained: bool) -> None:
        """A question was answered from passages, or not."""
        self.answers.labels(model, version, "abstained" if abstained else "answered").inc()
