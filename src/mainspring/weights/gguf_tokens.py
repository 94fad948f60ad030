"""The tokenizer that the metadata of a GGUF file describes, built for the `tokenizers` library.

A GGUF file has no `tokenizer.json`. It lists tokens with their types, and merges (byte-level BPE) or scores
(SentencePiece); how text is split before it is merged it only names, in `tokenizer.ggml.pre`. What a name stands for is
taken from the `tokenizer.json` files that those models were published with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mainspring.errors import WeightsError, require
from mainspring.weights.gguf import Header

if TYPE_CHECKING:
    import tokenizers
    from tokenizers.pre_tokenizers import PreTokenizer

# tokenizer.ggml.token_type
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA_3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_QWEN_2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_WORDS = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_TEKKEN = rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"

SPLITS = {"llama-bpe": _LLAMA_3, "llama3": _LLAMA_3, "llama-v3": _LLAMA_3, "tekken": _TEKKEN}
SPLITS |= dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2"), _QWEN_2)
GPT_2 = ("gpt-2", "phi-2", "olmo", "mpt")
SINGLE_DIGITS = ("smollm", "starcoder", "refact", "codeshell")  # GPT-2's split, after each digit stands alone
COMPOSED = ("qwen2", "deepseek-r1-qwen")  # e and an accent become é first
# Words that are tokens are taken whole, whatever the merges say.
WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3", "tekken")


def backend_of_gguf(header: Header) -> tuple[tokenizers.Tokenizer, Literal["byte-level", "sentencepiece"], bool]:
    """The tokenizer, what its tokens spell, and whether a space is put before the text.

    Raises:
        WeightsError: the file has no tokenizer, a damaged one, or one of a kind that is not read here.
    """
    library = require("tokenizers", "language")
    model = header.text("tokenizer.ggml.model")
    tokens = header.texts("tokenizer.ggml.tokens")
    if model is None or not tokens:
        raise WeightsError(f"{header.path} has no tokenizer: no tokenizer.ggml.model, or no tokenizer.ggml.tokens")
    types = _numbers(header, "token_type", len(tokens), NORMAL)
    vocabulary = {token: id_ for id_, token in enumerate(tokens)}
    if len(vocabulary) < len(tokens):
        raise WeightsError(f"{header.path}: {len(tokens) - len(vocabulary)} of its tokens are there twice")
    if model == "gpt2":
        backend, adds_space = _byte_level(header, vocabulary), False
    elif model == "llama":
        adds_space = header.boolean("tokenizer.ggml.add_space_prefix", True)
        backend = _sentencepiece(header, tokens, vocabulary, types, adds_space)
    else:
        raise WeightsError(f"{header.path}: tokenizers of the kinds gpt2 and llama are read here, found {model!r}")
    backend.add_tokens(
        [
            library.AddedToken(tokens[id_], normalized=False, special=bool(types[id_] != USER_DEFINED))
            for id_ in np.flatnonzero((types == CONTROL) | (types == USER_DEFINED) | (types == UNKNOWN))
        ]
    )
    return backend, "byte-level" if model == "gpt2" else "sentencepiece", adds_space


def _byte_level(header: Header, vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    pre = header.text("tokenizer.ggml.pre")
    merges = []
    for merge in header.texts("tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if not (left in vocabulary and right in vocabulary and left + right in vocabulary):
            raise WeightsError(f"{header.path}: the merge {merge!r:.80} must be two tokens that make a third")
        merges.append((left, right))
    backend = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre in WHOLE_WORDS))
    backend.pre_tokenizer = _split(header, pre)
    if pre in COMPOSED:
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    return backend


def _split(header: Header, pre: str | None) -> PreTokenizer:
    from tokenizers import Regex, pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre in GPT_2:
        return byte_level
    if pre in SINGLE_DIGITS:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    if pre in SPLITS:
        byte_level.use_regex = False
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"), byte_level])
    known = ", ".join(sorted({*GPT_2, *SINGLE_DIGITS, *SPLITS}))
    raise WeightsError(
        f"{header.path} splits text in a way not known here (tokenizer.ggml.pre): {pre!r}. Known: {known}"
    )


def name_of_split(written: dict[str, Any], path: Path) -> str:
    """The name in GGUF of how a byte-level `tokenizer.json` splits text.

    Raises:
        WeightsError: it splits in a way that has no name here.
    """
    steps = written.get("pre_tokenizer") or {}
    parts = steps.get("pretokenizers", [steps])
    patterns = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    kinds = [part.get("type") for part in parts]
    composed = "NFC" in json.dumps(written.get("normalizer"))
    if kinds == ["ByteLevel"]:
        return GPT_2[0]
    if kinds == ["Digits", "ByteLevel"]:
        return SINGLE_DIGITS[0]
    if kinds == ["Split", "ByteLevel"]:
        for name, pattern in SPLITS.items():
            if patterns == [pattern] and composed == (name in COMPOSED):
                return name
    raise WeightsError(f"{path}: no GGUF file says that text is split as it is here: {json.dumps(steps)}")


def _sentencepiece(
    header: Header, tokens: list[str], vocabulary: dict[str, int], types: np.ndarray, adds_space: bool
) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    scores = _numbers(header, "scores", len(tokens), 0)
    unknown = header.integer("tokenizer.ggml.unknown_token_id", 0)
    assert unknown is not None
    if not 0 <= unknown < len(tokens):
        raise WeightsError(f"{header.path}: its tokenizer has {len(tokens)} tokens, but it names the token {unknown}")
    merges = _merges([tokens[id_] for id_ in np.flatnonzero(types == NORMAL)], vocabulary, scores)
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token=tokens[unknown], fuse_unk=True, byte_fallback=True))
    spaces = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces] if adds_space else [spaces])
    whole = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*whole, decoders.Strip(" ", 1, 0)] if adds_space else whole)
    return backend


def _merges(pieces: list[str], vocabulary: dict[str, int], scores: np.ndarray) -> list[tuple[str, str]]:
    """Every way to put two tokens together to a third: the best third first, then the longer left part.

    SentencePiece keeps scores and no merges; `LlamaConverter` of transformers orders them in this way.
    """
    found = [
        (float(scores[vocabulary[piece]]), at, len(piece) - at, piece)
        for piece in pieces
        for at in range(1, len(piece))
        if piece[:at] in vocabulary and piece[at:] in vocabulary
    ]
    found.sort(key=lambda merge: merge[:3], reverse=True)
    return [(piece[:at], piece[at:]) for _, at, _, piece in found]


def _numbers(header: Header, name: str, length: int, default: int) -> np.ndarray:
    found = header.values.get(f"tokenizer.ggml.{name}", np.full(length, default))
    if not isinstance(found, np.ndarray) or len(found) != length:
        raise WeightsError(f"{header.path}: tokenizer.ggml.{name} must be a number for each of its {length} tokens")
    return found
