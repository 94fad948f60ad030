"""What a fit gives: a featurizer, weighted members, calibration, a threshold; and the same as one ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from mainspring.evaluation.metrics import Predictions
from mainspring.schema import Columns, Schema, label_text
from mainspring.tasks import candidates
from mainspring.tasks.candidates import Kind, Parameters
from mainspring.tasks.features import Featurizer
from mainspring.tasks.graph import GraphBuilder

_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Member:
    """One fitted estimator and its weight in the blend.

    `classes` are the class codes that it was fitted on: a rare class can be missing from the rows of a fold.
    """

    kind: Kind
    parameters: Parameters
    estimator: Any
    classes: np.ndarray | None
    weight: float = 1.0

    def predict(self, matrix: np.ndarray, classes: int) -> np.ndarray:
        """(n, classes) probabilities, or (n, 1) values where there are no classes."""
        found = candidates.predict(self.kind, self.estimator, matrix)
        if self.classes is None or len(self.classes) == classes:
            return found
        spread = np.zeros((len(found), classes))
        spread[:, self.classes] = found
        return spread

    def add_to(self, graph: GraphBuilder, matrix: str, classes: int) -> str:
        """The same, as nodes."""
        found = self.kind.add_to(self.estimator, graph, matrix)
        if self.classes is None or len(self.classes) == classes:
            return found
        return graph.node("MatMul", found, graph.constant(np.eye(classes)[self.classes], "double"))


@dataclass(frozen=True)
class Calibration:
    """Probabilities that mean what they say: softmax(slope · log p + shift), fitted on rows out of fold.

    For two classes this is Platt's scaling of the log-odds (Platt, 1999); for more, temperature scaling with a shift a
    class (Guo et al., 2017). Few numbers, so that it cannot overfit, and the order of rows is kept.
    """

    slope: float
    shift: np.ndarray

    @classmethod
    def fit(cls, probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
        """The slope and shifts of least log loss on `probabilities` (n, classes) of rows with classes `truth` (n,)."""
        logs = np.log(np.clip(probabilities, _LEAST_PROBABILITY, 1.0))
        classes, rows = logs.shape[1], np.arange(len(logs))

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            slope, shift = np.exp(parameters[0]), np.append(0.0, parameters[1:])
            scores = slope * logs + shift
            scores -= scores.max(axis=1, keepdims=True)
            normaliser = np.log(np.exp(scores).sum(axis=1))
            value = float(np.mean(normaliser - scores[rows, truth]))
            error = np.exp(scores - normaliser[:, None])
            error[rows, truth] -= 1.0
            gradient = np.append(slope * np.sum(error * logs) / len(logs), error.mean(axis=0)[1:])
            # A trace of shrinkage keeps a class that was never seen from running off to minus infinity.
            return value + 1e-6 * float(parameters @ parameters), gradient + 2e-6 * parameters

        best = minimize(loss, np.zeros(classes), jac=True, method="L-BFGS-B")
        return cls(float(np.exp(best.x[0])), np.append(0.0, best.x[1:]))

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """(n, classes), rows adding up to 1."""
        scores = self.slope * np.log(np.clip(probabilities, _LEAST_PROBABILITY, 1.0)) + self.shift
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)

    def add_to(self, graph: GraphBuilder, probabilities: str) -> str:
        """The same, as nodes."""
        limits = graph.constant(_LEAST_PROBABILITY, "double"), graph.constant(1.0, "double")
        logs = graph.node("Log", graph.node("Clip", probabilities, *limits))
        scaled = graph.node("Mul", logs, graph.constant(self.slope, "double"))
        return graph.node("Softmax", graph.node("Add", scaled, graph.constant(self.shift[None, :], "double")), axis=1)


@dataclass(frozen=True)
class FittedModel:
    """A fitted predictor. `threshold` is the probability from which two classes become the second."""

    schema: Schema
    featurizer: Featurizer
    members: tuple[Member, ...]
    calibration: Calibration | None = None
    threshold: float | None = None

    @property
    def classes(self) -> int:
        """How many classes; 0 for a regression."""
        return len(self.schema.target.labels)

    def predict(self, columns: Columns) -> Predictions:
        """What the fitted estimators say of n rows: the reference for what is served."""
        matrix = self.featurizer.apply(columns)
        blended = np.sum([member.weight * member.predict(matrix, self.classes) for member in self.members], axis=0)
        if not self.classes:
            return Predictions(values=blended[:, 0], probabilities=None)
        return decide(self.calibration.apply(blended) if self.calibration else blended, self.threshold)

    def to_onnx(self) -> bytes:
        """One graph from the raw columns to the answer."""
        graph = GraphBuilder()
        matrix = self.featurizer.add_to(graph)
        parts = []
        for member in self.members:
            part = member.add_to(graph, matrix, self.classes)
            weight = graph.constant(member.weight, "double")
            parts.append(part if member.weight == 1.0 else graph.node("Mul", part, weight))
        blended = parts[0] if len(parts) == 1 else graph.node("Sum", *parts)
        if not self.classes:
            graph.output(graph.node("Squeeze", blended, graph.constant([1], "int64")), "value", "double")
            return graph.build("mainspring")
        probabilities = self.calibration.add_to(graph, blended) if self.calibration else blended
        if self.threshold is None:
            code = graph.node("ArgMax", probabilities, axis=1, keepdims=0)
        else:
            positive = graph.node("Gather", probabilities, graph.constant(1, "int64"), axis=1)
            above = graph.node("GreaterOrEqual", positive, graph.constant(self.threshold, "double"))
            code = graph.cast(above, "int64")
        labels = graph.constant([label_text(label) for label in self.schema.target.labels], "string")
        graph.output(graph.node("Gather", labels, code, axis=0), "label", "string")
        graph.output(probabilities, "probabilities", "double", self.classes)
        return graph.build("mainspring")


def decide(probabilities: np.ndarray, threshold: float | None) -> Predictions:
    """Classes from probabilities: at or above the threshold the second of two, otherwise the most probable."""
    codes = probabilities.argmax(axis=1) if threshold is None else (probabilities[:, 1] >= threshold).astype(np.int64)
    return Predictions(values=codes, probabilities=probabilities)
