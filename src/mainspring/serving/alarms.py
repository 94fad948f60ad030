"""What the monitoring says of each model: the controller writes a summary, and every gateway shows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Gauge

from mainspring.monitoring import summary
from mainspring.monitoring.summary import Summary
from mainspring.serving.watching import WatchedFile


class Alarms:
    """The summaries, as of the last `look`. `gauge` is 1 for each alarm that holds, and 0 for one that did.

    Args:
        state: the project's.
        models: those that the project declares, which are the ones that are monitored.
        gauge: with the labels model, subject and name.
    """

    def __init__(self, state: Path, models: Iterable[str], gauge: Gauge) -> None:
        self._state, self._gauge = state, gauge
        self._files = {model: WatchedFile(summary.path(state, model)) for model in models}
        self._found: dict[str, Summary] = {}

    def look(self) -> None:
        """See what changed. Call it often."""
        for model, file in self._files.items():
            if file.changed():
                before, found = self.of(model), summary.read(self._state, model)
                for alarm in before.alarms if before else ():
                    self._gauge.labels(model, alarm.subject, alarm.name).set(0)
                for alarm in found.alarms:
                    self._gauge.labels(model, alarm.subject, alarm.name).set(1)
                self._found[model] = found

    def of(self, model: str) -> Summary | None:
        """What is said of `model`, or None where nothing was examined yet."""
        return self._found.get(model)
