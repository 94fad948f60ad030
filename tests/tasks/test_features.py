import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column
from mainspring.tasks.features import Featurizer, fit_transform
from mainspring.tasks.graph import GraphBuilder

from .tables import DAY, FEATURES, columns

YEAR_1, YEAR_9999 = -719_162 * DAY, 2_932_897 * DAY - 1
LEAP_DAYS = (951_782_400_000_000, -2_203_977_600_000_000, 4_107_456_000_000_000)  # 29 February 2000; around 1900, 2100
LIMIT = np.float32(1e30)


def by_nodes(featurizer: Featurizer, made: dict[str, np.ndarray], width: int) -> np.ndarray:
    """The matrix as ONNX Runtime makes it."""
    graph = GraphBuilder()
    graph.output(featurizer.add_to(graph), "matrix", "float", width)
    session = ort.InferenceSession(graph.build("features"), providers=["CPUExecutionProvider"])
    return session.run(["matrix"], {name: column.reshape(-1, 1) for name, column in made.items()})[0]


def assert_same_bits(served: np.ndarray, fitted: np.ndarray) -> None:
    assert served.dtype == fitted.dtype == np.float32
    assert served.shape == fitted.shape
    assert np.array_equal(served.view(np.int32), fitted.view(np.int32)), (served, fitted)


def fit(kind: str, fit_on: np.ndarray, target: np.ndarray | None = None, seed: int = 0):
    target = np.zeros((len(fit_on), 1)) if target is None else target
    return fit_transform({"c": fit_on}, (Column("c", kind),), target, seed=seed)


