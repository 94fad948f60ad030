"""A BERT model as a graph without PyTorch: it has to say what transformers says."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring.errors import WeightsError
from mainspring.tasks.bert import read_bert, states
from mainspring.tasks.export_encoder import FILE_NAME, INPUTS, export_encoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a BERT of random weights, and what transformers says of an example with padding."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    model, folder = BertModel(config).eval(), tmp_path_factory.mktemp("bert")
    model.save_pretrained(folder)
    rng = np.random.default_rng(1)
    ids, mask, types = rng.integers(0, 50, (3, 11)), np.ones((3, 11), np.int64), rng.integers(0, 2, (3, 11))
    mask[1, 4:] = 0
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(value) for name, value in zip(INPUTS, (ids, mask, types), strict=True)}
        return folder, (ids, mask, types), model(**tensors).last_hidden_state.numpy()


def test_numpy_says_what_transformers_says(tiny):
    folder, (ids, mask, types), expected = tiny
    found = states(read_bert(folder), ids, mask, types)
    assert np.abs(found - expected)[mask == 1].max() < 1e-4


def test_the_graph_says_what_transformers_says(tiny, tmp_path):
    import onnxruntime

    folder, example, expected = tiny
    export_encoder(folder, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / FILE_NAME), providers=["CPUExecutionProvider"])
    [found] = session.run(None, dict(zip(INPUTS, example, strict=True)))
    assert np.abs(found - expected)[example[1] == 1].max() < 1e-4


def test_a_missing_tensor_is_named(tiny, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder, _, _ = tiny
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        export_encoder(tmp_path, tmp_path / "out")


def test_other_architectures_are_left_to_pytorch(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "distilbert", "hidden_size": 24}')
    assert read_bert(tmp_path) is None
