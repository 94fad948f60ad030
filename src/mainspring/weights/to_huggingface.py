"""A GGUF file of the Llama family as a Hugging Face folder, for `transformers` to load and to train.

Quantised weights are unpacked: what they lost stays lost, but the folder computes what the file does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mainspring.errors import WeightsError, require
from mainspring.files import write_atomically
from mainspring.weights import llama_family
from mainspring.weights.gguf import Header, Tensor, read_header
from mainspring.weights.gguf_tokens import backend_of_gguf
from mainspring.weights.gguf_weights import read_tensor
from mainspring.weights.tensor_files import Waiting, write_tensors

FloatType = Literal["F32", "F16", "BF16"]
_NAMES_IN_CONFIG = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def convert(path: Path, folder: Path, type_: FloatType = "F32") -> None:
    """Write the model in the GGUF file `path` to `folder`: safetensors, settings, tokenizer and chat template.

    Raises:
        WeightsError: the file is no model of the Llama family, or is damaged.
    """
    if type_ not in _NAMES_IN_CONFIG:
        raise WeightsError(f"weights are written as {', '.join(_NAMES_IN_CONFIG)}, not as {type_!r}")
    header = read_header(path)
    architecture = header.text("general.architecture")
    if architecture not in llama_family.HUGGING_FACE:
        raise WeightsError(f"{path}: {', '.join(llama_family.HUGGING_FACE)} are converted here, found {architecture!r}")
    config = _config(header, architecture)
    tensors = _tensors(header, architecture, config)
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder, header)
    _write_json(folder / "config.json", config | {"dtype": _NAMES_IN_CONFIG[type_]})
    _write_json(folder / "generation_config.json", {name: config[name] for name in config if name.endswith("token_id")})
    write_tensors(folder / "model.safetensors", tensors, type_)


def _config(header: Header, architecture: str) -> dict[str, Any]:
    class_name, model_type = llama_family.HUGGING_FACE[architecture]
    heads, width = _integer(header, "attention.head_count"), _integer(header, "embedding_length")
    head = header.integer(f"{architecture}.attention.key_length") or width // heads
    names = {tensor.name for tensor in header.tensors}
    embeddings = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    if embeddings is None or len(embeddings.shape) != 2:
        raise WeightsError(f"{header.path} has no embeddings (token_embd.weight)")
    config: dict[str, Any] = {
        "architectures": [class_name],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": _integer(header, "feed_forward_length"),
        "num_hidden_layers": _integer(header, "block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": header.integer(f"{architecture}.attention.head_count_kv") or heads,
        "head_dim": head,
        "max_position_embeddings": _integer(header, "context_length"),
        "rms_norm_eps": _number(header, "attention.layer_norm_rms_epsilon", 1e-6),
        "vocab_size": embeddings.shape[0],
        "tie_word_embeddings": "output.weight" not in names,
        "attention_bias": architecture == "llama" and "blk.0.attn_q.bias" in names,
        "rope_parameters": _rope(header, architecture, head),
    }
    if architecture == "llama":
        config["mlp_bias"] = "blk.0.ffn_down.bias" in names
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        id_ = header.integer(f"tokenizer.ggml.{key}_token_id")
        if id_ is not None:
            config[f"{name}_token_id"] = id_
    end = header.integer("tokenizer.ggml.eot_token_id")
    if end is not None and end != config.get("eos_token_id"):
        config["eos_token_id"] = [config.get("eos_token_id", end), end]
    return config


def _rope(header: Header, architecture: str, dimensions: int) -> dict[str, Any]:
    theta = _number(header, "rope.freq_base", 10_000.0)
    for tensor in header.tensors:
        if tensor.name == llama_family.ROPE_FACTORS:
            scaling = llama_family.llama3_scaling(theta, dimensions, read_tensor(header.path, tensor))
            return {"rope_theta": theta, **scaling}
    kind = header.text(f"{architecture}.rope.scaling.type", "none")
    if kind == "none":
        return {"rope_theta": theta, "rope_type": "default"}
    if kind not in {"linear", "yarn"}:
        raise WeightsError(f"{header.path}: positions scaled by {kind!r} are not converted here")
    scaling = {"rope_theta": theta, "rope_type": kind, "factor": _number(header, "rope.scaling.factor", 1.0)}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = _integer(header, "rope.scaling.original_context_length")
    return scaling


def _tensors(header: Header, architecture: str, config: dict[str, Any]) -> dict[str, Waiting]:
    found: dict[str, Waiting] = {}
    for tensor in header.tensors:
        if tensor.name == llama_family.ROPE_FACTORS:  # they are in the settings
            continue
        name = llama_family.hugging_face_name(tensor.name)
        if name is None:
            raise WeightsError(f"{header.path}: the tensor {tensor.name!r} belongs to no model of the Llama family")
        found[name] = (tensor.shape, _values(header, tensor, architecture, config))
    return found


def _values(header: Header, tensor: Tensor, architecture: str, config: dict[str, Any]) -> Callable[[], np.ndarray]:
    heads = llama_family.rotary_heads(
        architecture, tensor.name, config["num_attention_heads"], config["num_key_value_heads"]
    )
    if heads is None:
        return lambda: read_tensor(header.path, tensor)
    if tensor.shape[0] % (2 * heads):
        raise WeightsError(
            f"{header.path}: the rows of {tensor.name}, {tensor.shape[0]}, are not those of {heads} heads"
        )
    return lambda: llama_family.to_halves(read_tensor(header.path, tensor), heads)


def _write_tokenizer(folder: Path, header: Header) -> None:
    backend, _, _ = backend_of_gguf(header)
    tokens = header.texts("tokenizer.ggml.tokens")
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    ids = {name: header.integer(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    special = {f"{name}_token": tokens[id_] for name, id_ in ids.items() if id_ is not None and 0 <= id_ < len(tokens)}
    bos = special.get("bos_token")
    if bos and header.boolean("tokenizer.ggml.add_bos_token", header.text("tokenizer.ggml.model") == "llama"):
        processors = require("tokenizers.processors", "language")
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, ids["bos"])]
        )
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **special}
    template = header.text("tokenizer.chat_template")
    if template is not None:
        config["chat_template"] = template
    write_atomically(folder / "tokenizer.json", backend.to_str(pretty=True).encode())
    _write_json(folder / "tokenizer_config.json", config)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False).encode())


def _integer(header: Header, name: str) -> int:
    found = header.integer(f"{header.text('general.architecture')}.{name}")
    if found is None or found < 1:
        raise WeightsError(f"{header.path}: {name} must be a whole number from 1, found {found!r}")
    return found


def _number(header: Header, name: str, default: float) -> float:
    found = header.values.get(f"{header.text('general.architecture')}.{name}", default)
    if not isinstance(found, float):
        raise WeightsError(f"{header.path}: {name} must be a number, found {found!r:.80}")
    return found
