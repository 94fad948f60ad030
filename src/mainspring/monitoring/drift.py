"""Has one column moved? Tests of a window's tally against the reference profile.

    subject                       test                       effect, 0 = as the reference, 1 = nothing in common
    number, time, length of text  Kolmogorov-Smirnov         the largest distance of the distribution functions
    boolean, category             chi-squared                Jensen-Shannon distance in bits (its square root)
    missing                       two proportions            the same distance of the shares, missing and not
    unseen category, out of range binomial, one-sided        the same distance of the shares, outside and not

One floor serves both scales. Of a normal distribution that shifts by a small part d of its standard deviation the
Kolmogorov-Smirnov distance is d / sqrt(2 pi) = 0.40 d and the Jensen-Shannon distance d / sqrt(8 ln 2) = 0.42 d. What
0.05 means:

    a normal mean                 shifts by an eighth of a standard deviation
    a standard deviation          becomes 1.23 times as large
    a share of 50 %, 20 %, 5 %    becomes 56 %, 25 %, 7.9 %
    a share of 0 %                becomes 0.5 %: what never was weighs more than more of the same

The Kolmogorov-Smirnov distance is taken over the cells of the reference's quantiles (`tallies`): at most half a percent
less than over all points, and exact on atoms. The Jensen-Shannon divergence of two samples is positive by chance alone,
the more so the more categories there are; what chance gives is subtracted. Rows are taken as independent: in time they
often are not, and then p-values are too small, which is why an alarm asks for an effect and for persistence too.

`detail` has, for numbers: `wasserstein` (in reference standard deviations; in the outermost half percent on either side
an approximation) and `psi`; for categories `psi`: the population stability index, over ten groups of cells or all
categories. `direction` is +1 or -1 where a move has one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binom, chi2, kstwo, norm, poisson

from mainspring.monitoring.observations import Finding, Subject
from mainspring.monitoring.profiles import ColumnProfile
from mainspring.monitoring.tallies import CategoryCounter, CategoryTally, NumberCounter, NumberTally, Tally
from mainspring.schema import Kind

Array = np.ndarray
_PSI_GROUPS = 10
_FEWEST_EXPECTED = 5  # for a cell of the chi-squared test, after Cochran (1954)
_UNITS = {"time": "hour ", "text": "length "}


def counter(profile: ColumnProfile, kind: Kind) -> NumberCounter | CategoryCounter:
    """What counts the values of a column of this kind, as `tallies.watched` gives them, beside its reference."""
    if kind in ("boolean", "category"):
        return CategoryCounter(list(profile.shares))
    return NumberCounter(profile.cuts)


def examine_column(
    name: str, tally: Tally, profile: ColumnProfile, kind: Kind, subject: Subject = "feature", *, matters: float
) -> list[Finding]:
    """All findings of one column, whose values `counter` has counted.

    `kind` decides on the words, and on what may lie outside: an input's numbers and categories. A column that never
    had a known value, or has none now, has no distribution to compare.
    """
    findings = []
    if tally.rows and profile.rows:
        if isinstance(tally, NumberTally):
            findings.append(_numbers(subject, name, tally, profile, _UNITS.get(kind, ""), matters))
        else:
            findings.append(_categories(subject, name, tally, profile, matters))
    if subject != "feature":
        return findings
    if profile.missing or tally.missing:
        findings.append(_missing(name, tally, profile, matters))
    if tally.rows and profile.rows and kind in ("number", "category"):
        findings.append(_outside(name, tally, profile, matters))
    return findings


# Numbers -------------------------------------------------------------------------------------------------------------


def _numbers(
    subject: Subject, name: str, tally: NumberTally, profile: ColumnProfile, unit: str, matters: float
) -> Finding:
    before, after = np.array(profile.cells), tally.cells
    apart = np.cumsum(after) / tally.rows - np.cumsum(before) / profile.rows
    distance = float(np.abs(apart).max())
    both = tally.rows * profile.rows / (tally.rows + profile.rows)
    p_value = float(np.clip(kstwo.sf(distance, max(1, round(both))), 0.0, 1.0))
    was, now = _spread(tally, profile, unit)
    detail: dict[str, Any] = {
        "distance": distance,
        "wasserstein": _wasserstein(apart, tally, profile),
        "psi": psi(*_ten_groups(before, after)),
        "mean": tally.mean,
        "reference_mean": profile.mean,
    }
    # Values that grew have their distribution function below.
    up, down = max(0.0, float(-apart.min())), max(0.0, float(apart.max()))
    if min(up, down) < max(up, down) / 2:
        detail["direction"] = 1 if up > down else -1
    return Finding(
        subject=subject,
        name=name,
        test="Kolmogorov-Smirnov",
        effect=distance,
        p_value=p_value,
        rows=tally.rows,
        matters=matters,
        was=was,
        now=now,
        detail=detail,
    )


def _wasserstein(apart: Array, tally: NumberTally, profile: ColumnProfile) -> float:
    """The area between the distribution functions, in reference standard deviations; inf where those are 0."""
    cuts = profile.cuts
    # Between two cuts the difference goes from its value on the lower cut to that just below the upper one.
    with np.errstate(over="ignore", invalid="ignore"):
        between = ((np.abs(apart[1:-2:2]) + np.abs(apart[2:-1:2])) / 2 * np.diff(cuts)).sum()
        area = float(between) + (tally.below + tally.above) / tally.rows
    if profile.deviation > 0:
        return area / profile.deviation
    return float("inf") if area > 0 else 0.0


def _ten_groups(before: Array, after: Array) -> tuple[Array, Array]:
    """Neighbouring cells joined into about ten groups of equal weight in the reference; an atom stays whole."""
    middle = (np.cumsum(before) - before / 2) / before.sum()
    group = np.minimum((middle * _PSI_GROUPS).astype(int), _PSI_GROUPS - 1)
    return np.bincount(group, before, _PSI_GROUPS), np.bincount(group, after, _PSI_GROUPS)


def _spread(tally: NumberTally, profile: ColumnProfile, unit: str) -> tuple[str, str]:
    """The means, or where these stayed the standard deviations."""
    was, now, what = profile.mean, tally.mean, f"mean {unit}"
    if abs(now - was) < 0.1 * profile.deviation:
        was, now, what = profile.deviation, tally.deviation, "standard deviation "
    return what + _in_words(was, profile.deviation), what + _in_words(now, profile.deviation)


def _in_words(number: float, deviation: float) -> str:
    """A number with as many digits as say something beside a standard `deviation`."""
    if not 1e-9 < deviation < 1e9 or not abs(number) < 1e9:
        return f"{number:.4g}"
    return f"{number:z.{max(0, 2 - round(np.log10(deviation)))}f}"


# Categories ----------------------------------------------------------------------------------------------------------


def _categories(subject: Subject, name: str, tally: CategoryTally, profile: ColumnProfile, matters: float) -> Finding:
    before = np.rint(np.array([*profile.shares.values(), profile.other]) * profile.rows)
    after = np.append(tally.counts, tally.outside)
    statistic, freedom = _chi_squared(before, after)
    was, now = _most_changed(list(profile.shares), before / before.sum(), after / after.sum())
    return Finding(
        subject=subject,
        name=name,
        test="chi-squared",
        effect=jensen_shannon(before, after),
        p_value=float(chi2.sf(statistic, freedom)) if freedom else 1.0,
        rows=tally.rows,
        matters=matters,
        was=was,
        now=now,
        detail={"psi": psi(before, after), "chi_squared": statistic, "degrees_of_freedom": freedom},
    )


def _chi_squared(before: Array, after: Array) -> tuple[float, int]:
    """Pearson's statistic of the 2 x k table and its degrees of freedom; rare categories are pooled."""
    total = before + after
    smaller = min(before.sum(), after.sum()) / total.sum()
    rare = total * smaller < _FEWEST_EXPECTED
    table = np.array([np.append(counts[~rare], counts[rare].sum()) for counts in (before, after)])
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1


