import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, norm, wasserstein_distance

from mainspring.monitoring.drift import counter, examine_column, jensen_shannon, psi
from mainspring.monitoring.profiles import describe
from mainspring.monitoring.tallies import watched
from mainspring.schema import MISSING_TIME

random = np.random.default_rng(0)
MANY = 40_000


def found(before, after, kind="number", subject="feature"):
    count = counter(describe(before), kind)
    count.add(after)
    findings = examine_column("x", count.tally, describe(before), kind, subject, matters=0.5)
    return {finding.subject: finding for finding in findings}


def distance(before, now):
    """The Jensen-Shannon distance of two shares, as SciPy has it."""
    return jensenshannon([before, 1 - before], [now, 1 - now], base=2)


def texts(*counts):
    return np.array([value for value, count in counts for _ in range(count)], dtype=object)


def normal(mean, deviation):
    """A normal distribution itself, not a draw from it."""
    return norm.ppf((np.arange(MANY) + 0.5) / MANY, mean, deviation)


def share(of_a):
    return texts(("a", round(of_a * MANY)), ("b", round((1 - of_a) * MANY)))


def hole(missing):
    return np.where(np.arange(MANY) < missing * MANY, np.nan, 1.0)


# Numbers


@pytest.mark.parametrize(
    "draw",
    [
        lambda shift, n: random.normal(shift, 1, n),
        lambda shift, n: random.lognormal(shift, 1, n),
        lambda shift, n: np.where(random.random(n) < 0.6 - shift / 3, 0.0, random.gamma(1, 1, n)),
        lambda shift, n: random.poisson(2 + shift, n).astype(np.float64),
    ],
    ids=["normal", "skewed", "atom", "whole numbers"],
)
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_distance_is_that_of_kolmogorov_and_smirnov(draw, shift):
    before, after = draw(0.0, 5000), draw(shift, 2000)
    finding, exact = found(before, after)["feature"], ks_2samp(before, after, method="asymp")
    assert exact.statistic - 0.005 <= finding.effect <= exact.statistic + 1e-12
    assert finding.test == "Kolmogorov-Smirnov"
    assert finding.rows == 2000
    if shift:
        assert finding.p_value < 1e-9
        assert finding.detail["direction"] == 1
    else:
        assert finding.p_value > 0.01
        assert finding.p_value >= exact.pvalue * 0.5
    area = wasserstein_distance(before, after) / before.std()
    assert finding.detail["wasserstein"] == pytest.approx(area, abs=0.02, rel=0.2)


def test_an_atom_is_not_taken_for_its_neighbours():
    before = np.repeat([0.0, 1.0], 500)
    assert found(before, np.repeat([0.0, 1.0], 300))["feature"].effect == 0
    assert found(before, np.repeat([1e-9, 1.0], 300))["feature"].effect == pytest.approx(0.5)  # no longer 0
    assert found(np.zeros(500), np.zeros(300))["feature"].p_value == 1
    assert found(np.zeros(500), np.full(300, -1.0))["feature"].effect == 1


def test_a_wider_spread_has_no_direction():
    before = random.normal(0, 1, 4000)
    finding = found(before, random.normal(0, 3, 2000))["feature"]
    assert finding.effect > 0.2
    assert "direction" not in finding.detail
    assert finding.was.startswith("standard deviation 0.9") or finding.was.startswith("standard deviation 1.0")
    assert finding.now.startswith("standard deviation ")
    assert found(before, random.normal(-1, 1, 2000))["feature"].detail["direction"] == -1


def test_it_says_how_it_was_and_is():
    before = np.array([38.1, 39.1, 40.1] * 100)
    finding = found(before, before + 39.3)["feature"]
    assert (finding.was, finding.now) == ("mean 39.10", "mean 78.40")
    assert finding.detail["mean"] == pytest.approx(78.4)
    assert finding.matters == 0.5


def test_numbers_out_of_range():
    before = random.uniform(0, 1, 1000)
    quiet, loud = (
        found(before, random.uniform(0, 1, 1000))["range"],
        found(before, random.uniform(0, 1.3, 1000))["range"],
    )
    assert quiet.effect < 0.03
    assert quiet.p_value > 0.01
    assert loud.effect == pytest.approx(distance(0, 0.23), abs=0.03)
    assert loud.p_value < 1e-12


