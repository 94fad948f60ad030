"""BERT (Devlin and others, 2019), from a Hugging Face folder: its weights, and its arithmetic in NumPy.

Most encoders that make vectors of texts are of this architecture (MiniLM, E5, BGE, GTE). What is computed here, slowly
and in 64 bits, is what the graph that `bert_graph` writes is proven against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mainspring.errors import WeightsError
from mainspring.weights.json_files import json_object
from mainspring.weights.tensor_files import Stored, stored_tensors

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")


@dataclass(frozen=True)
class Bert:
    """A model. `tensor` gives one by its name in the folder, without the architecture's prefix, as float32."""

    width: int
    layers: int
    heads: int
    vocabulary: int
    positions: int
    epsilon: float
    tensor: Callable[[str], np.ndarray]

    def linear(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A layer's matrix, (inputs, outputs), and its bias."""
        return self.tensor(f"{name}.weight").T, self.tensor(f"{name}.bias")

    def normal(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """What a layer norm multiplies with, and what it adds."""
        return self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")


def read_bert(folder: Path) -> Bert | None:
    """The model in `folder`; None if it is of another architecture.

    Raises:
        WeightsError: it is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    config = json_object(path.read_bytes(), path)
    plain = (config.get("hidden_act"), config.get("position_embedding_type", "absolute")) == ("gelu", "absolute")
    if config.get("model_type") != "bert" or not plain:
        return None
    if wrong := [name for name in _SIZES if not isinstance(config.get(name), int) or config[name] < 1]:
        raise WeightsError(f"{path}: {wrong[0]} must be a number from 1 on, and is {config.get(wrong[0])!r}")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise WeightsError(f"{path}: hidden_size must be a multiple of num_attention_heads")
    stored = stored_tensors(folder)
    prefix = "bert." if any(name.startswith("bert.embeddings.") for name in stored) else ""
    width, layers, heads, vocabulary, positions = (config[name] for name in _SIZES)

    def tensor(name: str) -> np.ndarray:
        found: Stored | None = stored.get(prefix + name)
        if found is None:
            raise WeightsError(f"{folder} has no tensor {prefix + name!r}, which a BERT model has")
        return found.values()

    epsilon = float(config.get("layer_norm_eps", 1e-12))
    return Bert(width, layers, heads, vocabulary, positions, epsilon, tensor)


def states(bert: Bert, ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
    """The last hidden state, (n, t, width) float64, of (n, t) ids, attention mask and token types."""
    n, t = ids.shape
    embedded = (
        bert.tensor("embeddings.word_embeddings.weight").astype(np.float64)[ids]
        + bert.tensor("embeddings.position_embeddings.weight")[:t]
        + bert.tensor("embeddings.token_type_embeddings.weight")[types]
    )
    x = _normed(bert, "embeddings.LayerNorm", embedded)
    hidden = np.where(mask[:, None, None, :] == 1, 0.0, -np.inf)
    for layer in range(bert.layers):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            _applied(bert, f"{name}.attention.self.{part}", x).reshape(n, t, bert.heads, -1).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1]) + hidden
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heard = (weights / weights.sum(-1, keepdims=True) @ value).swapaxes(1, 2).reshape(n, t, bert.width)
        added = x + _applied(bert, f"{name}.attention.output.dense", heard)
        x = _normed(bert, f"{name}.attention.output.LayerNorm", added)
        between = _gelu(_applied(bert, f"{name}.intermediate.dense", x))
        x = _normed(bert, f"{name}.output.LayerNorm", x + _applied(bert, f"{name}.output.dense", between))
    return x


def _applied(bert: Bert, name: str, x: np.ndarray) -> np.ndarray:
    matrix, bias = bert.linear(name)
    return x @ matrix.astype(np.float64) + bias


def _normed(bert: Bert, name: str, x: np.ndarray) -> np.ndarray:
    times, plus = bert.normal(name)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + bert.epsilon) * times + plus


def _gelu(x: np.ndarray) -> np.ndarray:
    """Exactly (Hendrycks and Gimpel, 2016): x times the normal distribution's share below x."""
    from scipy.special import ndtr

    return x * ndtr(x)