def jensen_shannon(before: Array, after: Array) -> float:
    """The Jensen-Shannon distance of two tables of counts, (k,) each: the root of the divergence in bits, from 0 to 1,
    less what samples of these sizes show by chance.

    >>> jensen_shannon(np.array([100, 0]), np.array([0, 100]))
    1.0
    """
    p, q = before / before.sum(), after / after.sum()
    middle = (p + q) / 2
    divergence = (_bits(p, middle) + _bits(q, middle)).sum() / 2
    noise = 1 / before.sum() + 1 / after.sum()
    pooled = (before + after) / (before.sum() + after.sum())
    # A table without overlap stays at 1: chance could have given nothing of it.
    by_chance = min(noise * float(_divergence_by_chance(pooled / noise).sum()), 1.0)
    by_chance -= noise * _OF_MANY  # one category less is free, for the shares add up to 1
    return float(np.sqrt(np.clip((divergence - by_chance) / (1 - by_chance), 0.0, 1.0)))


def _bits(p: Array, middle: Array) -> Array:
    return p * np.log2(np.where(p > 0, p / np.where(middle > 0, middle, 1.0), 1.0))


_OF_MANY = 1 / (8 * np.log(2))  # what a category adds to n times the divergence, where many rows are expected of it


def _divergence_by_chance(expected: Array) -> Array:
    """What each category adds to n times the divergence by chance, when `expected` of its n rows (Poisson) come."""
    few = expected < 25
    found = np.full(len(expected), _OF_MANY)
    mean = expected[few, None]
    seen = np.arange(80)
    middle = (mean + seen) / 2
    divergence = (_bits(mean, middle) + _bits(seen[None] + 0 * mean, middle)) / 2
    found[few] = (poisson.pmf(seen, mean) * divergence).sum(axis=1)
    return found


