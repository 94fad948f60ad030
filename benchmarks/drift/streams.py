"""Simulated traffic with a known change, or none: the same streams for every system, from a seed and a number alone.

A stream is a reference of 8,000 rows and twelve windows of 1,000. Eight columns: two correlated normal numbers, a
skewed one, one that is zero half of the time, one with holes; categories of three and of thirty levels; a boolean. The
model is the true logistic one, so that it is calibrated and nothing depends on how well something was fitted. In a
stream with a shift, the rows from window 4 on come from a changed world.

Needs only numpy, because each system imports it in an environment of its own.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

REFERENCE_ROWS, HELD_OUT_ROWS = 8000, 2000  # the held-out ones are the last of the reference
WINDOWS, WINDOW_ROWS, CHANGE = 12, 1000, 4

NUMBERS = ("age", "tenure", "income", "usage", "balance")
CATEGORIES = ("plan", "city", "active")
PLANS = ("basic", "plus", "team")
PLAN_SHARES = (0.6, 0.3, 0.1)
CITIES = tuple(f"city {number:02}" for number in range(30))
CITY_SHARES = 0.9 ** np.arange(30) / (0.9 ** np.arange(30)).sum()
CITY_EFFECTS = np.random.default_rng(30).normal(0.0, 0.4, 30)
STATIONARY = "none"


@dataclass(frozen=True)
class World:
    """Where rows come from. The defaults are the world that the model knows."""

    mean: float = 0.0  # of age, in its standard deviations
    means: float = 0.0  # of all five numbers, each in its own standard deviations
    scale: float = 1.0  # of age's standard deviation
    plan_moved: float = 0.0  # share of rows that go from the first plan to the third
    cities_moved: float = 0.0  # share of rows whose city is drawn from the shares in reverse
    correlation: float = 0.6  # of age and tenure
    missing: float = 0.05  # share of balances
    noise: float = 0.0  # share of labels that know nothing of the inputs, at the same rate


# What changes, and the graded sizes of it. The names of the sizes are the columns of the tables.
SHIFTS: dict[str, dict[str, World]] = {
    "mean of one number": {f"{size} sd": World(mean=size) for size in (0.1, 0.2, 0.3, 0.5, 1.0)},
    "mean of all numbers": {f"{size} sd": World(means=size) for size in (0.1, 0.2, 0.3, 0.5, 1.0)},
    "variance of one number": {f"sd × {size}": World(scale=size) for size in (1.1, 1.25, 1.5, 2.0, 3.0)},
    "mix of 3 categories": {f"{size:.0%} moved": World(plan_moved=size) for size in (0.03, 0.06, 0.1, 0.2, 0.4)},
    "mix of 30 categories": {f"{size:.0%} moved": World(cities_moved=size) for size in (0.05, 0.1, 0.2, 0.3, 0.5)},
    "correlation only": {f"0.6 to {size}": World(correlation=size) for size in (0.5, 0.3, 0.0, -0.3, -0.6)},
    "missing values": {f"5% to {size:.0%}": World(missing=size) for size in (0.07, 0.1, 0.15, 0.2, 0.4)},
    "labels only": {f"{size:.0%} noise": World(noise=size) for size in (0.1, 0.2, 0.3, 0.5, 0.8)},
}


@dataclass(frozen=True)
class Rows:
    """n rows: numbers are (n,) float64 with NaN missing, `active` of 0.0 and 1.0, the other categories of str.

    `probability` (n,) is the model's, of label 1; `label` (n,) is the truth, 0 or 1.
    """

    columns: dict[str, np.ndarray]
    probability: np.ndarray
    label: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """(n,) of 0 and 1: where the model's answer was not the label."""
        return ((self.probability > 0.5) != self.label).astype(int)

    def __getitem__(self, rows: slice) -> Rows:
        return replace(
            self,
            columns={name: values[rows] for name, values in self.columns.items()},
            probability=self.probability[rows],
            label=self.label[rows],
        )


@dataclass(frozen=True)
class Stream:
    """The reference, and everything after it."""

    number: int
    reference: Rows
    windows: list[Rows]


def stream(shift: str, size: str, number: int, seed: int) -> Stream:
    """The stream of this number, the same on every call. `shift` is of SHIFTS, or STATIONARY with any size."""
    random = np.random.default_rng([seed, zlib.crc32(f"{shift} {size}".encode()), number])
    before = World()
    after = before if shift == STATIONARY else SHIFTS[shift][size]
    windows = [rows(before if place < CHANGE else after, WINDOW_ROWS, random) for place in range(WINDOWS)]
    return Stream(number, rows(before, REFERENCE_ROWS, random), windows)


def rows(world: World, count: int, random: np.random.Generator) -> Rows:
    """So many rows of a world, and what the model says of them."""
    age = random.normal(size=count)
    tenure = world.correlation * age + np.sqrt(1 - world.correlation**2) * random.normal(size=count)
    skew = random.normal(size=count)
    usage = np.where(random.random(count) < 0.5, 0.0, random.gamma(2.0, 10.0, count))
    balance = random.normal(size=count)
    plan = random.choice(3, count, p=PLAN_SHARES)
    plan[(plan == 0) & (random.random(count) < world.plan_moved / PLAN_SHARES[0])] = 2
    city = random.choice(30, count, p=CITY_SHARES)
    city = np.where(random.random(count) < world.cities_moved, random.choice(30, count, p=CITY_SHARES[::-1]), city)
    active = (random.random(count) < 0.7).astype(float)

    age = world.scale * age + world.mean + world.means
    tenure, balance = tenure + world.means, balance + world.means
    income = np.exp(0.8 * skew) + world.means * 1.31  # the standard deviation of exp(0.8 × normal)
    usage = usage + world.means * 14.1
    balance[random.random(count) < world.missing] = np.nan

    score = -0.8 + 0.8 * age + 0.5 * tenure + 0.5 * np.log(np.maximum(income, 0.05)) - 0.03 * usage
    score += 0.6 * np.nan_to_num(balance) + np.array([0.0, 0.5, -0.7])[plan] + CITY_EFFECTS[city] + 0.5 * active
    probability = 1 / (1 + np.exp(-score))
    label = (random.random(count) < probability).astype(int)
    guessed = random.random(count) < world.noise
    label[guessed] = random.permutation(label)[guessed]
    columns = {
        "age": 45 + 12 * age,
        "tenure": 60 + 20 * tenure,
        "income": 30_000 * income,
        "usage": usage,
        "balance": 1000 * balance,
        "plan": np.array(PLANS, object)[plan],
        "city": np.array(CITIES, object)[city],
        "active": active,
    }
    return Rows(columns, probability, label)
