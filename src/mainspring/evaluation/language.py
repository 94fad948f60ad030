"""Parity of language models: does it still say the same, computed in another way?

Two ways of computing one model are compared by the distributions that they give for every next token of a fixed set of
texts and chats. Answers are not compared: where two tokens are nearly as likely, any rounding decides between them, and
the texts part ways though the model is the same.

    perplexity ratio  exp of how much less likely the true next tokens have become, on average
    KL divergence     of each served distribution from the reference, in nats: its mean, and its 99th percentile,
                      for a model that is right on average may still be lost in places
    top-1 agreement   in how many places the most likely token is the same one

The limits are about twice what 16-bit arithmetic costs (measured with SmolLM2-135M: mean KL 0.0014, 99th percentile
0.009, agreement 0.977, perplexity ratio 1.005). Models are trained in that arithmetic, and are run in it elsewhere.
8-bit activations and cache pass (mean KL 0.0021). What does not: the same weights in 4 bits without a least value of
their own (Q4_0), and a Q4_1 file as OpenVINO reads it by itself (mean KL 0.40; see `openvino_graph`).

Intervals are bootstrapped over whole texts, for the tokens of one text are no independent witnesses.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np

_TAIL = 0.99
_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Limit:
    """What a figure may be, `bound` a `value`; `name` says in words what is bounded."""

    name: str
    bound: Literal["at most", "at least"]
    value: float

    def allows(self, value: float) -> bool:
        """Whether `value` is within it. One that is no number is not."""
        return bool(value <= self.value if self.bound == "at most" else value >= self.value)

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"


# By the name of the figure in `LanguageParity`. Divergences are in nats.
LIMITS = {
    "agreement": Limit("top-1 agreement", "at least", 0.95),
    "perplexity_ratio": Limit("perplexity ratio", "at most", 1.01),
    "mean_divergence": Limit("mean divergence", "at most", 0.003),
    "tail_divergence": Limit("99th percentile of divergence", "at most", 0.02),
}


@dataclass(frozen=True)
class Figure:
    """A figure with its interval."""

    value: float
    low: float
    high: float
    method: str = "bootstrap over texts"


@dataclass(frozen=True)
class LanguageParity:
    """How far a way of computing a model is from the reference, over `tokens` places in `texts` texts."""

    texts: int
    tokens: int
    perplexity: float  # the reference's
    perplexity_ratio: Figure
    mean_divergence: Figure
    tail_divergence: Figure
    greatest_divergence: float
    agreement: Figure

    @property
    def failures(self) -> list[str]:
        """What is over its limit, in words; empty if it passes."""
        found = {name: getattr(self, name).value for name in LIMITS}
        return [
            f"{limit.name} {found[name]:.4g}, {limit} is allowed"
            for name, limit in LIMITS.items()
            if not limit.allows(found[name])
        ]

    @property
    def passed(self) -> bool:
        """Whether it may be served in place of the reference."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"passed": self.passed, "failures": self.failures, **asdict(self)}


def compare(
    texts: Iterable[list[int]], reference: Iterable[np.ndarray], served: Iterable[np.ndarray], *, seed: int = 0
) -> LanguageParity:
    """Compare two ways of computing a model, text by text.

    Args:
        texts: the tokens of each, two or more.
        reference: for each text of t tokens, (t, vocabulary): log-probabilities of the next token after each place.
        served: the same, computed in the way in question.
        seed: of the bootstrap.
    """
    known, found, divergences, agreements = [], [], [], []
    for tokens, before, after in zip(texts, reference, served, strict=True):
        following = np.array(tokens[1:])
        places = np.arange(len(following))
        known.append(before[places, following].astype(np.float64))
        found.append(after[places, following].astype(np.float64))
        divergences.append(_divergence(before, after))
        agreements.append((before.argmax(-1) == after.argmax(-1)).astype(np.float64))
    weights = _bootstrap_weights(len(known), seed)
    return LanguageParity(
        texts=len(known),
        tokens=sum(map(len, divergences)),
        perplexity=float(np.exp(-np.concatenate(known).mean())),
        perplexity_ratio=_figure([a - b for a, b in zip(known, found, strict=True)], weights, exponent=True),
        mean_divergence=_figure(divergences, weights),
        tail_divergence=_tail_figure(divergences, weights),
        greatest_divergence=float(np.concatenate(divergences).max()),
        agreement=_figure(agreements, weights),
    )


def _divergence(reference: np.ndarray, served: np.ndarray) -> np.ndarray:
    """Kullback & Leibler's, of each place: (t,). Rounding may leave a little less than zero."""
    return np.maximum(0.0, np.einsum("tv,tv->t", np.exp(reference), reference - served, dtype=np.float64))


def _bootstrap_weights(count: int, seed: int) -> np.ndarray:
    """How often each text is drawn, in every resample: (resamples, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)


def _figure(values: list[np.ndarray], weights: np.ndarray, *, exponent: bool = False) -> Figure:
    """The mean over all places, with its interval."""
    sums, counts = np.array([v.sum() for v in values]), np.array([len(v) for v in values])
    mean, means = sums.sum() / counts.sum(), (weights @ sums) / (weights @ counts)
    low, high = np.quantile(means, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    found = np.exp([mean, low, high]) if exponent else (mean, low, high)
    value, low, high = map(float, found)
    return Figure(value, low, high)


def _tail_figure(values: list[np.ndarray], weights: np.ndarray) -> Figure:
    every = np.concatenate(values)
    of_text = np.repeat(np.arange(len(values)), [len(v) for v in values])
    order = np.argsort(every)
    drawn = np.cumsum(weights[:200, of_text[order]], axis=1)
    places = (drawn < _TAIL * drawn[:, -1:]).sum(axis=1)
    tails = every[order][np.minimum(places, len(every) - 1)]
    low, high = np.quantile(tails, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Figure(float(np.quantile(every, _TAIL)), float(low), float(high))


@dataclass(frozen=True)
class ParityTexts:
    """What parity is measured on: plain texts, and chats as lists of messages."""

    texts: tuple[str, ...]
    chats: tuple[tuple[dict[str, str], ...], ...]


@cache
def parity_texts() -> ParityTexts:
    """Prose, code, data, lists and questions: see `parity_texts.toml`."""
    raw = tomllib.loads((files("mainspring.evaluation") / "parity_texts.toml").read_text("utf-8"))
    chats = []
    for chat in raw["chats"]:
        begin = [{"role": "system", "content": chat["system"]}] if "system" in chat else []
        turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(chat["turns"])]
        chats.append((*begin, *turns))
    return ParityTexts(tuple(raw["texts"]), tuple(chats))
