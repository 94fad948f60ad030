"""Does live traffic get judged as often as one likes without crying wolf? Simulates it where nothing is wrong.

    python benchmarks/sequential.py [--simulations 1000] [--quick]

*Level*: how often is harm ever called shown, at any of hundreds of looks, where there is none? At most 5 % of the time
is promised. Beside it the same looks with the ordinary test, which promises its level for one look. *Delay*: after how
many requests to the challenger is harm that is there found? Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from mainspring.evaluation import sequential
from mainspring.evaluation.intervals import clopper_pearson
from mainspring.evaluation.sequential import FEWEST, Moments, Share
from mainspring.lifecycle.rollout import MORE_ERRORS, SLOWER

SIGNIFICANCE = 0.05
VALUES = 20_000
LOOK_GROWTH = 1.02  # each look at 2 % more than the last: from 200 to 20,000 values some 230 looks
CANARY = 0.1
CHECKS = 3  # a rollout's judge splits its significance over so many

Array = np.ndarray
Stream = Callable[[np.random.Generator], Array]


@dataclass(frozen=True)
class Looks:
    """Whether harm was ever called shown, by the sequential test and by the ordinary one."""

    sequential: bool
    ordinary: bool


def looks(first: int, last: int) -> list[int]:
    count = math.ceil(math.log(last / first) / math.log(LOOK_GROWTH))
    return sorted({min(last, math.ceil(first * LOOK_GROWTH**k)) for k in range(count + 1)})


# Losses: (challenger less champion), of mean 0.


def normal(random: np.random.Generator) -> Array:
    return random.normal(size=VALUES)


def worse_now_and_then(random: np.random.Generator) -> Array:
    return random.exponential(size=VALUES) - 1


def better_now_and_then(random: np.random.Generator) -> Array:
    return 1 - random.exponential(size=VALUES)


def log_losses(random: np.random.Generator) -> Array:
    """Of two equally good classifiers with errors of their own."""
    signal = 1.5 * random.normal(size=VALUES)
    truth = random.random(VALUES) < 1 / (1 + np.exp(-signal))
    one, other = (np.where(truth, 1, -1) * (signal + random.normal(size=VALUES)) for _ in range(2))
    return np.logaddexp(0, -one) - np.logaddexp(0, -other)


def wrong_classes(random: np.random.Generator) -> Array:
    """Either is wrong where the other is right in two rows of a hundred."""
    return random.choice([-1.0, 0.0, 1.0], size=VALUES, p=[0.02, 0.96, 0.02])


def rare_gains(random: np.random.Generator) -> Array:
    """A little worse nearly always, and far better in one row of a hundred."""
    return 0.01 + 0.001 * random.normal(size=VALUES) - (random.random(VALUES) < 0.01)


LOSSES: dict[str, Stream] = {
    "normal": normal,
    "skewed, now and then worse": worse_now_and_then,
    "skewed, now and then better": better_now_and_then,
    "log losses": log_losses,
    "wrong classes, 2 % each": wrong_classes,
}
LEVEL_HEADER = """\
| what, without a difference | values in the end | ever shown | interval | ever, by the ordinary test |
| --- | --- | --- | --- | --- |"""


def look_at_mean(stream: Array, last: int) -> Looks:
    shown, ordinary = False, False
    for n in looks(FEWEST, last):
        tally = Moments.of(stream[:n])
        shown |= sequential.mean(tally, significance=SIGNIFICANCE).low > 0
        ordinary |= tally.mean > norm.ppf(1 - SIGNIFICANCE) * math.sqrt(tally.variance / n)
    return Looks(shown, ordinary)


def look_at_groups(random: np.random.Generator, last: int) -> Looks:
    """Log durations of a canary and a champion that are alike; the limit is put at equality, where level matters."""
    champion, canary = (random.normal(size=n) + random.exponential(size=n) for n in (9 * last, last))
    shown, ordinary = False, False
    for n in looks(FEWEST, last):
        one, other = Moments.of(canary[:n]), Moments.of(champion[: 9 * n])
        shown |= sequential.difference(one, other, significance=SIGNIFICANCE).low > 0
        error = math.sqrt(one.variance / n + other.variance / (9 * n))
        ordinary |= one.mean - other.mean > norm.ppf(1 - SIGNIFICANCE) * error
    return Looks(shown, ordinary)


def traffic(champion: float, canary: float, requests: int, random: np.random.Generator) -> list[tuple[Share, Share]]:
    """What is seen of the canary and of the champion at each look, from the first request on."""
    to_canary = random.random(requests) < CANARY
    failed = random.random(requests) < np.where(to_canary, canary, champion)
    counts, hits = np.cumsum(to_canary), np.cumsum(to_canary & failed)
    all_hits = np.cumsum(failed)
    return [
        (Share(int(counts[n - 1]), int(hits[n - 1])), Share(n - int(counts[n - 1]), int(all_hits[n - 1] - hits[n - 1])))
        for n in looks(50, requests)
        if 0 < counts[n - 1] < n
    ]


def is_shown(canary: Share, champion: Share, limit: float, significance: float) -> bool:
    return sequential.log_evidence(canary, champion, limit) > -math.log(significance)


def look_at_errors(share: float, requests: int, random: np.random.Generator) -> Looks:
    """Equal shares, and no difference let pass."""
    shown, ordinary = False, False
    for canary, champion in traffic(share, share, requests, random):
        shown = shown or is_shown(canary, champion, 0.0, SIGNIFICANCE)
        pooled = (canary.hits + champion.hits) / (canary.count + champion.count)
        error = math.sqrt(pooled * (1 - pooled) * (1 / canary.count + 1 / champion.count))
        ordinary |= canary.value - champion.value > norm.ppf(1 - SIGNIFICANCE) * error
    return Looks(shown, ordinary)


def generator(*cell: str | float) -> np.random.Generator:
    """Its own random numbers for each cell of a table, so that the cells are independent."""
    return np.random.default_rng(zlib.crc32(repr(cell).encode()))


def print_level(what: str, count: int, found: list[Looks]) -> None:
    shown = sum(each.sequential for each in found)
    low, high = clopper_pearson(shown, len(found), 0.95)
    ordinary = sum(each.ordinary for each in found) / len(found)
    print(f"| {what} | {count:,} | {shown / len(found):.3f} | {low:.3f} to {high:.3f} | {ordinary:.3f} |", flush=True)


def level(simulations: int, most: int) -> None:
    print("| what, without a difference | values in the end | ever shown | interval | ever, by the ordinary test |")
    print("| --- | --- | --- | --- | --- |")
    for last in (1000, most):
        for name, stream in LOSSES.items():
            random = generator(name, last)
            print_level(
                f"paired losses: {name}", last, [look_at_mean(stream(random), last) for _ in range(simulations)]
            )
        random = generator("groups", last)
        found = [look_at_groups(random, last) for _ in range(simulations)]
        print_level("two groups: log durations, 1 to 9", last, found)
    for requests in (300, most):
        for share in (0.0, 0.001, 0.01, 0.1):
            random = generator("errors", requests, share)
            found = [look_at_errors(share, requests, random) for _ in range(simulations)]
            print_level(f"errors: {share:.1%} of both, canary {CANARY:.0%}", requests, found)


def level_of_losses(name: str, stream: Stream, last: int, simulations: int) -> None:
    random = generator(name, last)
    print_level(f"paired losses: {name}", last, [look_at_mean(stream(random), last) for _ in range(simulations)])


def level_under_rare_gains(simulations: int, most: int) -> None:
    print(LEVEL_HEADER)
    for last in (1000, most):
        level_of_losses("all the gain in 1 % of rows", rare_gains, last, simulations)


def delay(simulations: int) -> None:
    print("| harm | found after so many of the canary's requests: median | 90 % of the time within |")
    print("| --- | --- | --- |")
    for champion, canary in ((0.0, 0.02), (0.0, 0.05), (0.001, 0.05), (0.01, 0.05), (0.0, 1.0)):
        random = generator("delay", champion, canary)
        seen = []
        for _ in range(simulations):
            each = traffic(champion, canary, 50_000, random)
            of = (c.count for c, d in each if is_shown(c, d, MORE_ERRORS, SIGNIFICANCE / CHECKS))
            seen.append(next(of, math.inf))
        print_delay(f"errors: {canary:.1%} against {champion:.1%}", seen)
    for times in (2.0, 3.0):
        random = generator("slow", times)
        seen = [delay_of_slowness(times, random) for _ in range(simulations)]
        print_delay(f"{times:g} times as slow", seen)


def delay_of_slowness(times: float, random: np.random.Generator) -> float:
    champion, canary = (random.normal(size=n) for n in (45_000, 5_000))
    for n in looks(FEWEST, 5_000):
        one, other = Moments.of(canary[:n] + math.log(times)), Moments.of(champion[: 9 * n])
        if sequential.difference(one, other, significance=SIGNIFICANCE / CHECKS).low > math.log(SLOWER):
            return n
    return math.inf


def print_delay(what: str, seen: list[float]) -> None:
    middle, late = (float(np.quantile(seen, q, method="higher")) for q in (0.5, 0.9))
    print(f"| {what} | {middle:,.0f} | {late:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="for each row of the tables")
    parser.add_argument("--quick", action="store_true", help="under a minute: 100 simulations, up to 3,000 values")
    options = parser.parse_args()
    simulations, most = (100, 3000) if options.quick else (options.simulations, VALUES)
    started = time.perf_counter()
    print("## Level: how often harm is ever called shown where there is none\n")
    print(f"At most {SIGNIFICANCE} is promised; {simulations} simulations a row, with their 95 % interval.\n")
    level(simulations, most)
    print("\n## Where no test of means can keep it: no difference on the whole, but the gain is in rare rows\n")
    level_under_rare_gains(simulations, most)
    print("\n## Delay: how soon harm is found\n")
    print(f"A third of the significance, as in a rollout; a canary with {CANARY:.0%} of the traffic.\n")
    delay(max(50, simulations // 5))
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
