import json
import subprocess
import sys

import numpy as np
import pytest

from mainspring.errors import ParityError
from mainspring.evaluation.parity import check_probabilities, check_values

EXPECTED = np.array([[0.9, 0.1], [0.2, 0.8], [0.500002, 0.499998]])


def test_float32_passes():
    found = check_probabilities(EXPECTED, EXPECTED.astype(np.float32))
    assert found.rows == 3
    assert 0 < found.max_difference < 1e-7
    assert set(json.loads(json.dumps(found.as_dict()))) == {"rows", "max_difference", "tolerance", "disagreements"}


def test_a_probability_that_is_off_fails_and_names_the_worst_row():
    served = EXPECTED + np.array([[2e-5, -2e-5], [-3e-5, 3e-5], [0, 0]])
    with pytest.raises(ParityError, match=r"in 2 of 3 rows; row 1 expected \[0.2, 0.8\], served \[0.19"):
        check_probabilities(EXPECTED, served)
    assert check_probabilities(EXPECTED, served, tolerance=1e-4).max_difference == pytest.approx(3e-5)


def test_a_class_may_differ_only_where_it_is_too_close_to_call():
    turned = EXPECTED.copy()
    turned[2] = turned[2, ::-1]
    assert check_probabilities(EXPECTED, turned).disagreements == 1
    clear = np.array([[0.5 + 6e-6, 0.5 - 6e-6]])  # apart by 1.2e-5, each within 1e-5 of a half
    with pytest.raises(ParityError, match="another class"):
        check_probabilities(clear, np.array([[0.5 - 1e-6, 0.5 + 1e-6]]))


def test_a_threshold_decides_between_two_classes():
    below = np.array([[0.7 + 4e-6, 0.3 - 4e-6]])
    above = np.array([[0.7 - 4e-6, 0.3 + 4e-6]])
    assert check_probabilities(below, above, threshold=0.3).disagreements == 1
    assert check_probabilities(below, above, threshold=0.5).disagreements == 0
    assert check_probabilities(below, above).disagreements == 0


def test_values_are_relative_to_their_size_but_not_near_zero():
    expected = np.array([1e6, 1e-9])
    assert check_values(expected, expected + np.array([5, 5e-6])).max_difference == pytest.approx(5e-6)
    with pytest.raises(ParityError, match=r"row 0 expected 1000000\.0, served 1000020\.0"):
        check_values(expected, expected + np.array([20, 0]))
    with pytest.raises(ParityError, match="row 1"):
        check_values(expected, expected + np.array([0, 2e-5]))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["expected", "served"])
def test_what_is_not_finite_fails_even_on_both_sides(number, side):
    good, bad = np.array([1.0, 2.0]), np.array([1.0, number])
    expected, served = (bad, good) if side == "expected" else (good, bad)
    with pytest.raises(ParityError, match=f"what is {side} is not finite; row 1"):
        check_values(expected, served)
    with pytest.raises(ParityError, match="not finite"):
        check_values(bad, bad)
    with pytest.raises(ParityError, match="not finite"):
        check_probabilities(np.array([[number, 0.5]]), np.array([[number, 0.5]]))


@pytest.mark.parametrize(
    ("expected", "served"),
    [(np.ones(3), np.ones(4)), (np.ones((3, 2)), np.ones(3)), (np.ones(0), np.ones(0))],
)
def test_what_cannot_be_compared_fails(expected, served):
    with pytest.raises(ParityError, match=r"shape|no rows"):
        check_values(expected, served)


def test_the_gateway_gets_numpy_and_nothing_heavier():
    program = "import sys, mainspring.evaluation.parity; print({'scipy', 'sklearn'} & set(sys.modules) or 'light')"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "light"
