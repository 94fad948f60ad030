"""Comparisons that may be looked at any time: after every request, for as long as one likes.

An ordinary test promises its level for one look at one number of rows. Looked at again and again until it says yes, it
does say yes in the end, whatever is true. What is here is *anytime-valid*: with probability 1 - `significance` an end
of an interval is never on the wrong side of the truth, at no look at all. So traffic can be stopped at the first look
that shows harm. Everything is computed from tallies (how many, the sum, the sum of squares), never from rows.

Means, `mean` and `difference`: asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas,
"Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024), one-sided. Their
promise is the central limit theorem's, made for all times at once: it needs a number to begin with, `FEWEST`, before
which nothing is said, and values that are (nearly) independent. Rows of one request are not, nor are rows near in
time: tally one value for each block of them (`block_means`). As with any test of means, the promise does not hold
where the mean is made by values too rare to be seen among the first: one in a hundred, far below the others.

Shares, `difference_of_shares`: errors are rare, and a normal approximation fails just there. So this one is exact, for
any number of requests: universal inference (Wasserman, Ramdas, Balakrishnan, PNAS 2020) for two binomial shares.
Against each pair of true shares, the mean likelihood under a prior over the likelihood under that pair is a
martingale that begins at 1, so by Ville's inequality it ever reaches 1 / significance with a probability of at most
`significance`. Dividing by the greatest likelihood that a hypothesis allows can only make it less. It is exact whatever
the prior; ours, that errors are rare, only decides where little evidence suffices. The order of the requests and the
split between the two do not matter, as long as the split does not depend on the outcomes.

>>> canary, champion = Share(300, 15), Share(2700, 3)
>>> found = difference_of_shares(canary, champion, significance=0.05)
>>> print(f"{found.value:.3f}, at least {found.low:.3f}")
0.049, at least 0.014
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# With fewer, skewed values break the promise by more than a little: benchmarks/sequential.py.
FEWEST = 200
# The number of values for which the sequences of means are tuned to be shortest. They hold at every other as well.
TUNED_FOR = 1000
# Beta(1/2, 10): most of the prior's weight is on a few per cent of errors, with a long tail.
PRIOR = (0.5, 10.0)
_HALVINGS = 20  # the ends of an interval to a few millionths, on the careful side
_FINE_HALVINGS = 32


@dataclass(frozen=True)
class Moments:
    """The tally of some values: how many, their sum, and the sum of their squares. Tallies can be added."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """The tally of (n,) finite numbers."""
        return cls(len(values), float(np.sum(values)), float(np.sum(np.square(values))))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """NaN if there are no values."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """Of a value, with n - 1; NaN for fewer than two."""
        if self.count < 2:
            return math.nan
        return max(0.0, self.squares - self.total * self.mean) / (self.count - 1)


@dataclass(frozen=True)
class Share:
    """`hits` of `count` requests, such as those that failed."""

    count: int
    hits: int

    @property
    def value(self) -> float:
        """NaN if there are no requests."""
        return self.hits / self.count if self.count else math.nan


@dataclass(frozen=True)
class Interval:
    """An estimate and its two ends: each holds at all looks at once, at the significance it was made with.

    Both together hold at twice that. An end of which nothing can be said is infinite.
    """

    value: float
    low: float
    high: float


def block_means(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(n,) values and the block of each, as any codes → the mean of each block, in the order of the codes."""
    _, codes = np.unique(blocks, return_inverse=True)
    return np.bincount(codes, values) / np.bincount(codes)


def mean(values: Moments, *, significance: float) -> Interval:
    """The mean of a stream of values, such as the differences of two models' losses on the same rows."""
    if values.count < FEWEST or not values.variance:  # values that are all the same do not tell how they vary
        return Interval(values.mean, -math.inf, math.inf)
    return _around(values.mean, values.variance, values.count, significance)


