"""SmolLM2 as `transformers` computes it in float32, from the weights of its GGUF file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


@cache
def llama_of_gguf(path: Path) -> Any:
    """A `LlamaForCausalLM` with the weights of `path`, rounded as they are there and no further."""
    import torch
    from gguf import GGMLQuantizationType, dequantize
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    from mainspring.weights.gguf import read_header

    header = read_header(path)
    heads, key_heads = (header.integer(f"llama.attention.head_count{of}") for of in ("", "_kv"))
    config = LlamaConfig(
        vocab_size=header.integer("llama.vocab_size"),
        hidden_size=header.integer("llama.embedding_length"),
        intermediate_size=header.integer("llama.feed_forward_length"),
        num_hidden_layers=header.integer("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=header.integer("llama.context_length"),
        rms_norm_eps=header.values["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": header.values["llama.rope.freq_base"]},
        tie_word_embeddings=True,
    )
    data = np.memmap(path, np.uint8, mode="r")
    state = {}
    for tensor in header.tensors:
        raw = data[tensor.offset : tensor.offset + tensor.size]
        kind = GGMLQuantizationType[tensor.type]
        values = raw.view(np.float32) if kind.name == "F32" else dequantize(raw, kind)
        values = values.reshape(tensor.shape)
        if tensor.name.endswith("attn_q.weight"):
            values = _interleaved(values, heads)
        if tensor.name.endswith("attn_k.weight"):
            values = _interleaved(values, key_heads)
        state[_name(tensor.name)] = torch.from_numpy(np.array(values))
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    assert missing == ["lm_head.weight"], missing
    assert not unexpected, unexpected
    model.tie_weights()
    model.model.rotary_emb = LlamaRotaryEmbedding(config)  # has values that no file holds
    return model.eval()


def logprobs(path: Path, tokens: list[int]) -> np.ndarray:
    """The logarithms of the probabilities of every token after each of `tokens`: (n, vocabulary)."""
    import torch

    with torch.inference_mode():
        logits = llama_of_gguf(path)(torch.tensor([tokens])).logits[0]
        return torch.log_softmax(logits.double(), -1).numpy()


def _interleaved(weights: np.ndarray, heads: int | None) -> np.ndarray:
    """The rows of a projection in the order of `transformers`: llama.cpp turns neighbours, it turns halves."""
    assert heads
    pairs = weights.reshape(heads, weights.shape[0] // heads // 2, 2, weights.shape[1])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def _name(name: str) -> str:
    parts = {
        "token_embd": "embed_tokens",
        "output_norm": "norm",
        "blk": "layers",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    return "model." + ".".join(parts.get(part, part) for part in name.split("."))
