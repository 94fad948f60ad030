import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import norm

from mainspring.evaluation import sequential
from mainspring.evaluation.sequential import FEWEST, Moments, Share

LEVEL = 0.05
LOOKS = range(FEWEST, 3001, 20)


def ever_above_zero(stream: np.ndarray) -> bool:
    """Whether the mean of a stream was ever called positive, looking every 20 values."""
    return any(sequential.mean(Moments.of(stream[:n]), significance=LEVEL).low > 0 for n in LOOKS)


def ever_significant_by_the_ordinary_test(stream: np.ndarray) -> bool:
    """The same with the test that promises its level for one look."""
    means = [stream[:n].mean() / (stream[:n].std(ddof=1) / math.sqrt(n)) for n in LOOKS]
    return bool(np.any(np.array(means) > norm.ppf(1 - LEVEL)))


def ever_errs_more(champion: float, canary: float, limit: float, requests: int, random: np.random.Generator) -> bool:
    """Whether a canary with a tenth of the traffic was ever called worse, looking every 50 requests."""
    to_canary = random.random(requests) < 0.1
    failed = random.random(requests) < np.where(to_canary, canary, champion)
    for n in range(50, requests + 1, 50):
        here = to_canary[:n]
        one = Share(int(here.sum()), int(failed[:n][here].sum()))
        other = Share(n - one.count, int(failed[:n].sum()) - one.hits)
        if one.count and sequential.log_evidence(one, other, limit) > -math.log(LEVEL):
            return True
    return False


def most_by_chance(simulations: int) -> float:
    """A rate above this would show, at 0.1 %, that the level is not kept."""
    return LEVEL + norm.ppf(0.999) * math.sqrt(LEVEL * (1 - LEVEL) / simulations)


@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_a_mean_of_zero_is_rarely_called_positive_at_any_look(shape):
    random = np.random.default_rng(1)
    values = random.normal(size=(300, 3000)) if shape == "normal" else random.exponential(size=(300, 3000)) - 1
    assert np.mean([ever_above_zero(stream) for stream in values]) <= most_by_chance(300)


def test_the_ordinary_test_breaks_its_level_under_the_same_looks():
    values = np.random.default_rng(1).normal(size=(300, 3000))
    assert np.mean([ever_significant_by_the_ordinary_test(stream) for stream in values]) > 2 * most_by_chance(300)


def test_a_mean_above_zero_is_found():
    values = 0.2 + np.random.default_rng(2).normal(size=(50, 3000))
    assert all(ever_above_zero(stream) for stream in values)


def test_the_mean_of_two_groups_keeps_its_level_and_finds_a_difference():
    random = np.random.default_rng(3)

    def ever(shift: float) -> bool:
        champion, canary = random.normal(size=5400), shift + random.normal(size=600)
        looks = range(FEWEST, 601, 10)
        tallies = [(Moments.of(canary[:n]), Moments.of(champion[: 9 * n])) for n in looks]
        return any(sequential.difference(*pair, significance=LEVEL).low > 0 for pair in tallies)

    assert np.mean([ever(0.0) for _ in range(300)]) <= most_by_chance(300)
    assert np.mean([ever(0.3) for _ in range(50)]) > 0.9


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.2])
def test_equal_error_rates_are_rarely_called_worse_at_any_look(share):
    random = np.random.default_rng(4)
    found = [ever_errs_more(share, share, 0.0, 3000, random) for _ in range(100)]
    assert np.mean(found) <= LEVEL  # exact, and far from its limit


def test_a_rate_above_the_limit_is_found_and_one_below_it_is_not():
    random = np.random.default_rng(5)
    assert all(ever_errs_more(0.001, 0.05, 0.005, 6000, random) for _ in range(30))
    assert np.mean([ever_errs_more(0.01, 0.02, 0.01, 3000, random) for _ in range(100)]) <= LEVEL


def test_evidence_is_a_martingale_under_the_hypothesis():
    """Its mean over all outcomes, with the truth in the denominator, is exactly 1: the promise rests on that."""
    shares, counts = (0.03, 0.02), (7, 5)
    total = 0.0
    for hits in np.ndindex(counts[0] + 1, counts[1] + 1):
        chance, evidence = 1.0, 0.0
        for count, hit, share in zip(counts, hits, shares, strict=True):
            chance *= math.comb(count, hit) * share**hit * (1 - share) ** (count - hit)
            evidence += sequential._log_marginal(Share(count, hit))
            evidence -= sequential._log_likelihood(Share(count, hit), share)
        total += chance * math.exp(evidence)
    assert total == pytest.approx(1.0, rel=1e-12)


