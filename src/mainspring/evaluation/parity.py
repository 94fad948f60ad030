"""Parity: what is served answers as what was fitted.

Every hand-off (fit → export → quantise → serve) changes the arithmetic a little: float32 for float64, another order of
sums. This says how much is a little. It imports numpy only, because the gateway checks its golden examples with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mainspring.errors import ParityError

Array = np.ndarray


@dataclass(frozen=True)
class Parity:
    """A parity check that passed.

    `max_difference`: the largest seen, of probabilities, or of values relative to max(1, |expected|).
    `disagreements`: rows whose class differs all the same, each too close to call within the tolerance.
    """

    rows: int
    max_difference: float
    tolerance: float
    disagreements: int

    def as_dict(self) -> dict[str, float | int]:
        """Ready for JSON."""
        return asdict(self)


def check_probabilities(
    expected: Array, served: Array, *, threshold: float | None = None, tolerance: float = 1e-5
) -> Parity:
    """Check the probabilities that are served, (n, k), against those expected.

    Each must lie within `tolerance`, and each row must get the same class unless it is too close to call: unless the
    two likeliest classes are within `tolerance` of each other, or, where a `threshold` decides between two classes,
    the probability of class 1 is within `tolerance` of it. Raises `ParityError` naming the worst row.
    """
    expected, served = _comparable(expected, served, dimensions=2)
    differences = np.abs(expected - served).max(axis=1)
    _refuse_above(differences, tolerance, expected, served, "probabilities")
    if threshold is None:
        runner_up, likeliest = np.partition(expected, -2, axis=1)[:, -2:].T
        margins = likeliest - runner_up
        differs = expected.argmax(axis=1) != served.argmax(axis=1)
    else:
        margins = np.abs(expected[:, 1] - threshold)
        differs = (expected[:, 1] >= threshold) != (served[:, 1] >= threshold)
    wrong = differs & (margins > tolerance)
    if wrong.any():
        worst = int(np.where(wrong, margins, -np.inf).argmax())
        raise ParityError(
            f"{int(wrong.sum())} of {len(expected)} rows get another class than was fitted; "
            f"{_row(worst, expected, served)}, although the class is clear by {margins[worst]:.3g}"
        )
    return Parity(len(expected), float(differences.max()), tolerance, int(differs.sum()))


def check_values(expected: Array, served: Array, *, tolerance: float = 1e-5) -> Parity:
    """Check the numbers that are served, (n,), against those expected.

    Each must lie within `tolerance` times max(1, |expected|). Raises `ParityError` naming the worst row.
    """
    expected, served = _comparable(expected, served, dimensions=1)
    differences = np.abs(expected - served) / np.maximum(1.0, np.abs(expected))
    _refuse_above(differences, tolerance, expected, served, "values")
    return Parity(len(expected), float(differences.max()), tolerance, 0)


def _comparable(expected: Array, served: Array, dimensions: int) -> tuple[Array, Array]:
    expected, served = np.asarray(expected, dtype=np.float64), np.asarray(served, dtype=np.float64)
    if expected.ndim != dimensions or expected.shape != served.shape:
        raise ParityError(f"expected the shape {expected.shape} ({dimensions} dimensions), served {served.shape}")
    if len(expected) == 0:
        raise ParityError("no rows were compared: parity needs at least one golden example")
    for side, numbers in (("expected", expected), ("served", served)):
        finite = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
        if not finite.all():
            worst = int(finite.argmin())
            raise ParityError(f"what is {side} is not finite; {_row(worst, expected, served)}")
    return expected, served


def _refuse_above(differences: Array, tolerance: float, expected: Array, served: Array, what: str) -> None:
    if differences.max() > tolerance:
        worst = int(differences.argmax())
        raise ParityError(
            f"{what} differ by {differences[worst]:.3g}, more than the tolerance {tolerance:g}, "
            f"in {int((differences > tolerance).sum())} of {len(expected)} rows; {_row(worst, expected, served)}"
        )


def _row(row: int, expected: Array, served: Array) -> str:
    return f"row {row} expected {expected[row].tolist()}, served {served[row].tolist()}"