def check_both_sides(kind: str, fit_on: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Fit on one column, ask for another: NumPy and the nodes agree to the bit. Gives the matrix."""
    rising = np.arange(len(fit_on), dtype=np.float64)[:, None]
    featurizer, _ = fit(kind, fit_on, rising)
    matrix = featurizer.apply({"c": asked})
    assert np.isfinite(matrix).all()
    assert len(featurizer.sources) == matrix.shape[1]
    assert_same_bits(by_nodes(featurizer, {"c": asked}, matrix.shape[1]), matrix)
    return matrix


def column_of(values: st.SearchStrategy, dtype: type) -> st.SearchStrategy:
    return st.lists(values, min_size=1, max_size=12).map(lambda made: np.array(made, dtype=dtype))


NUMBERS = column_of(st.floats(allow_infinity=False), np.float64)
ASKED_NUMBERS = column_of(st.floats(), np.float64)
BOOLEANS = column_of(st.sampled_from([0.0, 1.0, np.nan]), np.float64)
TEXTS = column_of(
    st.one_of(st.sampled_from(["", "a", "b", " ", "A\0", "x" * 70_000, "Ünïcödé ✈"]), st.text(max_size=8)), object
)
PROSE = column_of(
    st.one_of(
        st.text(max_size=12), st.lists(st.sampled_from(["a", "A", "cat", "né", "É", "✈", "7", "-", "."])).map(" ".join)
    ),
    object,
)
TIMES = column_of(
    st.one_of(st.integers(YEAR_1, YEAR_9999), st.sampled_from([MISSING_TIME, YEAR_1, YEAR_9999, -1, 0, *LEAP_DAYS])),
    np.int64,
)


@given(NUMBERS, ASKED_NUMBERS)
@example(np.array([1.7e308, 1.6e308]), np.array([5e-324, -1e-40, -0.0, 1e300, np.inf, -np.inf, np.nan, 3.5e38]))
@settings(max_examples=60, deadline=None)
def test_numbers_are_the_same_bits(fit_on, asked):
    check_both_sides("number", fit_on, asked)


@given(BOOLEANS, BOOLEANS)
@settings(max_examples=20, deadline=None)
def test_booleans_are_the_same_bits(fit_on, asked):
    check_both_sides("boolean", fit_on, asked)


@given(TEXTS, TEXTS)
@example(np.array(["only"] * 3, object), np.array(["other", ""], object))
@settings(max_examples=60, deadline=None)
def test_few_categories_are_the_same_bits(fit_on, asked):
    assert set(np.unique(check_both_sides("category", fit_on, asked))) <= {0.0, 1.0}


@given(TEXTS, TEXTS)
@settings(max_examples=40, deadline=None)
def test_many_categories_are_the_same_bits(fit_on, asked):
    many = np.array([f"level {number}" for number in range(30)], object)
    matrix = check_both_sides("category", np.r_[fit_on, many, many, many], np.r_[asked, many])
    assert matrix.shape[1] == 2  # the mean of the target, and the share of the rows


@given(TIMES, TIMES)
@example(np.array([MISSING_TIME]), np.array([MISSING_TIME, YEAR_1, YEAR_9999, -1, *LEAP_DAYS]))
@settings(max_examples=60, deadline=None)
def test_times_are_the_same_bits(fit_on, asked):
    check_both_sides("time", fit_on, asked)


@given(PROSE, PROSE)
@example(
    np.array(["the cat", "the dog"] * 3, object), np.array(["THE\0cat", "", " ", "dog " * 5000, "x" * 70_000], object)
)
@example(np.array(["né É", "İ ı ẞ ß"] * 3, object), np.array(["NÉ né", "i̇ I ss", "cat\u00a0né", "\ufeffné ✈"], object))
@settings(max_examples=60, deadline=None)
def test_words_are_the_same_bits(fit_on, asked):
    check_both_sides("text", np.tile(fit_on, 3), asked)


def test_all_kinds_together_are_the_same_bits():
    made, asked = columns(300, seed=1), columns(200, seed=2)
    featurizer, matrix = fit_transform(made, FEATURES, np.arange(300.0)[:, None], seed=0)
    assert matrix.shape == (300, len(featurizer.sources))
    assert set(featurizer.sources) == {column.name for column in FEATURES}
    assert_same_bits(by_nodes(featurizer, asked, matrix.shape[1]), featurizer.apply(asked))


def test_the_comparison_of_bits_can_fail():
    featurizer, matrix = fit("number", np.array([1.0, 2.0]))
    served = by_nodes(featurizer, {"c": np.array([1.0, np.nextafter(np.float32(2), np.float32(3))])}, 1)
    with pytest.raises(AssertionError):
        assert_same_bits(served, matrix)
    with pytest.raises(AssertionError):
        assert_same_bits(np.float32([[-0.0]]), np.float32([[0.0]]))


def test_a_missing_number_is_the_median_and_says_so():
    featurizer, matrix = fit("number", np.array([1.0, np.nan, 5.0, 3.0]))
    assert matrix.tolist() == [[1, 0], [3, 1], [5, 0], [3, 0]]
    without_holes, matrix = fit("number", np.array([1.0, 5.0, 3.0]))
    assert matrix.shape == (3, 1)
    assert without_holes.apply({"c": np.array([np.nan])}).tolist() == [[3]]
    assert featurizer.sources == ["c", "c"]


def test_numbers_out_of_reach_are_clipped_and_others_are_not():
    featurizer, _ = fit("number", np.array([1.0, 2.0]))
    asked = np.array([1e300, -1e300, np.inf, 3.5e38, 9e29])
    expected = [LIMIT, -LIMIT, LIMIT, LIMIT, np.float32(9e29)]
    assert featurizer.apply({"c": asked})[:, 0].tolist() == [float(number) for number in expected]


@pytest.mark.parametrize(("kind", "hole"), [("number", np.nan), ("boolean", np.nan), ("time", MISSING_TIME)])
def test_a_column_without_a_value_still_has_a_matrix(kind, hole):
    nothing = np.array([hole] * 4)
    matrix = check_both_sides(kind, nothing, nothing)
    assert (matrix == matrix[0]).all()


def test_categories_without_a_value_or_with_one():
    assert check_both_sides("category", np.array([""] * 3, object), np.array(["", "a"], object)).tolist() == [[1], [0]]
    assert check_both_sides("category", np.array(["a"] * 3, object), np.array(["a", ""], object)).tolist() == [[1], [0]]


def test_a_column_whose_every_level_is_rare_still_has_a_graph():
    different = np.array([f"name {number}" for number in range(50)], object)
    assert not check_both_sides("category", different, different).any()


def test_a_rare_level_counts_as_unseen():
    values = np.array(["a"] * 3000 + ["b"] * 2000 + ["three"] * 3 + ["six"] * 6, object)
    asked = np.array(["a", "b", "three", "six", "unseen", ""], object)
    matrix = check_both_sides("category", values, asked)  # rare: fewer than 0.1 % of the rows, here 5
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_missing_is_never_rare():
    values = np.array(["a"] * 3000 + ["b"] * 2000 + [""], object)
    matrix = check_both_sides("category", values, np.array(["", "unseen"], object))
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0]]


def test_times_of_a_day_week_and_year():
    thursday_noon = 12 * DAY // 24
    friday_1969 = -6 * DAY
    asked = np.array([thursday_noon, friday_1969, 182 * DAY])
    matrix = check_both_sides("time", np.array([0, 731 * DAY]), asked)
    hours, year, july, weekdays = matrix[:, 0], matrix[:, 1], matrix[:, 2], matrix[:, 3:].argmax(axis=1)
    assert hours.tolist() == [12, 0, 0]
    assert weekdays.tolist() == [3, 4, 3]  # Monday is 0
    assert year == pytest.approx([0.5 / 365.2425, 1 - 6 / 365.2425, 182 / 365.2425], abs=1e-6)
    assert july == pytest.approx(np.abs(year - 0.5), abs=1e-6)
    # In less than two years the place in the year is but another name for the date.
    assert np.array_equal(check_both_sides("time", np.array([0, 700 * DAY]), asked), np.delete(matrix, [1, 2], axis=1))


def test_the_whole_calendar_has_the_right_weekday():
    days = np.random.default_rng(0).integers(-719_162, 2_932_896, size=500)
    matrix = check_both_sides("time", np.array([0]), days * DAY)
    expected = [day.astype(object).weekday() for day in days.astype("datetime64[D]")]
    assert matrix[:, 1:].argmax(axis=1).tolist() == expected
    assert (matrix[:, 1:].sum(axis=1) == 1).all()


def test_words_are_counted_whatever_their_case():
    fit_on = np.array(["the cat sat", "the dog sat, twice: sat!", "the bird", "a bird", "the bee"] * 2, object)
    asked = np.array(["Sat sat SAT. bird", "the cats satin", ""], object)
    featurizer, matrix = fit("text", fit_on)
    assert featurizer.blocks[0].vocabulary == ("bird", "sat", "the")  # three rows at least, and not nearly all
    assert featurizer.apply({"c": asked}).tolist() == [[1, 3, 0], [0, 0, 1], [0, 0, 0]]
    assert matrix[1].tolist() == [0, 2, 1]


def test_text_without_a_usual_word_still_has_a_graph():
    different = np.array([f"word{number}" for number in range(20)], object)
    assert not check_both_sides("text", different, different).any()


# Means of the target: no row may see its own -------------------------------------------------------------------------


def noise(rows: int = 2000, levels: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """A column of many categories, and a target that has nothing to do with it."""
    draw = np.random.default_rng(3)
    names = np.array([f"n{number}" for number in draw.integers(levels, size=rows)], object)
    return names, draw.integers(2, size=rows).astype(np.float64)[:, None]


def test_a_meaningless_column_does_not_look_predictive_while_fitting():
    names, target = noise()
    featurizer, matrix = fit("category", names, target)
    assert abs(roc_auc_score(target[:, 0], matrix[:, 0]) - 0.5) < 0.04
    naive = featurizer.apply({"c": names})
    assert roc_auc_score(target[:, 0], naive[:, 0]) > 0.65  # what each row would have learnt from its own target


def test_a_row_is_encoded_without_its_own_target():
    names, target = noise(rows=600, levels=60)
    featurizer, before = fit("category", names, target)
    turned = target.copy()
    turned[17] = 1 - turned[17]
    featurizer_turned, after = fit("category", names, turned)
    assert (after[17] == before[17]).all()
    assert (after != before).any()  # but others, of other folds, do see it
    row = {"c": names[17:18]}
    assert (featurizer.apply(row) != featurizer_turned.apply(row)).any()


def test_a_telling_column_stays_predictive():
    names = np.array([f"n{row % 250}" for row in range(2000)], object)
    target = (np.arange(2000) % 2 == 0).astype(np.float64)[:, None]
    featurizer, matrix = fit("category", names, target)
    assert roc_auc_score(target[:, 0], matrix[:, 0]) > 0.99
    means = featurizer.apply({"c": np.array(["n2", "n3", "unseen"], object)})[:, 0]
    assert means[0] > means[2] > means[1]
    assert means[2] == pytest.approx(target.mean(), abs=1e-6)  # nothing is known of it: the overall mean


def test_means_are_smoothed_towards_the_overall_mean():
    names = np.array(["often"] * 400 + ["seldom"] * 10 + [f"n{i % 30}" for i in range(590)], object)
    target = np.r_[np.ones(410), np.zeros(590)][:, None]
    featurizer, _ = fit("category", names, target)
    often, seldom = featurizer.apply({"c": np.array(["often", "seldom"], object)})
    assert often == pytest.approx([(400 + 20 * 0.41) / 420, 0.4], abs=1e-6)
    assert seldom == pytest.approx([(10 + 20 * 0.41) / 30, 0.01], abs=1e-6)


def test_one_mean_for_each_class_but_the_first():
    names, _ = noise(rows=300, levels=40)
    featurizer, matrix = fit("category", names, np.eye(3)[np.arange(300) % 3][:, 1:])
    assert matrix.shape == (300, 3)
    assert_same_bits(by_nodes(featurizer, {"c": names}, 3), featurizer.apply({"c": names}))


def test_folds_follow_the_seed():
    names, target = noise(rows=300, levels=40)
    assert (fit("category", names, target, seed=1)[1] == fit("category", names, target, seed=1)[1]).all()
    assert (fit("category", names, target, seed=1)[1] != fit("category", names, target, seed=2)[1]).any()


def test_missing_text_is_a_level_of_its_own_among_many():
    names, target = noise(rows=300, levels=40)
    names[:60], target[:60] = MISSING_TEXT, 1.0
    featurizer, _ = fit("category", names, target)
    missing, unseen = featurizer.apply({"c": np.array([MISSING_TEXT, "unseen"], object)})
    assert missing[0] > unseen[0]
