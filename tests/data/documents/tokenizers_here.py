"""Tokenizers of the two families, with vocabularies of signs: every letter is a token, so that words are long."""

from __future__ import annotations

from mainspring.data.documents.tokens import TokenizerTokens

_SIGNS = [chr(code) for code in range(33, 127)]


def bert() -> TokenizerTokens:
    """WordPiece with what BERT does before and after it: 2 special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = [*_SIGNS, *(f"##{sign}" for sign in _SIGNS), "the", "##ing", "cat"]
    vocabulary = {piece: id_ for id_, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return TokenizerTokens(tokenizer)


def bytes_of_gpt() -> TokenizerTokens:
    """Bytes, of which some pairs are merged across white space: counts don't add up. No special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "a"), ("Ġa", "b"), ("Ġ", "Ġ"), ("a", "b")]
    vocabulary = {sign: id_ for id_, sign in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return TokenizerTokens(tokenizer)
