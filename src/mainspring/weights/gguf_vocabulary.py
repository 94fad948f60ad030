"""A `tokenizer.json` as the metadata of a GGUF file.

Byte-level BPE is kept with its merges, and the name of how it splits text; SentencePiece's BPE with scores. The merges
of a `tokenizer.json` were made from such scores: the earlier the merge, the better the piece.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.errors import WeightsError, require
from mainspring.weights.gguf_tokens import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, name_of_split
from mainspring.weights.json_files import read_object

if TYPE_CHECKING:
    from gguf import GGUFWriter

_SPECIAL = ("bos", "eos", "unk", "pad")


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of its tokenizer.

    `pre` and `merges` for byte-level BPE, `scores` and `adds_space` for SentencePiece's. `special` are the ids of bos,
    eos, unk, pad and eot, where the model has them.
    """

    tokens: list[str]
    types: list[int]
    pre: str | None
    merges: list[str]
    scores: list[float]
    adds_space: bool
    special: dict[str, int]
    adds_bos: bool
    template: str | None


def read(folder: Path, config: dict[str, Any], rows: int) -> Vocabulary:
    """The tokenizer of a Hugging Face folder, filled up to the `rows` of the embeddings.

    Raises:
        WeightsError: there is none, or it is of a kind that GGUF files of this family do not have.
    """
    path = folder / "tokenizer.json"
    written, beside = _json(path), _json(folder / "tokenizer_config.json", optional=True)
    try:
        backend = require("tokenizers", "language").Tokenizer.from_str(json.dumps(written))
    except Exception as error:  # the library raises Exception itself
        raise WeightsError(f"{path} cannot be read: {error}") from None
    model = written["model"]
    if model.get("type") != "BPE":
        raise WeightsError(f"{path}: BPE is converted here, found {model.get('type')!r}")
    by_id = {id_: token for token, id_ in backend.get_vocab(with_added_tokens=True).items()}
    if max(by_id) >= rows:
        raise WeightsError(f"{path} has the token {max(by_id)}, but the model only {rows} embeddings")
    tokens = [by_id.get(id_, f"[PAD{id_}]") for id_ in range(rows)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    sentencepiece = bool(model.get("byte_fallback"))
    special = _special(backend, beside, config, folder)
    begin = backend.encode("", add_special_tokens=True).ids
    return Vocabulary(
        tokens=tokens,
        types=_types(tokens, by_id, written, sentencepiece),
        pre=None if sentencepiece else name_of_split(written, path),
        merges=[] if sentencepiece else merges,
        scores=_scores(tokens, merges) if sentencepiece else [],
        adds_space=sentencepiece and backend.encode("a", add_special_tokens=False).tokens[0].startswith("▁"),
        special=special,
        adds_bos=begin[:1] == [special.get("bos")],
        template=_template(folder, beside),
    )


def add(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Write down `vocabulary` in a GGUF file."""
    writer.add_tokenizer_model("gpt2" if vocabulary.pre else "llama")
    writer.add_tokenizer_pre(vocabulary.pre or "default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.pre:
        if vocabulary.merges:
            writer.add_token_merges(vocabulary.merges)
    else:
        writer.add_token_scores(vocabulary.scores)
    writer.add_add_space_prefix(vocabulary.adds_space)
    writer.add_add_bos_token(vocabulary.adds_bos)
    for name, id_ in vocabulary.special.items():
        getattr(writer, f"add_{name}_token_id")(id_)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def _types(tokens: list[str], by_id: dict[int, str], written: dict[str, Any], sentencepiece: bool) -> list[int]:
    added = {
        token["id"]: CONTROL if token.get("special") else USER_DEFINED for token in written.get("added_tokens", [])
    }
    unknown = written["model"].get("unk_token")
    types = []
    for id_, token in enumerate(tokens):
        if id_ not in by_id:
            types.append(UNUSED)
        elif sentencepiece and token == unknown:
            types.append(UNKNOWN)
        elif sentencepiece and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            types.append(BYTE)
        else:
            types.append(added.get(id_, NORMAL))
    return types


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """Pieces by their first merge, the best being 0; characters, which no merge makes, after them."""
    ranks: dict[str, int] = {}
    for merge in merges:
        ranks.setdefault(merge.replace(" ", "", 1), len(ranks))
    return [-float(ranks.get(token, len(ranks))) for token in tokens]


def _special(backend: Any, beside: dict[str, Any], config: dict[str, Any], folder: Path) -> dict[str, int]:
    generation = _json(folder / "generation_config.json", optional=True)
    found: dict[str, int] = {}
    for name in _SPECIAL:
        token = beside.get(f"{name}_token")
        id_ = backend.token_to_id(token["content"] if isinstance(token, dict) else token) if token else None
        if id_ is None:
            ids = config.get(f"{name}_token_id")
            id_ = ids[0] if isinstance(ids, list) and ids else ids
        if isinstance(id_, int):
            found[name] = id_
    ends = generation.get("eos_token_id") or config.get("eos_token_id")
    further = [id_ for id_ in (ends if isinstance(ends, list) else [ends]) if id_ not in (None, found.get("eos"))]
    if further:
        found["eot"] = further[0]
    return found


def _template(folder: Path, beside: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    found = file.read_text(encoding="utf-8") if file.is_file() else beside.get("chat_template")
    if isinstance(found, list):
        found = {named["name"]: named["template"] for named in found}.get("default")
    return found


def _json(path: Path, optional: bool = False) -> dict[str, Any]:
    return {} if optional and not path.is_file() else read_object(path)
