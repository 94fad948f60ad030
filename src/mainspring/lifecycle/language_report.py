"""What backs a version of a language model, as `report.json` holds it: `tasks.language` writes it.

What versions made earlier do not say is None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.errors import RegistryError
from mainspring.evaluation.language import LIMITS, Figure, Limit
from mainspring.evaluation.vector_parity import LEAST_COSINE, LEAST_SAME
from mainspring.lifecycle.assistant_report import AssistantReport
from mainspring.lifecycle.wording import count, measured
from mainspring.registry.versions import REPORT, Manifest, Version


class WeightsLine(msgspec.Struct, frozen=True):
    """The weights that were given. `types` are those of their matrices, `bytes` their size on the disk."""

    name: str
    source: str
    bytes: int
    licence: str | None = None
    revision: str | None = None
    types: str | None = None


class ServedFile(msgspec.Struct, frozen=True):
    """The file that is served: the weights as they came, or written again in another type."""

    types: str
    bytes: int


class WayLine(msgspec.Struct, frozen=True, kw_only=True):
    """A way to compute that was tried: the type of the weights (None: as they came), the arithmetic, what was found."""

    weights: str | None
    precision: str
    passed: bool
    failures: list[str]
    texts: int
    tokens: int
    agreement: Figure
    mean_divergence: Figure
    tail_divergence: Figure
    perplexity_ratio: Figure

    @property
    def name(self) -> str:
        """In few words."""
        return f"{self.weights or 'own'} weights, {self.precision}"


class LanguageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. `ways` are in the order in which they were tried, the fastest first; `cosines` are one a text.

    `questions` is how many it was judged by, and `assistant` what was found of answers from knowledge.
    """

    weights: WeightsLine | None = None
    served: ServedFile | None = None
    context: int | None = None
    ways: list[WayLine] = []
    cosines: list[float] = []
    questions: int | None = None
    assistant: AssistantReport | None = None
    remote: dict[str, Any] | None = None


def read(version: Version) -> LanguageReport:
    """The report of a published version.

    Raises:
        RegistryError: it has none, or it is damaged.
    """
    try:
        return msgspec.json.decode(version.file(REPORT).read_bytes(), type=LanguageReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"the {REPORT} of version {version.name} cannot be read: {error}") from None


def limit_of(metric: str) -> Limit | None:
    """What the parity gate allows; None of a figure that it does not bound."""
    return LEAST_COSINE if metric == "cosine" else LIMITS.get(metric)


def why(manifest: Manifest, report: LanguageReport) -> str:
    """Why this version is computed as it is, and what was measured of it, in a sentence."""
    engine = manifest.parameters["engine"]
    if engine == "remote":
        return "Nothing was measured: an endpoint answers, and what it computes is its own."
    if manifest.task == "embedding":
        return (
            f"Its vectors were compared with those of 32-bit arithmetic on {len(report.cosines)} texts; the least "
            f"cosine has to be {LEAST_COSINE}, and what is the same among a text's ten nearest {LEAST_SAME} on average."
        )
    if engine == "vllm":
        return "Nothing was measured: vLLM computes as it is told, and tells too little to be compared."
    if not manifest.parity:
        return (
            "Nothing was measured: llama.cpp computes the file as it is, and how near that is to 32-bit arithmetic "
            "it does not tell."
        )
    if not report.ways:
        return "The spec asks for 32-bit arithmetic, which is what every other way would be compared with."
    failed = sum(not way.passed for way in report.ways)
    if failed == len(report.ways):
        return f"32-bit arithmetic is served: none of the {failed} faster ways says the same as the weights in it."
    chosen = (
        f"Served is the fastest way that says the same as the weights in 32-bit arithmetic: {report.ways[-1].name}."
    )
    if not failed:
        return f"{chosen} It was the first that was tried."
    return f"{chosen} {'A faster one says' if failed == 1 else f'{failed} faster ones say'} something else."


def assistant_told(found: AssistantReport) -> list[str]:
    """What an assistant's figures are of, in sentences."""
    told = [
        f"It was asked {count(found.asked)} of {count(found.held_out)} questions that version {found.version} of "
        f"{found.collection} was not tuned on; the documents hold the answer to {count(found.answerable)} of those."
    ]
    if silence := found.abstaining:
        total = silence.answerable + silence.unanswerable
        told.append(
            f"Whether the passages hold the answer was told {count(total)} times, with and without the right one: "
            f"ROC AUC {_with_interval(silence.roc_auc)}, and by the best score alone "
            f"{_with_interval(silence.by_top_score)}. At the threshold of {silence.threshold:.2f} those with an "
            f"answer are answered in {_with_interval(silence.answered)}, the others refused in "
            f"{_with_interval(silence.refused)}."
        )
    if opinion := found.opinion:
        shares = [("supported", opinion.supported), ("an answer", opinion.answers), ("as the rule", opinion.agreement)]
        told.append(
            f"{opinion.judge} judged {count(opinion.judged)} answers and failed at {count(len(opinion.failed))}: "
            + ", ".join(f"{name} {_with_interval(share)}" for name, share in shares if share)
        )
        told += opinion.failed
    return told


def _with_interval(estimate: dict[str, Any]) -> str:
    value, interval, _ = measured(estimate)
    return f"{value} ({interval})"


def facts(manifest: Manifest, report: LanguageReport) -> list[tuple[str, str]]:
    """What it is made of and who computes it: names and values, as text."""
    found: list[tuple[str, str | None]] = []
    if report.weights is not None:
        weights = report.weights
        found += [
            ("weights", weights.name),
            ("from", weights.source + (f", revision {weights.revision}" if weights.revision else "")),
            ("licence", weights.licence or "not known"),
            ("types", weights.types),
            ("size", _bytes(weights.bytes)),
        ]
    if report.served is not None and report.weights is not None and report.served.types != report.weights.types:
        found += [("served as", f"{report.served.types}, {_bytes(report.served.bytes)}")]
    if report.remote is not None:
        found += [("endpoint", report.remote["url"]), ("its model", report.remote["model"])]
    engine = manifest.parameters["engine"]
    found += [
        ("context", f"{count(report.context)} tokens" if report.context else None),
        ("engine", f"{engine}: {manifest.parameters['why']}" if manifest.parameters.get("why") else engine),
    ]
    return [(name, value) for name, value in found if value]


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} B"
