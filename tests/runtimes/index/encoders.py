"""Tiny encoders whose states can be told by heart: a word's state is the row of a table, or the sum of a few."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "cat", "dog", "the", "of"]


def table(width: int, seed: int = 0) -> np.ndarray:
    """(words, width) float32: the states."""
    return np.random.default_rng(seed).standard_normal((len(WORDS), width)).astype(np.float32)


def write_encoder(folder: Path, states: np.ndarray, context: int = 32) -> Path:
    """An encoder that gives each token its row of `states`."""
    return _write(folder, states, context, [], "last_hidden_state", ["input_ids", "attention_mask", "token_type_ids"])


def write_cross_encoder(folder: Path, weights: np.ndarray, context: int = 32) -> Path:
    """A cross-encoder without `token_type_ids`: the (words, labels) `weights` of the tokens that count, summed."""
    nodes = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["states", "column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens"], ["logits"], keepdims=0),
    ]
    return _write(folder, weights, context, nodes, "logits", ["input_ids", "attention_mask"])


def _write(folder: Path, states: np.ndarray, context: int, nodes: list, output: str, inputs: list[str]) -> Path:
    folder.mkdir(parents=True)
    gather = helper.make_node("Gather", ["table", "input_ids"], [output if not nodes else "states"], axis=0)
    constants = {"table": states, "last": np.array([-1]), "tokens": np.array([1])}
    graph = helper.make_graph(
        [gather, *nodes],
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "model.onnx")
    settings = {"hidden_size": states.shape[1], "max_position_embeddings": context}
    (folder / "config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
