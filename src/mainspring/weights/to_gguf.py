"""A Hugging Face folder of the Llama family (safetensors, settings, tokenizer, chat template) as one GGUF file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.errors import WeightsError, require
from mainspring.weights import gguf_vocabulary, llama_family
from mainspring.weights.gguf_weights import (
    WeightType,
    Written,
    add_file_type,
    check_type,
    output_name,
    stored_type,
    write_tensors,
    writing,
)
from mainspring.weights.json_files import read_object
from mainspring.weights.tensor_files import Stored, stored_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter


def convert(folder: Path, target: Path, type_: WeightType = "F16") -> None:
    """Write the model in `folder` to the GGUF file `target`.

    Raises:
        WeightsError: the folder is no model of the Llama family, is damaged, or has what GGUF cannot say.
    """
    check_type(type_)
    require("gguf", "language")
    config = read_config(folder)
    architecture = _architecture(config, folder)
    tensors = _tensors(folder, config, architecture, type_)
    vocabulary = gguf_vocabulary.read(folder, config, rows=_rows_of_embeddings(tensors, folder))
    with writing(target, architecture) as writer:
        _add_settings(writer, config, architecture, folder.resolve().name)
        add_file_type(writer, type_)
        gguf_vocabulary.add(writer, vocabulary)
        write_tensors(writer, tensors)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json."""
    return read_object(folder / "config.json")


def _architecture(config: dict[str, Any], folder: Path) -> str:
    names = config.get("architectures") or []
    for name in names:
        if name in llama_family.ARCHITECTURES:
            return llama_family.ARCHITECTURES[name]
    raise WeightsError(f"{folder}: {', '.join(llama_family.ARCHITECTURES)} are converted here, found {names}")


def _tensors(folder: Path, config: dict[str, Any], architecture: str, type_: WeightType) -> list[Written]:
    stored: dict[str, Stored] = {}
    for name, tensor in stored_tensors(folder).items():
        if name.endswith("rotary_emb.inv_freq"):  # old files keep what can be computed
            continue
        found = llama_family.gguf_name(name)
        if found is None:
            raise WeightsError(f"{folder}: the tensor {name!r} belongs to no model of the Llama family")
        stored[found] = tensor
    if config.get("tie_word_embeddings", False):
        stored.pop("output.weight", None)
    layers, output = _integer(config, "num_hidden_layers"), output_name(stored)
    for name in (f"blk.{layer}.{part}.weight" for layer in range(layers) for part in ("attn_q", "ffn_down")):
        if name not in stored:
            raise WeightsError(f"{folder} has {layers} layers by its config.json, but no tensor for {name}")
    written = [
        Written(
            name,
            tensor.shape,
            stored_type(name, tensor.shape, type_, output),
            _values(name, tensor, config, architecture),
        )
        for name, tensor in sorted(stored.items(), key=lambda item: _place(item[0]))
    ]
    scaling = rope_scaling(config)
    if scaling.get("rope_type") == "llama3":
        factors = llama_family.llama3_factors(rope_theta(config), head_width(config), scaling)
        written.insert(0, Written(llama_family.ROPE_FACTORS, factors.shape, "F32", lambda: factors))
    return written


def _values(name: str, tensor: Stored, config: dict[str, Any], architecture: str) -> Callable[[], np.ndarray]:
    heads = _integer(config, "num_attention_heads")
    rotary = llama_family.rotary_heads(architecture, name, heads, config.get("num_key_value_heads") or heads)
    if rotary is None:
        return tensor.values
    if tensor.shape[0] % (2 * rotary):
        raise WeightsError(f"the rows of {name}, {tensor.shape[0]}, are not those of {rotary} heads")
    return lambda: llama_family.to_neighbours(tensor.values(), rotary)


def _place(name: str) -> tuple[int, str]:
    """Layers in their order, and what is no layer's first."""
    parts = name.split(".")
    return (int(parts[1]), name) if parts[0] == "blk" else (-1, name)


def _rows_of_embeddings(tensors: list[Written], folder: Path) -> int:
    for tensor in tensors:
        if tensor.name == "token_embd.weight":
            return tensor.shape[0]
    raise WeightsError(f"{folder} has no embeddings (model.embed_tokens.weight)")


def _add_settings(writer: GGUFWriter, config: dict[str, Any], architecture: str, name: str) -> None:
    heads = _integer(config, "num_attention_heads")
    context = _integer(config, "max_position_embeddings")
    window = config.get("sliding_window")
    if window and config.get("use_sliding_window", architecture == "llama"):
        context = min(context, window)  # within one window, attention to the window is attention to all
    writer.add_type("model")
    writer.add_name(name)
    writer.add_quantization_version(2)
    writer.add_block_count(_integer(config, "num_hidden_layers"))
    writer.add_context_length(context)
    writer.add_embedding_length(_integer(config, "hidden_size"))
    writer.add_feed_forward_length(_integer(config, "intermediate_size"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_rope_freq_base(rope_theta(config))
    writer.add_rope_dimension_count(head_width(config))
    writer.add_vocab_size(_integer(config, "vocab_size"))
    if head_width(config) * heads != _integer(config, "hidden_size") or architecture == "qwen3":
        writer.add_key_length(head_width(config))
        writer.add_value_length(head_width(config))
    _add_scaling(writer, rope_scaling(config))


def _add_scaling(writer: GGUFWriter, scaling: dict[str, Any]) -> None:
    from gguf import RopeScalingType

    kind = scaling.get("rope_type", "default")
    if kind in {"default", "llama3"}:  # Llama 3's is a tensor
        return
    if kind not in {"linear", "yarn"}:
        raise WeightsError(f"positions scaled by {kind!r} are not converted here: default, linear, yarn and llama3 are")
    writer.add_rope_scaling_type(RopeScalingType(kind))
    writer.add_rope_scaling_factor(float(scaling["factor"]))
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(int(scaling["original_max_position_embeddings"]))


def rope_scaling(config: dict[str, Any]) -> dict[str, Any]:
    """How positions are scaled: `rope_parameters` (transformers 5) or `rope_scaling`; empty where they are not."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    if "type" in found:
        found.setdefault("rope_type", found.pop("type"))
    return found


def rope_theta(config: dict[str, Any]) -> float:
    """The base of the rotary frequencies."""
    return float(rope_scaling(config).get("rope_theta") or config.get("rope_theta") or 10_000.0)


def head_width(config: dict[str, Any]) -> int:
    """How many dimensions a head has."""
    return config.get("head_dim") or _integer(config, "hidden_size") // _integer(config, "num_attention_heads")


def _integer(config: dict[str, Any], name: str) -> int:
    found = config.get(name)
    if type(found) is not int or found < 1:
        raise WeightsError(f"config.json: {name} must be a whole number from 1, found {found!r}")
    return found
