"""How many tokens a text has, and which, for the tokenizer of an embedder.

A collection says the same words again and again. A tokenizer of the BERT family cuts text at white space before it does
anything else, so that each word is tokenised once and looked up ever after: that is several times as fast, and the ids
are there when the text is embedded. Other tokenizers are asked for every text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mainspring.errors import RuntimeLoadError, require

_WORD = re.compile(r"[^ \t\n\r]+")
_RUN = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]")
_PLAIN = re.compile(r"[!-~]+")
_BYTES_OF_TOKEN = 4  # an id is kept as an int32
_MOST_WORDS = 1 << 18  # that are remembered
_BYTES_A_TOKEN = 3  # of English and its like in byte-level vocabularies: 4 and more; of others, fewer


class Tokens(Protocol):
    """What a splitter asks. `special` is how many tokens stand around every text; `additive`, whether the count of two
    texts with white space between them is the sum of their counts.
    """

    special: int
    additive: bool

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without the special ones."""

    def cuts(self, text: str, most: int) -> list[int]:
        """Where to cut `text` so that each piece has at most `most` tokens: places in it, ascending."""


class TokenizerTokens:
    """Counts and ids of a tokenizer of the `tokenizers` library, which is to cut and pad nothing."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        described = json.loads(tokenizer.to_str())
        begin = np.array(tokenizer.encode("", add_special_tokens=True).ids, np.int32)
        self.special = len(begin)
        self.additive = _cuts_at_white_space(described)
        self._around = _around(tokenizer, begin)
        contents = (re.escape(added["content"]) for added in described.get("added_tokens", []))
        self._added = re.compile("|".join(contents) or r"(?!)", re.IGNORECASE)
        self._known: dict[str, bytes] = {}

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, without the special ones."""
        if not self.additive:
            return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        return [len(joined) // _BYTES_OF_TOKEN for joined in self._looked_up(texts)]

    def ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, (t,) int32, the special ones among them: what the encoder gets."""
        if not self.additive:
            encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=True)
            return [np.array(one.ids, np.int32) for one in encoded]
        before, after = self._around
        return [np.frombuffer(before + joined + after, np.int32) for joined in self._looked_up(texts)]

    def cuts(self, text: str, most: int) -> list[int]:
        """Where to cut `text` so that each piece has at most `most` tokens: places in it, ascending."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        places: list[int] = []
        begin = 0
        while begin < len(text):
            inside = [end for start, end in offsets if start >= begin]
            end = inside[most - 1] if len(inside) > most else len(text)
            # A piece of a word can have more tokens than the same letters had within the word.
            while end - begin > 1 and self.counts([text[begin:end]])[0] > most:
                end = begin + (end - begin) * 3 // 4
            begin = max(end, begin + 1)
            places.append(begin)
        return places[:-1]

    def _looked_up(self, texts: Sequence[str]) -> list[bytes]:
        words = [_WORD.findall(text) for text in texts]
        new = set().union(*words).difference(self._known)
        if new:
            if len(self._known) + len(new) > _MOST_WORDS:
                self._known.clear()
                new = set().union(*words)
            self._learn(list(new))
        known = self._known.__getitem__
        return [b"".join(map(known, found)) for found in words]

    def _learn(self, words: list[str]) -> None:
        """Words of ASCII are cut further, at every sign, as the tokenizer does: of those pieces there are far fewer."""
        cut = [
            _RUN.findall(word) if _PLAIN.fullmatch(word) and not self._added.search(word) else [word] for word in words
        ]
        pieces = list(set().union(*cut))
        encoded = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
        ids = {piece: np.array(one.ids, np.int32).tobytes() for piece, one in zip(pieces, encoded, strict=True)}
        for word, parts in zip(words, cut, strict=True):
            self._known[word] = ids[parts[0]] if len(parts) == 1 else b"".join([ids[part] for part in parts])


class EstimatedTokens:
    """For an endpoint, whose tokenizer is not known: a word has a token for every three bytes begun."""

    special = 2
    additive = True

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, at a guess on the high side."""
        return [
            sum(-(-len(word.encode("utf-8", "replace")) // _BYTES_A_TOKEN) for word in _WORD.findall(text))
            for text in texts
        ]

    def cuts(self, text: str, most: int) -> list[int]:
        """Where to cut `text`: a character has four bytes at the most."""
        step = max(1, most * _BYTES_A_TOKEN // 4)
        return list(range(step, len(text), step))


def read_tokenizer(path: Path) -> TokenizerTokens:
    """The tokens of the tokenizer in the file `tokenizer.json`.

    Raises:
        RuntimeLoadError: it cannot be read.
    """
    try:
        tokenizer = require("tokenizers", "language").Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise RuntimeLoadError(f"{path} cannot be read: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TokenizerTokens(tokenizer)


def _cuts_at_white_space(described: dict[str, Any]) -> bool:
    """Whether it is BERT's: white space and signs part words before anything else looks at them."""
    normalizer = described.get("normalizer") or {}
    added = described.get("added_tokens") or []
    return (
        described["model"]["type"] == "WordPiece"
        and (described.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and normalizer.get("type") == "BertNormalizer"
        and bool(normalizer.get("clean_text"))
        and not any(re.search(r"\s", token["content"]) for token in added)
    )


def _around(tokenizer: Any, special: np.ndarray) -> tuple[bytes, bytes]:
    """What stands before every text, and what after it."""
    with_text = tokenizer.encode("a", add_special_tokens=True)
    before = with_text.special_tokens_mask.index(0) if 0 in with_text.special_tokens_mask else len(special)
    return special[:before].tobytes(), special[before:].tobytes()