shares = st.integers(1, 5000).flatmap(lambda n: st.builds(Share, st.just(n), st.integers(0, n)))


@given(one=shares, other=shares, limit=st.floats(-0.5, 0.5))
def test_the_likeliest_shares_that_a_limit_allows_are_found(one, other, limit):
    """No pair of a grid on the hypothesis makes what was seen likelier than the pair that was taken."""
    a, b = sequential.PRIOR
    prior = sum(betaln(a + s.hits, b + s.count - s.hits) - betaln(a, b) for s in (one, other))
    taken = prior - sequential.log_evidence(one, other, limit)
    for share in np.linspace(max(0.0, -limit), min(1.0, 1 - limit), 51)[1:-1]:
        below = min(share + limit, one.value)
        for pair in ((share + limit, share), (below, max(share, other.value) if below == one.value else share)):
            if pair[0] - pair[1] > limit + 1e-12 or not all(0 < each < 1 for each in pair):
                continue
            found = sequential._log_likelihood(one, pair[0]) + sequential._log_likelihood(other, pair[1])
            assert found <= taken + 1e-6 * max(1.0, abs(taken))


@given(one=shares, other=shares)
def test_an_interval_of_shares_holds_its_estimate_and_turns_with_the_sides(one, other):
    found = sequential.difference_of_shares(one, other, significance=LEVEL)
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    turned = sequential.difference_of_shares(other, one, significance=LEVEL)
    assert turned.low == pytest.approx(-found.high, abs=1e-9)


def test_evidence_grows_with_what_is_seen_and_falls_with_what_is_let_pass():
    few, many = (sequential.log_evidence(Share(n, n // 10), Share(9 * n, 0), 0.005) for n in (100, 1000))
    assert few < many
    assert sequential.log_evidence(Share(1000, 100), Share(9000, 0), 0.05) < many


@pytest.mark.parametrize("values", [np.arange(FEWEST - 1.0), np.full(1000, 3.0), np.array([])])
def test_too_few_values_or_values_all_the_same_say_nothing(values):
    tally = Moments.of(values)
    found = sequential.mean(tally, significance=LEVEL)
    assert (found.low, found.high) == (-math.inf, math.inf)
    other = Moments.of(np.random.default_rng(0).normal(size=1000))
    assert sequential.difference(tally, other, significance=LEVEL).low == -math.inf
    assert sequential.difference(other, tally, significance=LEVEL).low == -math.inf


def test_no_requests_say_nothing_of_shares():
    found = sequential.difference_of_shares(Share(0, 0), Share(10, 0), significance=LEVEL)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_tallies_are_those_of_numpy_and_can_be_added():
    values = np.random.default_rng(0).normal(3, 2, size=500)
    whole = Moments.of(values)
    parts = Moments.of(values[:200]) + Moments.of(values[200:])
    for tally in (whole, parts):
        assert tally.count == 500
        assert tally.mean == pytest.approx(values.mean(), rel=1e-12)
        assert tally.variance == pytest.approx(values.var(ddof=1), rel=1e-12)
    assert math.isnan(Moments().mean)
    assert math.isnan(Moments.of(np.ones(1)).variance)


def test_blocks_are_averaged_and_without_them_correlated_rows_break_the_level():
    assert sequential.block_means(np.array([1.0, 3.0, 10.0]), np.array(["b", "b", "a"])).tolist() == [10.0, 2.0]
    random = np.random.default_rng(6)
    by_rows, by_blocks = [], []
    for _ in range(200):
        blocks = np.repeat(np.arange(600), 5)
        rows = random.normal(size=600)[blocks] + 0.3 * random.normal(size=3000)
        by_rows.append(ever_above_zero(rows))
        means = sequential.block_means(rows, blocks)
        looks = range(FEWEST, 601, 20)
        by_blocks.append(any(sequential.mean(Moments.of(means[:n]), significance=LEVEL).low > 0 for n in looks))
    assert np.mean(by_blocks) <= most_by_chance(200)
    assert np.mean(by_rows) > 2 * most_by_chance(200)
