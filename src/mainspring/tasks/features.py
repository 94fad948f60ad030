"""From raw columns to the matrix that estimators are fitted on: numbers, float32, dense, nothing missing.

Each block says the same thing twice, in NumPy for fitting and as ONNX nodes for serving, so the two stand side by side
here and the parity check compares them. Everything is exact arithmetic and look-ups: no function whose last bit differs
between libraries, for a tree turns one bit into another leaf. The matrix is float32 because that is what is served, and
it is dense because XGBoost reads an absent entry of a sparse matrix as missing, where ONNX reads a zero.

    numbers, booleans   median for missing, and a column that says so where the data had holes
    categories          a table look-up: one row a level, one for missing, one for rare and unseen
                          few levels   the table is the identity (one-hot)
                          many levels  the table holds smoothed means of the target, and is fitted across folds
                                       (Micci-Barreca, 2001) so that no row sees its own target
    times               hour, weekday, and the place in the year where years were seen
    texts               how often each of the most usual words occurs
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mainspring.schema import MISSING_TEXT, MISSING_TIME, Column, Columns, graph_input
from mainspring.tasks.graph import GraphBuilder

_ONE_HOT_LEVELS = 24
_FEWEST_ROWS = 3  # a level of fewer rows shares the row of the unseen ones; one-hot, also a level of a smaller share
_RARE_SHARE = 0.001
_SMOOTHING = 20.0  # rows' worth of belief in the overall mean
_ENCODING_FOLDS = 5
_LIMIT = 1e30  # what lies beyond is clipped: sums over rows and products with coefficients stay within float32

_MOST_WORDS = 300
_RARE_WORD, _USUAL_WORD = 0.002, 0.9  # shares of the rows
_WORD = r"[^\x00-/:-@\[-`{-\x7f]+"
_LOWER = {ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_YEAR = 31_556_952 * _SECOND  # the Gregorian calendar's mean


@dataclass(frozen=True)
class Numbers:
    """Numbers and booleans. `fill` (k,) replaces what is missing; `holes` are the positions that get an indicator."""

    columns: tuple[str, ...]
    fill: np.ndarray
    holes: tuple[int, ...]

    @classmethod
    def fit(cls, columns: Columns, names: tuple[str, ...]) -> Numbers:
        """Medians, and which columns have holes."""
        fill, holes = np.zeros(len(names)), []
        for position, name in enumerate(names):
            known = columns[name][~np.isnan(columns[name])]
            fill[position] = np.median(np.clip(known, -_LIMIT, _LIMIT)) if len(known) else 0.0
            if len(known) < len(columns[name]):
                holes.append(position)
        return cls(names, fill, tuple(holes))

    @property
    def sources(self) -> list[str]:
        """The column that each entry of the matrix comes from."""
        return [*self.columns, *(self.columns[position] for position in self.holes)]

    def apply(self, columns: Columns) -> np.ndarray:
        """(n, k + holes) float32."""
        raw = np.column_stack([columns[name] for name in self.columns])
        missing = np.isnan(raw)
        filled = np.clip(np.where(missing, self.fill, raw), -_LIMIT, _LIMIT)
        return np.hstack([filled, missing[:, self.holes]]).astype(np.float32)

    def add_to(self, graph: GraphBuilder) -> str:
        """The same, as nodes."""
        raw = graph.concat(*(graph.input(graph_input(name), "double") for name in self.columns))
        missing = graph.node("IsNaN", raw)
        filled = graph.node("Where", missing, graph.constant(self.fill[None, :], "double"), raw)
        limits = graph.constant(-_LIMIT, "double"), graph.constant(_LIMIT, "double")
        matrix = graph.cast(graph.node("Clip", filled, *limits), "float")
        if not self.holes:
            return matrix
        marks = graph.node("Gather", graph.cast(missing, "float"), graph.constant(self.holes, "int64"), axis=1)
        return graph.concat(matrix, marks)


@dataclass(frozen=True)
class Category:
    """One column of categories. `table` (levels + 1, width) float32; its last row is for every other value."""

    column: str
    levels: tuple[str, ...]
    table: np.ndarray

    @property
    def sources(self) -> list[str]:
        """The column that each entry of the matrix comes from."""
        return [self.column] * self.table.shape[1]

    def codes(self, values: np.ndarray) -> np.ndarray:
        """(n,) rows of the table."""
        encoded = pa.array(values, type=pa.string()).dictionary_encode()
        position = {level: code for code, level in enumerate(self.levels)}
        found = [position.get(level, len(self.levels)) for level in encoded.dictionary.to_pylist()]
        return np.asarray(found, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]

    def apply(self, columns: Columns) -> np.ndarray:
        """(n, width) float32."""
        return self.table[self.codes(columns[self.column])]

    def add_to(self, graph: GraphBuilder) -> str:
        """The same, as nodes."""
        codes = graph.node(
            "LabelEncoder",
            graph.input(graph_input(self.column), "string"),
            domain="ai.onnx.ml",
            keys_strings=list(self.levels),
            values_int64s=list(range(len(self.levels))),
            default_int64=len(self.levels),
        )
        row = graph.node("Squeeze", codes, graph.constant([1], "int64"))
        return graph.node("Gather", graph.constant(self.table, "float"), row, axis=0)


@dataclass(frozen=True)
class Times:
    """Times: hour of the day, weekday (one-hot, Monday first), place in the year (0 to 1), distance from July.

    `yearly` are the positions of the columns that get a place in the year: those that span two years or more. In less,
    the place in the year is but another name for the date, and what is learnt of it does not come again.
    """

    columns: tuple[str, ...]
    fill: np.ndarray
    yearly: tuple[int, ...]

    @classmethod
    def fit(cls, columns: Columns, names: tuple[str, ...]) -> Times:
        """Median times, for those that are missing, and which columns span years."""
        fill, yearly = np.zeros(len(names), dtype=np.int64), []
        for position, name in enumerate(names):
            known = columns[name][columns[name] != MISSING_TIME]
            fill[position] = np.sort(known)[len(known) // 2] if len(known) else 0
            if len(known) and int(known.max()) - int(known.min()) >= 2 * _YEAR:
                yearly.append(position)
        return cls(names, fill, tuple(yearly))

    @property
    def sources(self) -> list[str]:
        """The column that each entry of the matrix comes from."""
        seasonal = [self.columns[position] for position in self.yearly]
        return [*self.columns, *seasonal, *seasonal, *(name for name in self.columns for _ in range(7))]

    def apply(self, columns: Columns) -> np.ndarray:
        """(n, 8 k + 2 yearly) float32."""
        raw = np.column_stack([columns[name] for name in self.columns])
        time = np.where(raw == MISSING_TIME, self.fill, raw)
        in_day, in_year = np.mod(time, _DAY), np.mod(time[:, self.yearly], _YEAR) / _YEAR
        weekday = np.mod((time - in_day) // _DAY + 3, 7)  # 1970 began on a Thursday
        one_hot = np.eye(7, dtype=np.float32)[weekday].reshape(len(time), -1)
        numbers = np.hstack([in_day / (3600 * _SECOND), in_year, np.abs(in_year - 0.5)]).astype(np.float32)
        return np.hstack([numbers, one_hot])

    def add_to(self, graph: GraphBuilder) -> str:
        """The same, as nodes. ONNX divides integers towards zero, so the remainder is taken off first."""

        def whole(value: int) -> str:
            return graph.constant(value, "int64")

        def ratio(number: str, unit: int) -> str:
            return graph.node("Div", graph.cast(number, "double"), graph.constant(unit, "double"))

        raw = graph.concat(*(graph.input(graph_input(name), "int64") for name in self.columns))
        missing = graph.node("Equal", raw, whole(MISSING_TIME))
        time = graph.node("Where", missing, graph.constant(self.fill[None, :], "int64"), raw)
        in_day = graph.node("Mod", time, whole(_DAY))
        days = graph.node("Div", graph.node("Sub", time, in_day), whole(_DAY))
        weekday = graph.node("Mod", graph.node("Add", days, whole(3)), whole(7))
        numbers = [ratio(in_day, 3600 * _SECOND)]
        if self.yearly:
            seasonal = graph.node("Gather", time, graph.constant(self.yearly, "int64"), axis=1)
            in_year = ratio(graph.node("Mod", seasonal, whole(_YEAR)), _YEAR)
            numbers += [in_year, graph.node("Abs", graph.node("Sub", in_year, graph.constant(0.5, "double")))]
        one_hot = graph.node("Gather", graph.constant(np.eye(7), "float"), weekday, axis=0)
        flat = graph.node("Reshape", one_hot, graph.constant([-1, 7 * len(self.columns)], "int64"))
        return graph.concat(graph.cast(graph.concat(*numbers), "float"), flat)


@dataclass(frozen=True)
class Words:
    """One column of text: counts of the words in `vocabulary`.

    A word is a run of characters other than ASCII punctuation, space and control; case is ignored in ASCII letters. So
    much, no more, is sure to be cut alike here, by RE2 in ONNX Runtime's Tokenizer, and in every locale.
    """

    column: str
    vocabulary: tuple[str, ...]

    @classmethod
    def fit(cls, column: str, values: np.ndarray) -> Words:
        """The words that most rows hold, but not nearly all."""
        held = Counter(word for text in values for word in set(_words(text)))
        least, most = max(3, _RARE_WORD * len(values)), _USUAL_WORD * len(values)
        usual = sorted((-rows, word) for word, rows in held.items() if least <= rows <= most)
        # Where no word is usual, a space, which is in no word: a graph takes every column of its schema.
        return cls(column, tuple(sorted(word for _, word in usual[:_MOST_WORDS])) or (" ",))

    @property
    def sources(self) -> list[str]:
        """The column that each entry of the matrix comes from."""
        return [self.column] * len(self.vocabulary)

    def apply(self, columns: Columns) -> np.ndarray:
        """(n, words) float32."""
        place = {word: position for position, word in enumerate(self.vocabulary)}
        matrix = np.zeros((len(columns[self.column]), len(place)), dtype=np.float32)
        for row, text in enumerate(columns[self.column]):
            for word in _words(text):
                if word in place:
                    matrix[row, place[word]] += 1.0
        return matrix

    def add_to(self, graph: GraphBuilder) -> str:
        """The same, as nodes."""
        flat = graph.node("Squeeze", graph.input(graph_input(self.column), "string"), graph.constant([1], "int64"))
        lower = graph.node("StringNormalizer", flat, case_change_action="LOWER", locale="C")
        words = graph.node(
            "Tokenizer", lower, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", tokenexp=_WORD
        )
        return graph.node(
            "TfIdfVectorizer",
            words,
            mode="TF",
            min_gram_length=1,
            max_gram_length=1,
            max_skip_count=0,
            ngram_counts=[0],
            ngram_indexes=list(range(len(self.vocabulary))),
            pool_strings=list(self.vocabulary),
        )


def _words(text: str) -> list[str]:
    return re.findall(_WORD, text.translate(_LOWER))


Block = Numbers | Category | Times | Words


@dataclass(frozen=True)
class Featurizer:
    """All blocks, side by side."""

    blocks: tuple[Block, ...]

    @property
    def sources(self) -> list[str]:
        """The column that each entry of the matrix comes from."""
        return [name for block in self.blocks for name in block.sources]

    def apply(self, columns: Columns) -> np.ndarray:
        """(n, width) float32."""
        return np.hstack([block.apply(columns) for block in self.blocks])

    def add_to(self, graph: GraphBuilder) -> str:
        """The same, as nodes; the name of the matrix."""
        return graph.concat(*(block.add_to(graph) for block in self.blocks))


def fit_transform(
    columns: Columns, features: tuple[Column, ...], target: np.ndarray, *, seed: int
) -> tuple[Featurizer, np.ndarray]:
    """Fit a featurizer, and give the matrix of the rows that it was fitted on.

    The matrix is not `featurizer.apply(columns)`: where a table holds means of the target, each row is encoded by a
    table fitted without it. Otherwise an estimator would learn to trust a column that repeats its own target.

    Args:
        columns: n rows.
        features: which columns, and their kinds; identifiers are left out.
        target: (n, t) float: one-hot classes without the first, or the standardised number.
        seed: of the folds.
    """
    by_kind: dict[str, list[str]] = {}
    for feature in features:
        by_kind.setdefault(feature.kind, []).append(feature.name)
    blocks: list[Block] = []
    matrices: list[np.ndarray] = []
    if numbers := (*by_kind.get("number", ()), *by_kind.get("boolean", ())):
        blocks.append(Numbers.fit(columns, numbers))
        matrices.append(blocks[-1].apply(columns))
    for name in by_kind.get("category", ()):
        block, matrix = _fit_category(name, columns[name], target, seed)
        blocks.append(block)
        matrices.append(matrix)
    if times := tuple(by_kind.get("time", ())):
        blocks.append(Times.fit(columns, times))
        matrices.append(blocks[-1].apply(columns))
    for name in by_kind.get("text", ()):
        blocks.append(Words.fit(name, columns[name]))
        matrices.append(blocks[-1].apply(columns))
    return Featurizer(tuple(blocks)), np.hstack(matrices)


def _fit_category(name: str, values: np.ndarray, target: np.ndarray, seed: int) -> tuple[Category, np.ndarray]:
    counts = pa.array(values, type=pa.string()).value_counts().to_pylist()
    levels = _levels(counts, _FEWEST_ROWS)
    if len(levels) <= _ONE_HOT_LEVELS:
        levels = _levels(counts, max(_FEWEST_ROWS, _RARE_SHARE * len(values)))
        table = np.vstack([np.eye(len(levels)), np.zeros(len(levels))])
        block = Category(name, tuple(levels), table.astype(np.float32))
        return block, block.apply({name: values})
    draft = Category(name, tuple(levels), np.zeros((len(levels) + 1, 0), dtype=np.float32))
    codes = draft.codes(values)
    matrix = np.empty((len(values), target.shape[1] + 1), dtype=np.float32)
    fold = np.random.default_rng(seed).integers(_ENCODING_FOLDS, size=len(values))
    for held_out in range(_ENCODING_FOLDS):
        rows = fold != held_out
        matrix[~rows] = _target_table(codes[rows], target[rows], len(levels) + 1)[codes[~rows]]
    return Category(name, tuple(levels), _target_table(codes, target, len(levels) + 1)), matrix


def _levels(counts: list[dict[str, Any]], fewest: float) -> list[str]:
    """The values that are in at least so many rows; never none, for a look-up needs a key."""
    kept = [entry["values"] for entry in counts if entry["counts"] >= fewest or entry["values"] == MISSING_TEXT]
    return sorted(kept) or [MISSING_TEXT]


def _target_table(codes: np.ndarray, target: np.ndarray, rows: int) -> np.ndarray:
    """(rows, t + 1) float32: smoothed means of the target, and the share of the rows."""
    counts = np.bincount(codes, minlength=rows).astype(np.float64)
    sums = np.column_stack([np.bincount(codes, weights=column, minlength=rows) for column in target.T])
    means = (sums + _SMOOTHING * target.mean(axis=0)) / (counts + _SMOOTHING)[:, None]
    return np.column_stack([means, counts / max(1, len(codes))]).astype(np.float32)
