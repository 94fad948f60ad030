"""A model's own tokenizer: text to token ids, and a growing list of token ids back to text.

It comes from the metadata of a GGUF file or from a Hugging Face `tokenizer.json`, and is run by the `tokenizers`
library. Two kinds are read: byte-level BPE (Radford et al., 2019: GPT-2, Llama 3, Qwen, SmolLM2), whose tokens spell
bytes, and BPE as SentencePiece does it (Kudo & Richardson, 2018: Llama 2, Mistral), whose tokens spell text with ▁ for
a space, and bytes that no token spells as <0x0A>.

Decoding is done here, from the bytes of each token, because a token may end in the middle of a character.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mainspring.errors import RequestError, WeightsError, require
from mainspring.weights.gguf import Header, read_header
from mainspring.weights.gguf_tokens import backend_of_gguf

if TYPE_CHECKING:
    import tokenizers

Kind = Literal["byte-level", "sentencepiece"]

MOST_FILE_BYTES = 64 << 20  # of a tokenizer.json; those with 256,000 tokens have 35 MB
# Tokens that end an answer, in the models read here, whether their files name them or not.
END_TEXTS = frozenset(
    {
        "<|end_of_text|>",
        "<|endoftext|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|im_end|>",
        "<|end|>",
        "<end_of_turn>",
        "</s>",
    }
)
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Tokenizer:
    """A tokenizer. Thread-safe.

    Args:
        backend: what splits and merges.
        kind: what its tokens spell.
        bos_id: the token that begins a text, where the model has one.
        adds_bos: whether it was trained with `bos_id` before every text. `encode` never puts it there: who encodes a
            whole prompt does, unless a chat template has written it already.
        end_ids: the tokens that end an answer, besides those known by their text.
        adds_space: whether `encode` puts a space before the text, which `decode` takes away again.

    >>> tokenizer = Tokenizer.from_gguf(Path("model.gguf"))                                         # doctest: +SKIP
    >>> tokenizer.decode(tokenizer.encode("Hello"))                                                 # doctest: +SKIP
    'Hello'
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        kind: Kind,
        *,
        bos_id: int | None,
        adds_bos: bool,
        end_ids: Iterable[int] = (),
        adds_space: bool = False,
    ) -> None:
        self._parsing, self._kind, self._adds_space = backend, kind, adds_space
        self._parsing.no_truncation()
        self._parsing.no_padding()
        # Whether special tokens are seen in a text is a setting of the backend: two of them, since many ask at once.
        self._plain = type(backend).from_str(backend.to_str())
        self._plain.encode_special_tokens = True
        added = backend.get_added_tokens_decoder()
        self._added = {id_: token.content.encode() for id_, token in added.items()}
        self._control = frozenset(id_ for id_, token in added.items() if token.special)
        self.size: int = max(backend.get_vocab().values(), default=-1) + 1
        self.bos_id, self.adds_bos = bos_id, adds_bos
        known = (backend.token_to_id(text) for text in END_TEXTS)
        self.end_ids: frozenset[int] = frozenset(end_ids) | {id_ for id_ in known if id_ in self._control}

    @classmethod
    def from_gguf(cls, path: Path) -> Tokenizer:
        """The tokenizer in the GGUF file at `path`.

        Raises:
            WeightsError: there is none, it is damaged, or it is of a kind that is not read here.
        """
        return cls.from_header(read_header(path))

    @classmethod
    def from_header(cls, header: Header) -> Tokenizer:
        """The tokenizer that the header of a GGUF file describes."""
        backend, kind, adds_space = backend_of_gguf(header)
        size = backend.get_vocab_size()
        ends = [header.integer(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
        bos_id = header.integer("tokenizer.ggml.bos_token_id")
        for id_ in (*ends, bos_id):
            if id_ is not None and not 0 <= id_ < size:
                raise WeightsError(f"{header.path}: its tokenizer has {size} tokens, but it names the token {id_}")
        by_default = kind == "sentencepiece" or header.text("tokenizer.ggml.pre") in {"llama-bpe", "llama3", "tekken"}
        return cls(
            backend,
            kind,
            bos_id=bos_id,
            adds_bos=bos_id is not None and header.boolean("tokenizer.ggml.add_bos_token", by_default),
            end_ids=[id_ for id_ in ends if id_ is not None],
            adds_space=adds_space,
        )

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """The tokenizer of a Hugging Face model: `tokenizer.json`, and what the files beside it say of its tokens.

        Raises:
            WeightsError: there is none, it is damaged, or it is of a kind that is not read here.
        """
        path = folder / "tokenizer.json"
        text = _read(path)
        try:
            backend = require("tokenizers", "language").Tokenizer.from_str(text)
        except Exception as error:  # the library raises Exception itself
            raise WeightsError(f"{path} cannot be read: {error}") from None
        written = json.loads(text)
        kind = _kind_of(written.get("decoder"), path)
        config = _read_json(folder / "tokenizer_config.json")
        bos = config.get("bos_token")
        bos_id = backend.token_to_id(bos["content"] if isinstance(bos, dict) else bos) if bos else None
        begin = backend.encode("", add_special_tokens=True).ids
        return cls(
            backend,
            kind,
            bos_id=bos_id,
            adds_bos=bos_id is not None and begin[:1] == [bos_id],
            end_ids=_end_ids(folder, config, backend),
            adds_space=kind == "sentencepiece" and backend.encode("a", add_special_tokens=False).tokens[0][0] == "▁",
        )

    def encode(self, text: str, special: bool = True) -> list[int]:
        """The token ids of `text`. `special` says whether "<|im_end|>" in it is that token, or nine characters.

        Raises:
            RequestError: the text has lone surrogates, which are no characters.
        """
        try:
            return (self._parsing if special else self._plain).encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeEncodeError):
            raise RequestError("the text has surrogate code points that stand alone: they are no characters") from None

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of token ids, control tokens written out only if `special`; bytes of no character become U+FFFD."""
        detokenizer = Detokenizer(self, special)
        return "".join(map(detokenizer.feed, ids)) + detokenizer.end()

    def token(self, id_: int) -> str:
        """The token as the vocabulary spells it: "Ġthe", "▁the", "<|im_end|>".

        Raises:
            RequestError: there is no such token.
        """
        found = self._parsing.id_to_token(id_) if 0 <= id_ < self.size else None
        if found is None:
            raise RequestError(f"there is no token {id_}: this model has {self.size}")
        return found

    def token_bytes(self, id_: int) -> bytes:
        """What the token stands for: bytes, which need not be whole characters. Control tokens are their own name."""
        if id_ in self._added:
            return self._added[id_]
        token = self.token(id_)
        if self._kind == "sentencepiece":
            byte = _BYTE_TOKEN.fullmatch(token)
            return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()
        if all(character in _BYTES for character in token):
            return bytes(_BYTES[character] for character in token)
        return token.encode()

    def is_control(self, id_: int) -> bool:
        """Whether the token is a mark of the model's own, as <|im_end|> is, and no part of an answer's text."""
        return id_ in self._control

    @property
    def controls(self) -> list[str]:
        """The texts of those tokens."""
        return [self._added[id_].decode() for id_ in sorted(self._control)]

    def __len__(self) -> int:
        return self.size

    @property
    def adds_space(self) -> bool:
        """Whether `encode` puts a space before the text."""
        return self._adds_space


class Detokenizer:
    """Text from a growing list of token ids, in pieces that never split a character.

    The pieces put together are exactly what `Tokenizer.decode` gives for all ids.

    >>> detokenizer = Detokenizer(tokenizer)                                                        # doctest: +SKIP
    >>> [detokenizer.feed(id_) for id_ in ids] + [detokenizer.end()]                                # doctest: +SKIP
    ['Hello', ' ', '', '🙂', '']
    """

    def __init__(self, tokenizer: Tokenizer, special: bool = False) -> None:
        self._tokenizer, self._special = tokenizer, special
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._first = tokenizer.adds_space

    def feed(self, id_: int) -> str:
        """The text that this further token completes."""
        if not self._special and self._tokenizer.is_control(id_):
            return ""
        found = self._tokenizer.token_bytes(id_)
        if self._first and found:
            self._first = False
            found = found.removeprefix(b" ")
        return self._decoder.decode(found)

    def end(self) -> str:
        """What is left: U+FFFD where the ids ended inside a character."""
        return self._decoder.decode(b"", final=True)


def _kind_of(decoder: Any, path: Path) -> Kind:
    parts = decoder.get("decoders", [decoder]) if isinstance(decoder, dict) else []
    names = {part.get("type") for part in parts if isinstance(part, dict)}
    if "ByteLevel" in names:
        return "byte-level"
    if names & {"ByteFallback", "Metaspace"}:
        return "sentencepiece"
    raise WeightsError(
        f"{path}: byte-level BPE and SentencePiece's BPE are read here, found a tokenizer that decodes with "
        f"{sorted(map(str, names)) or 'nothing'}"
    )


def _end_ids(folder: Path, config: dict[str, Any], backend: tokenizers.Tokenizer) -> list[int]:
    """The end tokens that the tokenizer's, the model's and the generation's settings name."""
    eos = config.get("eos_token")
    found = [backend.token_to_id(eos["content"] if isinstance(eos, dict) else eos)] if eos else []
    for name in ("config.json", "generation_config.json"):
        ids = _read_json(folder / name).get("eos_token_id")
        found += ids if isinstance(ids, list) else [ids]
    return [id_ for id_ in found if isinstance(id_, int)]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise WeightsError(f"{path} has {path.stat().st_size} bytes, more than the {MOST_FILE_BYTES} allowed")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise WeightsError(f"{path} must hold a JSON object, found {type(found).__name__}")
    return found


def _byte_alphabet() -> dict[str, int]:
    """The character for each byte in GPT-2's vocabularies: itself where it can be seen, else one after U+0100."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + index): byte for index, byte in enumerate(hidden)}


_BYTES = _byte_alphabet()
