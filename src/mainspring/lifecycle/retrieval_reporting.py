"""From what a fit of a collection found to its report."""

from __future__ import annotations

from typing import Any

import numpy as np

from mainspring.lifecycle.retrieval_report import Abstaining, MissedLine, RetrievalReport, UnreadLine, WayLine
from mainspring.registry.versions import Manifest
from mainspring.runtimes.index.settings import IndexSettings
from mainspring.tasks.indexing import Indexed
from mainspring.tasks.retrieval import Choice, Way

_MOST_MISSED = 20  # questions


def report_of(
    manifest: Manifest,
    settings: IndexSettings,
    indexed: Indexed,
    choice: Choice | None,
    ways: list[Way],
    abstaining: Abstaining | None,
    *,
    notes: list[str],
    seconds: dict[str, float],
) -> RetrievalReport:
    """The report of a version that is about to be published; the last of `ways` is how it is served."""
    chosen = ways[-1] if ways else None
    return RetrievalReport(
        project=manifest.project,
        model=manifest.model,
        version=manifest.version,
        created=manifest.created,
        metric=manifest.metric,
        candidate=manifest.candidate,
        documents=settings.documents,
        passages=settings.passages,
        embedded=indexed.embedded,
        reused=indexed.reused,
        unread=[UnreadLine(one.source, one.reason) for one in indexed.unread],
        notes=[*(f"{source}: {note}" for source, told in indexed.notes.items() for note in told), *notes],
        settings=_settings(settings) | _encoding(indexed),
        tuned=[_line(way, way is choice.way) for way in choice.tried] if choice else [],
        selection=choice.reason if choice else None,
        judged=[_line(way, way is chosen) for way in ways],
        missed=_missed(chosen) if chosen else [],
        abstaining=abstaining,
        questions={"tuning": manifest.lineage.fit_rows, "judging": manifest.lineage.holdout_rows},
        verdict=manifest.verdict,
        seconds=seconds,
    )


def _line(way: Way, chosen: bool) -> WayLine:
    return WayLine(who=way.who, questions=len(way.scores.ndcg), metrics=way.metrics(), chosen=chosen)


def _missed(way: Way) -> list[MissedLine]:
    """The questions whose places are found last, worst first."""
    order = np.argsort(-way.scores.first, kind="stable")[:_MOST_MISSED]
    return [
        MissedLine(
            way.asked.questions[at].text,
            ", ".join(way.asked.questions[at].sections),
            int(way.scores.first[at]) if np.isfinite(way.scores.first[at]) else None,
            way.found[at][0].passage.address if way.found[at] else "nothing",
        )
        for at in order.tolist()
        if way.scores.first[at] > 1
    ]


def _settings(settings: IndexSettings) -> dict[str, Any]:
    """What the index was made with, as text."""
    used = settings.embedder
    return {
        "embedder": f"{used.name}, {used.width} wide, {used.precision}",
        "meaning against words": f"{settings.dense_weight:.2g}",
        "words": settings.language,
        "reranking": settings.rerank,
        "store": settings.store.kind,
    }


def _encoding(indexed: Indexed) -> dict[str, Any]:
    """In which way passages were computed, where several were tried."""
    if not indexed.tried:
        return {}
    chosen, *others = map(str, indexed.tried)
    return {"embedding": f"{chosen} (also tried: {'; '.join(others)})"}
