"""The Llama family, in the words of Hugging Face and in those of GGUF.

Llama 2 and 3, Mistral and SmolLM2 are the architecture `llama` of GGUF; Qwen 2 and 2.5 are `qwen2`, Qwen 3 is `qwen3`.
The names and the order of the rotary dimensions follow llama.cpp's converter (`convert_hf_to_gguf.py`), so that
llama.cpp and OpenVINO read what is written here.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from mainspring.errors import WeightsError

# Hugging Face's `architectures`: the architecture in GGUF.
ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
# The architecture in GGUF: Hugging Face's, and its `model_type`.
HUGGING_FACE = {
    "llama": ("LlamaForCausalLM", "llama"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
}
ROPE_FACTORS = "rope_freqs.weight"

_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_FROM_GGUF = {gguf: name for name, gguf in _WHOLE.items()} | {gguf: name for name, gguf in _IN_LAYER.items()}
_HUGGING_FACE_NAME = re.compile(r"(?:model\.layers\.(?P<layer>\d+)\.)?(?P<part>.+)\.(?P<kind>weight|bias)")
_GGUF_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<kind>weight|bias)")


def gguf_name(name: str) -> str | None:
    """The name in GGUF of a tensor of Hugging Face's, or None: there is no such tensor in this family."""
    found = _HUGGING_FACE_NAME.fullmatch(name)
    if found is None:
        return None
    part = (_WHOLE if found["layer"] is None else _IN_LAYER).get(found["part"])
    prefix = "" if found["layer"] is None else f"blk.{found['layer']}."
    return None if part is None else f"{prefix}{part}.{found['kind']}"


def hugging_face_name(name: str) -> str | None:
    """The name at Hugging Face of a tensor of GGUF's, or None: there is no such tensor in this family."""
    found = _GGUF_NAME.fullmatch(name)
    if found is None or found["part"] not in _FROM_GGUF:
        return None
    part = _FROM_GGUF[found["part"]]
    if (part in _WHOLE) is not (found["layer"] is None):
        return None
    prefix = "" if found["layer"] is None else f"model.layers.{found['layer']}."
    return f"{prefix}{part}.{found['kind']}"


def rotary_heads(architecture: str, gguf_tensor: str, heads: int, key_heads: int) -> int | None:
    """How many heads the rows of a tensor are, if their rotary dimensions stand in another order in GGUF; else None.

    Hugging Face turns dimension i with i + half, llama.cpp's `llama` turns neighbours; `qwen2` and `qwen3` do not
    differ.
    """
    if architecture != "llama":
        return None
    part = gguf_tensor.split(".")[-2]
    return {"attn_q": heads, "attn_k": key_heads}.get(part)


def to_neighbours(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows in Hugging Face's order, (heads * 2 * half, …), in GGUF's."""
    halves = rows.reshape(heads, 2, -1, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def to_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows in GGUF's order, (heads * half * 2, …), in Hugging Face's."""
    pairs = rows.reshape(heads, -1, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def llama3_factors(theta: float, dimensions: int, scaling: dict[str, Any]) -> np.ndarray:
    """By what Llama 3.1 divides the frequency of each pair of dimensions, (dimensions / 2) float32.

    Fast ones stay, slow ones are divided by `factor`, and between them it goes over smoothly
    (`_compute_llama3_parameters` in transformers' `modeling_rope_utils.py`).
    """
    factor, low, high = (float(scaling[name]) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    context = float(scaling["original_max_position_embeddings"])
    found = []
    for index in range(0, dimensions, 2):
        turns = context * theta ** (-index / dimensions) / (2 * math.pi)  # in the original context
        smooth = (turns - low) / (high - low)
        found.append(factor if smooth < 0 else 1.0 if smooth > 1 else 1 / ((1 - smooth) / factor + smooth))
    return np.array(found, np.float32)


def llama3_scaling(theta: float, dimensions: int, factors: np.ndarray) -> dict[str, Any]:
    """The settings that give these factors. GGUF keeps the factors alone, so those of the published models are tried.

    Raises:
        WeightsError: none of them gives these factors.
    """
    for context in (8192, 4096, 2048, 16384, 32768):
        scaling = {
            "rope_type": "llama3",
            "factor": float(factors.max()),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": context,
        }
        if np.allclose(llama3_factors(theta, dimensions, scaling), factors, rtol=1e-5):
            return scaling
    raise WeightsError(f"the tensor {ROPE_FACTORS} has factors that no scaling of Llama 3's gives: {factors.tolist()}")
