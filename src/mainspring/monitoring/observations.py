"""What monitoring looks at, and what it says: plain data that the log, the tests, the alarms and the reports share.

A *window* of live rows is compared with the *reference profile* of the version that answered them. Each test of each
thing is a *finding*; all findings of a window are its *report*. What deviates in several windows in a row is an
*alarm*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from mainspring.runtimes.onnx import Outputs
from mainspring.schema import Columns

# feature: one input's distribution · missing, unseen, range: its share of missing values, of categories and of numbers
# that the reference does not have · prediction: the outputs' distribution · label: the true labels' · multivariate: all
# inputs together · performance: the metric, measured where labels have come · estimated: the metric, where not
# Of a collection of documents: questions: what they are about · search: the distribution of what searches gave ·
# documents: they are others than those that were indexed
Subject = Literal[
    "feature", "missing", "unseen", "range", "prediction", "label", "multivariate", "performance", "estimated",
    "questions", "search", "documents",
]  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """n live rows in the order of time.

    `columns` are the inputs, as the graph took them. `outputs` is what the model answered. `truth` is (n,) float64:
    the code into the schema's labels, or the number; NaN where no label has come yet. `time` is (n,) int64
    microseconds since 1970 UTC.
    """

    time: np.ndarray
    columns: Columns
    outputs: Outputs
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.time)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One test of one thing in one window.

    `name` is the column, the output (`label`, `value`, `probability:LABEL`), or the metric; `test` the name of the
    test, as `Kolmogorov-Smirnov`. `effect` is from 0 (as the reference) upwards, on one scale for all tests, and is
    what `monitor.effect` is compared with; `detail` has what it was made of (`wasserstein`, `psi`, shares, …).
    `matters` is the importance of what moved, from 0 to 1. `significant` is after false-discovery control.
    `was` and `now` say in a few words how it was and is, as "mean 54.2".
    """

    subject: Subject
    name: str
    test: str
    effect: float
    p_value: float
    rows: int
    matters: float
    significant: bool = False
    deviates: bool = False
    was: str = ""
    now: str = ""
    detail: dict[str, Any] = {}


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the window of rows from `start` to `end` (microseconds since 1970 UTC), answered by `version`.

    `labelled` of the `rows` had their true label. `enough` is false where there were too few rows to judge anything.
    """

    version: str
    start: int
    end: int
    rows: int
    labelled: int
    enough: bool
    findings: list[Finding]


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What moved: its last finding, `since` the start of the first window that deviates, `raised` at the end of the
    one that made it an alarm, after `windows` of them so far. `message` says all of it in a sentence.
    """

    finding: Finding
    since: int
    raised: int
    windows: int
    message: str
