import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from mainspring.tasks.model import Calibration, decide


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def drawn(classes: int, rows: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and classes drawn with just these."""
    draw = np.random.default_rng(seed)
    probabilities = softmax(draw.normal(0, 1.5, size=(rows, classes)))
    return probabilities, (probabilities.cumsum(axis=1) < draw.random((rows, 1))).sum(axis=1)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_right_probabilities_are_left_alone(classes):
    probabilities, truth = drawn(classes)
    found = Calibration.fit(probabilities, truth)
    assert found.slope == pytest.approx(1, abs=0.03)
    assert found.shift == pytest.approx(0, abs=0.08)
    assert found.apply(probabilities) == pytest.approx(probabilities, abs=0.02)


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("sharpness", [0.3, 2.5])
def test_wrong_probabilities_are_mended(classes, sharpness):
    right, truth = drawn(classes)
    shift = np.linspace(0, 1.5, classes)
    wrong = softmax(sharpness * np.log(right) + shift)
    found = Calibration.fit(wrong, truth)
    assert found.slope == pytest.approx(1 / sharpness, rel=0.05)
    assert found.shift == pytest.approx(-shift / sharpness, abs=0.15 / min(1.0, sharpness))
    mended = found.apply(wrong)
    assert log_loss(mended, truth) < log_loss(wrong, truth) - 0.02
    assert log_loss(mended, truth) == pytest.approx(log_loss(right, truth), abs=1e-3)
    assert mended.sum(axis=1) == pytest.approx(1, abs=1e-12)


def test_two_classes_are_platts_scaling():
    right, truth = drawn(2, rows=3000)
    wrong = softmax(2 * np.log(right) + [0, 0.7])
    log_odds = np.log(wrong[:, 1] / wrong[:, 0])[:, None]
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds, truth)
    found = Calibration.fit(wrong, truth)
    assert found.slope == pytest.approx(reference.coef_[0, 0], abs=1e-3)
    assert found.shift[1] == pytest.approx(reference.intercept_[0], abs=1e-3)
    assert found.apply(wrong) == pytest.approx(reference.predict_proba(log_odds), abs=1e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_least_loss_is_found(classes):
    """Were the gradient wrong, a search that uses none would get lower."""
    right, truth = drawn(classes, rows=1000)
    wrong = softmax(1.8 * np.log(right) + np.linspace(0, -1, classes))

    def loss(parameters: np.ndarray) -> float:
        return log_loss(Calibration(float(np.exp(parameters[0])), np.r_[0, parameters[1:]]).apply(wrong), truth)

    found = Calibration.fit(wrong, truth)
    at = np.r_[np.log(found.slope), found.shift[1:]]
    better = minimize(loss, at, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000})
    assert loss(at) - better.fun < 1e-6
    assert loss(at + 0.1) - better.fun > 1e-4  # the check can fail


def test_a_class_that_never_came_true_stays_finite():
    probabilities, truth = drawn(3, rows=2000)
    probabilities, truth = probabilities[truth != 2], truth[truth != 2]
    found = Calibration.fit(probabilities, truth)
    assert np.isfinite(found.shift).all()
    assert np.abs(found.shift).max() < 50
    mended = found.apply(probabilities)
    assert np.isfinite(mended).all()
    assert mended[:, 2].max() < 0.01
    assert log_loss(mended, truth) < log_loss(probabilities, truth)


@pytest.mark.parametrize("right", [True, False])
def test_certain_probabilities_stay_finite(right):
    truth = np.arange(200) % 2
    certain = np.eye(2)[truth if right else 1 - truth]
    found = Calibration.fit(certain, truth)
    mended = found.apply(certain)
    assert np.isfinite(mended).all()
    assert log_loss(mended, truth) < np.log(2) + 1e-4  # at worst it says nothing
    assert (mended[:, 1] > 0.5).tolist() == truth.astype(bool).tolist() or not right


def test_the_order_of_rows_is_kept():
    probabilities, truth = drawn(2, rows=500)
    skewed = softmax(3 * np.log(probabilities) + [0, 1])
    mended = Calibration.fit(skewed, truth).apply(skewed)
    assert (np.argsort(mended[:, 1], kind="stable") == np.argsort(skewed[:, 1], kind="stable")).all()


def test_the_threshold_itself_is_the_second_class():
    probabilities = np.array([[0.7, 0.3], [0.7 + 1e-12, 0.3 - 1e-12], [0.1, 0.9]])
    assert decide(probabilities, 0.3).values.tolist() == [1, 0, 1]
    assert decide(probabilities, None).values.tolist() == [0, 0, 1]
    assert decide(np.array([[0.5, 0.5], [0.2, 0.8]]), None).values.tolist() == [0, 1]
