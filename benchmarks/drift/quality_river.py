"""river's detectors at their defaults, on the stream of the model's errors (1 where it was wrong).

They first see the errors of the reference's held-out rows, as a running service would have; what they say there does
not count. A window alerts where the detector says drift at any of its rows.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from cells import Alerts, main
from river import drift
from river.drift import binary
from streams import HELD_OUT_ROWS, Stream

DETECTORS = {
    "river ADWIN": drift.ADWIN,
    "river DDM": binary.DDM,
    "river PageHinkley": drift.PageHinkley,
}


def watch_errors(detectors: dict[str, Callable[[], Any]], stream: Stream) -> Alerts:
    return {name: alerts(make(), stream) for name, make in detectors.items()}


def alerts(detector: Any, stream: Stream) -> list[list[str]]:
    for wrong in stream.reference.wrong[-HELD_OUT_ROWS:].tolist():
        detector.update(wrong)
    found = []
    for window in stream.windows:
        drifted = False
        for wrong in window.wrong.tolist():
            detector.update(wrong)
            drifted = drifted or detector.drift_detected
        found.append(["errors"] if drifted else [])
    return found


if __name__ == "__main__":
    main(partial(watch_errors, DETECTORS))
