"""What a model takes and gives, written down once.

A schema is found when a model is fitted, travels with the version, and drives everything that touches a record
afterwards: reading, export, request checks, API docs, drift profiles. So training and serving cannot disagree.

Between reading and the ONNX graph, rows travel as `Columns`: one NumPy array a column, each of length n, in the form in
which the graph takes it. There is one form a kind, and one mark for a missing value:

    kind              array      missing
    number, boolean   float64    NaN               (boolean: 0.0 and 1.0)
    category, text    object     ""                (str)
    time              int64      -2**63            (microseconds since 1970-01-01 UTC; a time without zone is UTC)
    identifier        never reaches a model
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["number", "boolean", "category", "time", "text", "identifier"]
KINDS: tuple[Kind, ...] = ("number", "boolean", "category", "time", "text", "identifier")

MISSING_TIME = -(2**63)
MISSING_TEXT = ""

Columns: TypeAlias = "dict[str, np.ndarray]"
Label: TypeAlias = str | bool | int


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input of a model.

    `nullable` says whether a request may hold null: it may where the data had holes. `integer` marks numbers that are
    all whole, and categories that were written as whole numbers (a request may then give either 3 or "3").
    `levels` are the categories seen in the data, most frequent first; another one is allowed and treated as unseen.
    `low` and `high` are the least and greatest number seen (for a time: microseconds since 1970 UTC).
    """

    name: str
    kind: Kind
    nullable: bool = False
    integer: bool = False
    unit: str | None = None
    description: str | None = None
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model predicts: one of `labels` (classification), or a number where there are none (regression); of a
    prompt perhaps any `text`, which may be that of a JSON value.

    Labels keep the type that they have in the data, so that a boolean target is answered with `true`, not `"true"`.
    With two labels the second is the positive class.
    """

    name: str
    labels: tuple[Label, ...] = ()
    unit: str | None = None
    text: bool = False


class Schema(msgspec.Struct, frozen=True):
    """The inputs, in the order of the data, and the target."""

    features: tuple[Column, ...]
    target: Target

    def feature(self, name: str) -> Column:
        """The input called `name`; KeyError if there is none."""
        for column in self.features:
            if column.name == name:
                return column
        raise KeyError(name)


def graph_input(column: str) -> str:
    """What `column` is called as an input of the ONNX graph: its name, unless an output is called so."""
    return f"{column} (input)" if column in ("label", "probabilities", "value") else column


def label_text(label: Label) -> str:
    """How a label is written as text, as in the graph's `label` output and as a JSON object's key: true, 3, "late"."""
    return str(label).lower() if isinstance(label, bool) else str(label)