def _most_changed(names: list[str], was: Array, now: Array) -> tuple[str, str]:
    """The share of the category that changed most, as "AA 12 %", before and after."""
    # Of yes and no, which change alike, yes is told of.
    place = names.index("true") if set(names) == {"true", "false"} else int(np.abs(now - was).argmax())
    name = names[place] if place < len(names) else "others"
    return f"{name} {percent(was[place])}", f"{name} {percent(now[place])}"


# Both ----------------------------------------------------------------------------------------------------------------


def psi(before: Array, after: Array) -> float:
    """The population stability index of two tables of counts; an empty cell counts as half a row."""
    there = (before + after) > 0
    p = np.maximum(before[there], 0.5) / before.sum()
    q = np.maximum(after[there], 0.5) / after.sum()
    return float(((q - p) * np.log(q / p)).sum())


def percent(share: float) -> str:
    """A share in words: 12 %, 0.4 %."""
    return f"{100 * share:.3g} %"


def _of_shares(before: float, rows_before: int, now: float, rows: int) -> float:
    """The Jensen-Shannon distance of two shares."""
    return jensen_shannon(np.array([before, 1 - before]) * rows_before, np.array([now, 1 - now]) * rows)


def _missing(name: str, tally: Tally, profile: ColumnProfile, matters: float) -> Finding:
    rows = tally.rows + tally.missing
    rows_before = round(profile.rows / (1 - profile.missing)) if profile.missing < 1 else rows
    share = tally.missing / rows
    pooled = (tally.missing + profile.missing * rows_before) / (rows + rows_before)
    error = np.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / rows_before))
    change = share - profile.missing
    return Finding(
        subject="missing",
        name=name,
        test="two proportions",
        effect=_of_shares(profile.missing, rows_before, share, rows),
        p_value=float(2 * norm.sf(abs(change) / error)) if error > 0 else 1.0,
        rows=rows,
        matters=matters,
        was=percent(profile.missing),
        now=percent(share),
        detail={"direction": 1 if change > 0 else -1},
    )


def _outside(name: str, tally: Tally, profile: ColumnProfile, matters: float) -> Finding:
    """How many values lie where the reference has none: exact binomial tail against the share that chance leaves."""
    is_number = isinstance(tally, NumberTally)
    outside = int(tally.cells[0] + tally.cells[-1]) if isinstance(tally, NumberTally) else tally.outside
    share = outside / tally.rows
    # The share that is left is itself uncertain: as if one more reference row had been outside.
    left = min(1.0, profile.outside + 1 / profile.rows)
    return Finding(
        subject="range" if is_number else "unseen",
        name=name,
        test="binomial",
        effect=_of_shares(profile.outside, profile.rows, share, tally.rows) if share > profile.outside else 0.0,
        p_value=float(binom.sf(outside - 1, tally.rows, left)),
        rows=tally.rows,
        matters=matters,
        was=percent(profile.outside),
        now=percent(share),
        detail={"outside": outside, "direction": 1},
    )
