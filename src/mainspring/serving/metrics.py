"""What Prometheus scrapes: names begin with `mainspring_`, times are seconds.

With PROMETHEUS_MULTIPROC_DIR set, several workers share their numbers through files in that folder, and whichever
of them is scraped answers for all (prometheus_client's multiprocess mode).
"""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from mainspring.serving.language_metrics import LanguageMetrics
from mainspring.serving.retrieval.metrics import RetrievalMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The gateway's numbers. The registry is its own, so that a process may hold several gateways, as tests do."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, of which nothing is asked
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "mainspring_request_seconds",
            "Time from a request's header to the end of its answer.",
            ("model", "version", "code"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rows = Counter(
            "mainspring_prediction_rows_total", "Rows predicted.", ("model", "version"), registry=self.registry
        )
        self.rejected = Counter(
            "mainspring_rejected_total", "Requests refused, by status.", ("code",), registry=self.registry
        )
        self.in_flight = Gauge(
            "mainspring_in_flight_requests",
            "Requests under way, as of the last look (five times a second).",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.reloads = Counter(
            "mainspring_reloads_total",
            "Versions that went live (ok), and that did not (failed).",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.dropped_lines = Counter(
            "mainspring_access_log_dropped_total",
            "Lines of the access log that could not be written.",
            registry=self.registry,
        )
        self.info = Gauge(
            "mainspring_model_info",
            "1 for each live version of a model (champion, canary, shadow), 0 for one that was.",
            ("model", "version"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.share = Gauge(
            "mainspring_model_share",
            "The share of a model's traffic that a version answers; 0 for a shadow, which is not heard.",
            ("model", "version"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.shadow_skipped = Counter(
            "mainspring_shadow_skipped_total",
            "Requests that the shadow was not asked, because too many were waiting for it.",
            ("model",),
            registry=self.registry,
        )
        self.logged_rows = Counter(
            "mainspring_prediction_log_rows_total",
            "Rows written to the prediction log.",
            ("model",),
            registry=self.registry,
        )
        self.dropped_rows = Counter(
            "mainspring_prediction_log_dropped_total",
            "Rows that the prediction log could not take or write.",
            ("model",),
            registry=self.registry,
        )
        self.feedback = Counter(
            "mainspring_feedback_total",
            "True labels that were told, by what became of them.",
            ("model", "outcome"),
            registry=self.registry,
        )
        self.alarm = Gauge(
            "mainspring_alarm",
            "1 for each alarm of the monitoring that holds, 0 for one that did.",
            ("model", "subject", "name"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self.language = LanguageMetrics(self.registry)
        self.retrieval = RetrievalMetrics(self.registry)
        self._seconds: dict[tuple[str, str, int], Histogram] = {}
        self._rows: dict[tuple[str, str], Counter] = {}
        self._several = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        if not self._several:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def observe(self, model: str, version: str, code: int, seconds: float, rows: int) -> None:
        """One request is over. The labelled children are kept: looking one up costs more than the observation."""
        series = (model, version, code)
        child = self._seconds.get(series)
        if child is None:
            child = self._seconds[series] = self.seconds.labels(model, version, str(code))
        child.observe(seconds)
        if rows and code < 400:
            counter = self._rows.get(series[:2])
            if counter is None:
                counter = self._rows[series[:2]] = self.rows.labels(model, version)
            counter.inc(rows)
        if code >= 400:
            self.rejected.labels(str(code)).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        if not self._several:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)
        return generate_latest(shared)
