"""An encoder (BERT and its like, from a Hugging Face folder) as an ONNX graph, which needs no PyTorch to run.

What goes in is `input_ids`, `attention_mask` and `token_type_ids`, (n, t) int64; what comes out is `last_hidden_state`,
(n, t, width) float32. Pooling is not in the graph: the folder says how to pool, and `runtimes.language.embedding` does
it. So the graph is one that other servers of such folders read too.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import ParityError, WeightsError, require
from mainspring.tasks.bert import read_bert, states
from mainspring.tasks.bert_graph import write_graph

FILE_NAME = "model.onnx"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
TOLERANCE = 1e-4  # of a number, beside its size; float32 sums in another order
_COPIED = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_OPSET = 18


def export_encoder(folder: Path, target: Path) -> None:
    """Write the encoder in `folder` to the new folder `target`: its graph, and the settings and tokenizer beside it.

    BERT models are written from their weights; for others PyTorch and transformers are needed.

    Raises:
        WeightsError: there is no encoder in `folder`, or one that takes other inputs.
        ParityError: the graph does not compute what the encoder does.
        MissingExtraError: PyTorch is needed, and not installed.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    for settings in folder.glob("*_Pooling/config.json"):
        (target / settings.parent.name).mkdir(exist_ok=True)
        shutil.copyfile(settings, target / settings.parent.name / settings.name)
    bert = read_bert(folder)
    if bert is None:
        _trace(folder, target / FILE_NAME)
        return
    write_graph(bert, target / FILE_NAME, INPUTS, OUTPUT)
    _prove(target / FILE_NAME, bert.vocabulary, lambda example: states(bert, *(example[name] for name in INPUTS)))


def _trace(folder: Path, path: Path) -> None:
    """By PyTorch's exporter."""
    torch = require("torch", "encoder")
    transformers = require("transformers", "encoder")
    try:
        model = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
        ).eval()
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no encoder that transformers reads: {error}") from None
    example = _example(model.config.vocab_size, (2, 9))
    dynamic = {name: {0: "n", 1: "t"} for name in (*INPUTS, OUTPUT)}
    with warnings.catch_warnings(), torch.inference_mode():
        # The exporter that torch now prefers needs packages of its own; this one says that it is the older.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _hidden_state(model),
                tuple(torch.from_numpy(example[name]) for name in INPUTS),
                str(path),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_axes=dynamic,
                opset_version=_OPSET,
                dynamo=False,
            )
        except TypeError as error:
            raise WeightsError(f"the encoder in {folder} does not take {', '.join(INPUTS)}: {error}") from None

    def asked(inputs: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
            return model(**tensors).last_hidden_state.numpy()

    _prove(path, model.config.vocab_size, asked)


def _hidden_state(model: Any) -> Any:
    """The model with the inputs and the output that the graph is to have, and no others."""
    import torch

    class HiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.model(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state

    return HiddenState().eval()


def _prove(graph: Path, vocabulary: int, encoder: Callable[[dict[str, np.ndarray]], np.ndarray]) -> None:
    """Compare the graph with the encoder, at another shape than it was made with, and with padding."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    example = _example(vocabulary, (3, 17))
    wanted = encoder(example)
    [found] = session.run([OUTPUT], example)
    real = example["attention_mask"] == 1
    worst = float(np.abs(found - wanted)[real].max())
    if not worst <= TOLERANCE * max(1.0, float(np.abs(wanted[real]).max())):
        raise ParityError(f"the graph of the encoder is off by {worst:.2g}, and {TOLERANCE:g} is allowed")


def _example(vocabulary: int, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(0).integers(0, vocabulary, shape)
    mask = np.ones(shape, np.int64)
    mask[0, shape[1] // 2 :] = 0
    return dict(zip(INPUTS, (ids, mask, np.zeros(shape, np.int64)), strict=True))