def test_numbers_near_the_greatest_float_do_no_harm():
    greatest = np.finfo(np.float64).max
    before = np.array([-greatest, 0.0, greatest] * 100)
    assert found(before, before)["feature"].effect == 0
    assert found(before, np.array([greatest, np.inf] * 100))["feature"].effect == pytest.approx(2 / 3)


@given(
    st.lists(st.floats(allow_infinity=False, width=32), min_size=1, max_size=60),
    st.lists(st.floats(allow_infinity=False, width=32), min_size=1, max_size=60),
)
@settings(max_examples=100, deadline=None)
def test_any_numbers(before, after):
    for finding in found(np.array(before), np.array(after)).values():
        assert 0 <= finding.effect <= 1
        assert 0 <= finding.p_value <= 1


# Times and texts


def test_a_time_is_watched_as_its_hour():
    hour = 3_600_000_000
    times = np.array([0, 25 * hour, -hour, MISSING_TIME])
    np.testing.assert_array_equal(watched(times, "time"), [0.0, 1.0, 23.0, np.nan])
    days = 24 * hour * np.arange(400)
    night, noon = days + random.integers(0, 3 * hour, 400), days + 12 * hour
    assert found(watched(night, "time"), watched(night + 9000 * 24 * hour, "time"), "time")["feature"].effect == 0
    moved = found(watched(night, "time"), watched(noon, "time"), "time")
    assert moved["feature"].effect == 1
    assert moved["feature"].now == "mean hour 12.00"
    assert "range" not in moved  # there is no hour past the 24th


def test_a_text_is_watched_as_its_length():
    np.testing.assert_array_equal(watched(np.array(["abc", ""], object), "text"), [3.0, np.nan])


# Categories


def test_the_p_value_is_that_of_the_chi_squared_test():
    before, after = texts(("a", 500), ("b", 300), ("c", 200)), texts(("a", 130), ("b", 40), ("c", 30))
    finding = found(before, after, "category")["feature"]
    exact = chi2_contingency([[500, 300, 200], [130, 40, 30]])
    assert finding.p_value == pytest.approx(exact.pvalue, rel=1e-9)
    assert finding.detail["degrees_of_freedom"] == 2
    assert (finding.was, finding.now) == ("a 50 %", "a 65 %")


def test_rare_categories_are_pooled():
    rare = [(f"r{number}", 1) for number in range(50)]
    finding = found(texts(("a", 900), *rare), texts(("a", 450), *rare[:25]), "category")["feature"]
    assert finding.detail["degrees_of_freedom"] == 1
    assert finding.p_value > 0.9


def test_booleans_have_two_values():
    finding = found(
        watched(np.array([1.0, 0.0] * 200), "boolean"), watched(np.array([1.0] * 300), "boolean"), "boolean"
    )
    assert list(finding) == ["feature"]
    assert (finding["feature"].was, finding["feature"].now) == ("true 50 %", "true 100 %")
    assert finding["feature"].effect == pytest.approx(0.56, abs=0.01)


def test_the_distance_is_no_larger_than_chance_where_nothing_moved():
    """200 categories in 2,000 rows: without the correction the distance would be above 0.1 each time."""
    shares = 1 / np.arange(1, 201)
    shares /= shares.sum()
    draws = [jensen_shannon(random.multinomial(50_000, shares), random.multinomial(2000, shares)) for _ in range(50)]
    assert max(draws) < 0.1
    assert np.mean(np.square(draws)) < 0.002
    moved = np.roll(shares, 3)
    assert jensen_shannon(random.multinomial(50_000, shares), random.multinomial(2000, moved)) > 0.3