def difference(one: Moments, other: Moments, *, significance: float) -> Interval:
    """The mean of `one` less that of `other`, two independent groups of a stream, such as a canary and a champion.

    Taken as the mean of one stream, of which each value tells of one group (weighted by how rare its group is): this
    is where the variance times the number of all comes from.
    """
    value = one.mean - other.mean
    if min(one.count, other.count) < FEWEST or not (one.variance and other.variance):
        return Interval(value, -math.inf, math.inf)
    count = one.count + other.count
    variance = one.variance / one.count + other.variance / other.count
    return _around(value, count * variance, count, significance)


def _around(value: float, variance: float, count: int, significance: float) -> Interval:
    """The estimate, less and plus what a sum of `count` normal values strays to one side at any time.

    From the mixture of the normal's likelihood ratios over half-normal alternatives (Robbins 1970); `rate` is the
    mixture's variance in units of the values'.
    """
    two_sided = -2 * math.log(2 * significance)
    rate = (two_sided + math.log(two_sided + 1)) / TUNED_FOR
    grown = count * rate + 1
    radius = math.sqrt(2 * variance * grown / (count**2 * rate) * math.log1p(math.sqrt(grown) / (2 * significance)))
    return Interval(value, value - radius, value + radius)


def difference_of_shares(one: Share, other: Share, *, significance: float) -> Interval:
    """The share of `one` less that of `other`: those differences against which there is too little evidence."""
    if not (one.count and other.count):
        return Interval(math.nan, -math.inf, math.inf)
    value = one.value - other.value
    enough = -math.log(significance)

    def is_too_low(limit: float) -> bool:
        return log_evidence(one, other, limit) > enough

    def is_too_high(limit: float) -> bool:
        return log_evidence(other, one, -limit) > enough

    return Interval(value, _edge(is_too_low, -1.0, value, _HALVINGS), _edge(is_too_high, 1.0, value, _HALVINGS))


def log_evidence(one: Share, other: Share, limit: float) -> float:
    """Log of the evidence that the share of `one` exceeds that of `other` by more than `limit` (-1 to 1).

    It ever exceeds -log(significance), where that is not so, with a probability of at most `significance`.
    """
    prior = _log_marginal(one) + _log_marginal(other)
    if one.value - other.value <= limit:  # allowed as it is: the shares that were seen are the likeliest
        return prior - _log_likelihood(one, one.value) - _log_likelihood(other, other.value)
    # The likelihood is concave in both shares, so that its greatest allowed value is on the edge of what is allowed.
    share = _likeliest(one, other, limit)
    return prior - _log_likelihood(one, share + limit) - _log_likelihood(other, share)


def _log_marginal(seen: Share) -> float:
    """The mean likelihood under the prior: a ratio of beta functions."""
    hits, misses = PRIOR
    return _log_beta(hits + seen.hits, misses + seen.count - seen.hits) - _log_beta(hits, misses)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(seen: Share, share: float) -> float:
    return _times_log(seen.hits, share) + _times_log(seen.count - seen.hits, 1 - share)


def _times_log(count: int, share: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _likeliest(one: Share, other: Share, limit: float) -> float:
    """The share of `other` that is likeliest where that of `one` is greater by `limit`: where the slope is 0."""

    def slope(share: float) -> float:
        return _slope(one, share + limit) + _slope(other, share)

    return _edge(lambda share: slope(share) > 0, max(0.0, -limit), min(1.0, 1 - limit), _FINE_HALVINGS)


def _slope(seen: Share, share: float) -> float:
    """The derivative of the log-likelihood by the share."""
    up = seen.hits / max(share, 1e-300) if seen.hits else 0.0
    misses = seen.count - seen.hits
    return up - (misses / max(1 - share, 1e-300) if misses else 0.0)


def _edge(holds: Callable[[float], bool], start: float, end: float, halvings: int) -> float:
    """How far from `start` towards `end` it `holds`. `start` itself if it holds nowhere."""
    for _ in range(halvings):
        middle = (start + end) / 2
        start, end = (middle, end) if holds(middle) else (start, middle)
    return start
