"""Small tokenizers of the kinds in use, trained here, as a GGUF file and as a Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFWriter
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and it isn't the first time: they'll do it again.",
    "In 1969 people walked on the moon; by 2026 nobody had gone back. Costs: $25,400,000,000!",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))  # three\n",
    '{"name": "café", "größe": 12, "ok": true}',
    "Ça va très bien, merci. Ångström naïve coöperation façade.",
    "東京は日本の首都です。 🙂🙃 👩‍👩‍👧",
    "the the the that this there then than other another brother",
]
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
CONTROL = ["<|begin|>", "<|im_end|>", "<|im_start|>"]
NOT_CONTROL = ["<think>"]


@dataclass(frozen=True)
class Trained:
    """A trained tokenizer; `reference` is what transformers makes of it."""

    gguf: Path
    folder: Path
    reference: PreTrainedTokenizerFast


def byte_level(folder: Path, pre: str) -> Trained:
    """As Llama 3's ("llama-bpe"), Qwen 2's ("qwen2"), GPT-2's ("gpt-2") or SmolLM2's ("smollm")."""
    backend = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    parts = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = {
        "gpt-2": whole,
        "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole]),
        "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN_2), "isolated"), parts]),
        "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA_3), "isolated"), parts]),
    }[pre]
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=sorted(alphabet), show_progress=False)
    )
    added = [AddedToken(token, normalized=False, special=True) for token in CONTROL]
    backend.add_tokens([*added, *(AddedToken(token, normalized=False, special=False) for token in NOT_CONTROL)])
    if pre == "llama-bpe":
        backend.post_processor = processors.TemplateProcessing(
            "<|begin|> $A", special_tokens=[("<|begin|>", backend.token_to_id("<|begin|>"))]
        )
    return _write(folder, backend, pre=pre)


def sentencepiece(folder: Path, adds_space: bool = True) -> Trained:
    """As Llama 2's: pieces with scores, bytes that no piece spells as <0x0A>."""
    spaces = normalizers.Replace(" ", "▁")
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces] if adds_space else [spaces])
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizer
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(CORPUS[:4], trainers.BpeTrainer(vocab_size=250, show_progress=False))
    pieces = [piece for piece, _ in sorted(trained.get_vocab().items(), key=lambda item: item[1])]
    pieces.sort(key=lambda piece: len(piece) == 1)  # characters come last, as in SentencePiece's files
    first = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {token: id_ for id_, token in enumerate([*first, *pieces])}
    scores = {piece: -float(rank) for rank, piece in enumerate(pieces)}
    merges = [
        (left, right) for left, right in generate_merges(vocabulary, scores) if left not in first and right not in first
    ]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizer
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if adds_space else steps)
    backend.add_tokens([AddedToken(token, normalized=False, special=True) for token in first[:3]])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return _write(folder, backend, scores=scores, adds_space=adds_space)


def _write(
    folder: Path,
    backend: Tokenizer,
    pre: str | None = None,
    scores: dict[str, float] | None = None,
    adds_space: bool = True,
) -> Trained:
    bos, eos = ("<s>", "</s>") if scores else ("<|begin|>", "<|im_end|>")
    reference = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, eos_token=eos)
    reference.save_pretrained(folder)
    vocabulary = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocabulary]
    writer = GGUFWriter(folder / "model.gguf", "llama")
    writer.add_tokenizer_model("llama" if scores else "gpt2")
    writer.add_token_list(tokens)
    kinds = dict.fromkeys([*CONTROL, "<s>", "</s>"], 3) | dict.fromkeys(NOT_CONTROL, 4) | {"<unk>": 2}
    writer.add_token_types([kinds.get(token, 6 if token.startswith("<0x") else 1) for token in tokens])
    if scores:
        writer.add_token_scores([scores.get(token, 0.0) for token in tokens])
        writer.add_add_space_prefix(adds_space)
    else:
        merges = _merges(backend)
        writer.add_token_merges(merges)
        writer.add_tokenizer_pre(pre)
    writer.add_bos_token_id(tokens.index(bos))
    writer.add_eos_token_id(tokens.index(eos))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Trained(folder / "model.gguf", folder, reference)


def _merges(backend: Tokenizer) -> list[str]:
    import json

    return [" ".join(merge) for merge in json.loads(backend.to_str())["model"]["merges"]]