@pytest.mark.parametrize("rows", [30, 200, 2000])
@pytest.mark.parametrize("categories", [2, 10, 200])
def test_what_chance_gives_is_subtracted_on_average(rows, categories):
    shares = random.dirichlet(np.ones(categories))
    draws = []
    for _ in range(300):
        before, after = random.multinomial(20_000, shares), random.multinomial(rows, shares)
        p, q = before / 20_000, after / rows
        middle = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.nan_to_num(p * np.log2(p / middle)) + np.nan_to_num(q * np.log2(q / middle))
        draws.append((each.sum() / 2, jensen_shannon(before, after) ** 2))
    raw, corrected = np.transpose(draws)
    assert corrected.mean() < 0.6 * raw.mean()  # not 0: what is below 0 by chance counts as 0,
    assert 0.3 < (corrected == 0).mean() < 0.8  # and about half of the draws are


def test_the_distance_has_its_ends():
    assert jensen_shannon(np.array([100, 0]), np.array([0, 100])) == pytest.approx(1)
    assert jensen_shannon(np.array([100, 100]), np.array([100, 100])) == 0
    assert jensen_shannon(np.array([100]), np.array([50])) == 0


def test_unseen_categories():
    before = texts(("a", 500), ("b", 499), ("once", 1))
    quiet = found(before, texts(("a", 500), ("b", 499), ("new", 1)), "category")["unseen"]
    assert quiet.effect == pytest.approx(0)
    assert quiet.p_value > 0.05
    loud = found(before, texts(("a", 400), ("new", 100)), "category")["unseen"]
    assert loud.effect == pytest.approx(distance(0.001, 0.2), abs=0.003)
    assert loud.p_value < 1e-12
    assert (loud.was, loud.now) == ("0.1 %", "20 %")


# Missing values


def test_missing_more_and_less_often():
    some = np.where(np.arange(1000) % 20 == 0, np.nan, 1.0)
    more, less = np.where(np.arange(1000) % 5 == 0, np.nan, 1.0), np.ones(1000)
    for after, share, direction in ((more, 0.2, 1), (less, 0.0, -1)):
        finding = found(some, after)["missing"]
        assert finding.effect == pytest.approx(distance(0.05, share), abs=0.005)
        assert finding.p_value < 1e-9
        assert finding.detail["direction"] == direction
    assert found(some, some)["missing"].p_value == pytest.approx(1)
    assert "missing" not in found(less, less)


def test_all_missing_has_no_distribution():
    none, some = np.full(300, np.nan), np.ones(300)
    assert list(found(some, none)) == list(found(none, some)) == ["missing"]
    assert found(some, none)["missing"].effect == found(none, some)["missing"].effect == 1
    assert found(none, none)["missing"].p_value == 1


def test_outputs_have_a_distribution_only():
    assert list(found(np.array([1.0, np.nan] * 100), np.arange(100.0), subject="prediction")) == ["prediction"]


# Both scales


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (normal(0, 1), normal(0.1254, 1), "number"),
        (normal(0, 1), normal(0, 1.23), "number"),
        (share(0.5), share(0.5588), "category"),
        (share(0.2), share(0.2491), "category"),
        (share(0.05), share(0.0788), "category"),
        (share(0.0), share(0.005), "category"),
        (hole(0.05), hole(0.0788), "missing"),
        (hole(0.0), hole(0.005), "missing"),
    ],
)
def test_what_an_effect_of_a_twentieth_is(before, after, kind):
    """As the module's docstring and the guide say."""
    found_now = found(before, after, "category" if kind == "category" else "number")
    assert found_now["missing" if kind == "missing" else "feature"].effect == pytest.approx(0.05, abs=0.0015)


def test_psi_is_the_sum_over_cells():
    before, after = np.array([50, 50]), np.array([80, 20])
    assert psi(before, after) == pytest.approx(0.3 * np.log(1.6) - 0.3 * np.log(0.4))
    assert psi(before, before) == 0
    assert np.isfinite(psi(np.array([100, 0]), np.array([0, 100])))


def test_very_many_values_are_not_chosen_by_chance():
    """400 values that come alike: the 200 kept would otherwise seem to have become rare."""

    def draw(n):
        return np.array([f"v{number}" for number in random.integers(0, 400, n)], dtype=object)

    for finding in found(draw(4000), draw(2000), "category").values():
        assert finding.effect < 0.1
        assert finding.p_value > 0.001
