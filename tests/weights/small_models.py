"""Small models of the Llama family with weights drawn at random, and what llama.cpp makes of their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import torch
from runtimes.language import vocabularies
from transformers import LlamaConfig, MistralConfig, PreTrainedModel, Qwen2Config, Qwen3Config
from transformers.models.auto import AutoModelForCausalLM

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
KINDS = {
    "llama 2": (LlamaConfig, {"rms_norm_eps": 1e-5}, "sentencepiece"),
    "llama 3": (
        LlamaConfig,
        {
            "rope_parameters": LLAMA_3_ROPE,
            "max_position_embeddings": 16384,
            "tie_word_embeddings": True,
            "head_dim": 32,
        },
        "llama-bpe",
    ),
    "mistral": (MistralConfig, {"sliding_window": None}, "sentencepiece"),
    "smollm 2": (LlamaConfig, {"tie_word_embeddings": True}, "smollm"),
    "qwen 2": (Qwen2Config, {"tie_word_embeddings": True}, "qwen2"),
    "qwen 3": (Qwen3Config, {"head_dim": 32}, "qwen2"),
}


@dataclass(frozen=True)
class Small:
    folder: Path
    model: PreTrainedModel
    words: vocabularies.Trained

    def logprobs(self, ids: np.ndarray) -> np.ndarray:
        """(batch, length) → (batch, length, vocabulary)."""
        return logprobs(self.model, ids)


def make(kind: str, folder: Path, **changes: object) -> Small:
    """A model of this kind. Its weights fit into float16, so that a file of F16 loses nothing."""
    config_class, settings, words = KINDS[kind]
    trained = vocabularies.sentencepiece(folder) if words == "sentencepiece" else vocabularies.byte_level(folder, words)
    trained.gguf.unlink()
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    special = {"bos_token_id": trained.reference.bos_token_id, "eos_token_id": trained.reference.eos_token_id}
    size = len(trained.reference) + 3  # embeddings are often filled up beyond the tokens
    config = config_class(vocab_size=size, **{**SIZES, **settings, **special, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for weights in model.parameters():
            drawn = torch.randn_like(weights) * 0.3 if weights.ndim > 1 else 1 + torch.randn_like(weights) * 0.1
            weights.copy_(drawn.half().float())
    model.save_pretrained(folder)
    return Small(folder, model, trained)


def logprobs(model: PreTrainedModel, ids: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return torch.log_softmax(model(torch.from_numpy(ids)).logits, -1).numpy()


@contextmanager
def in_llamacpp(path: Path) -> Iterator[httpx.Client]:
    """llama.cpp's server with the GGUF file."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.warmup = str(path), 256, False
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(settings)
    with httpx.Client(base_url=server.listening_address, timeout=30) as client:
        yield client


def next_in_llamacpp(client: httpx.Client, ids: list[int], size: int, plain: int) -> np.ndarray:
    """The log-probabilities of the next token, (vocabulary,).

    The server holds back what is no whole character, and its probabilities with it; so it is made to choose the token
    `plain`, which does not change the probabilities that it tells.
    """
    asked = {"prompt": ids, "n_predict": 1, "n_probs": size, "temperature": 0, "cache_prompt": False}
    answer = client.post("/completion", json=asked | {"logit_bias": [[plain, 1000]]}).json()
    found = np.full(size, np.nan)
    for likely in answer["completion_probabilities"][0]["top_logprobs"]:
        found[likely["id"]] = likely["logprob"]
    return found
