"""What Prometheus scrapes of language models.

Where OpenTelemetry's semantic conventions for generative AI have a metric, its name is theirs, as an exporter for
Prometheus writes it (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/); the rest begins with
`mainspring_`. The buckets are the conventions', with smaller ones for times a token, which small models need.
"""

from __future__ import annotations

from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mainspring.runtimes.language.protocol import Usage

_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0)
_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_REQUEST = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(4.0**power for power in range(14))
_LABELS = ("model", "version", "gen_ai_operation_name")


class LanguageMetrics:
    """The numbers, in the gateway's `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.first = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a request's header to the first piece of its answer, waiting included.",
            _LABELS,
            buckets=_FIRST,
            registry=registry,
        )
        self.token = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Time a token of an answer after the first.",
            _LABELS,
            buckets=_TOKEN,
            registry=registry,
        )
        self.seconds = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a request's header to the end of its answer; error_type is empty where there is one.",
            (*_LABELS, "error_type"),
            buckets=_REQUEST,
            registry=registry,
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request: of its prompts (input) and of its answers (output).",
            (*_LABELS, "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=registry,
        )
        self.cached = Counter(
            "mainspring_prompt_tokens_cached_total",
            "Tokens of prompts that were known from earlier requests.",
            ("model", "version"),
            registry=registry,
        )
        self.waiting, self.running = (
            Gauge(
                f"mainspring_generations_{state}",
                f"Requests to language models {what}.",
                ("model", "version"),
                registry=registry,
                multiprocess_mode="livesum",
            )
            for state, what in (("waiting", "without a first piece yet"), ("running", "that are being answered"))
        )

    def begin(self, operation: str, model: str, version: str, started: float) -> Stopwatch:
        """A request that came at `started` (of `perf_counter`) is handed to its engine."""
        return Stopwatch(self, (model, version, operation), started)


class Stopwatch:
    """The times of one request. It waits, then runs from `first`, until `close`."""

    def __init__(self, metrics: LanguageMetrics, labels: tuple[str, str, str], started: float) -> None:
        self._metrics, self._labels = metrics, labels
        self._started = started
        self._first: float | None = None
        self._place = metrics.waiting.labels(*labels[:2])
        self._place.inc()

    def first(self) -> None:
        """The first piece is there; called again, nothing."""
        if self._first is None:
            self._first = perf_counter()
            self._metrics.first.labels(*self._labels).observe(self._first - self._started)
            self._place.dec()
            self._place = self._metrics.running.labels(*self._labels[:2])
            self._place.inc()

    def done(self, usage: Usage, longest: int) -> None:
        """It is answered; the longest of its answers has so many tokens."""
        if self._first is not None and longest > 1:
            self._metrics.token.labels(*self._labels).observe((perf_counter() - self._first) / (longest - 1))
        for kind, count in (("input", usage.prompt), ("output", usage.completion)):
            self._metrics.tokens.labels(*self._labels, kind).observe(count)
        self._metrics.cached.labels(*self._labels[:2]).inc(usage.cached or 0)

    def close(self, error: str = "") -> None:
        """It is over; `error` says how it failed, if it did."""
        self._place.dec()
        self._metrics.seconds.labels(*self._labels, error).observe(perf_counter() - self._started)
