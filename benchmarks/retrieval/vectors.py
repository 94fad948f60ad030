"""Vectors of texts by all-MiniLM-L6-v2, kept between runs: a text that was embedded once is never embedded again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mainspring.data.documents.tokens import TokenizerTokens
from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings
from mainspring.tasks.export_encoder import export_encoder
from mainspring.weights import resolve

WIDTH = 384
_KEY = 16  # bytes
_PART = 512  # texts: after each, what was computed is written


def encoder(work: Path) -> Path:
    """The folder of the exported encoder."""
    folder = work / "encoder"
    if not folder.is_dir():
        export_encoder(resolve("all-minilm-l6-v2", work).path, folder)
    return folder


@cache
def tokens(work: Path) -> TokenizerTokens:
    """What the encoder sees of a text."""
    tokenizer = Tokenizer.from_file(str(encoder(work) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return TokenizerTokens(tokenizer)


class Vectors:
    """The files `keys` and `vectors`, of which the longer one may have what the other has not yet."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._folder = work / "vectors"
        self._folder.mkdir(parents=True, exist_ok=True)
        keys = np.fromfile(self._file("keys"), f"V{_KEY}")
        vectors = np.fromfile(self._file("vectors"), np.float16)
        count = min(len(keys), len(vectors) // WIDTH)
        self._rows = {key.tobytes(): row for row, key in enumerate(keys[:count])}
        self._vectors = [vectors[: count * WIDTH].reshape(count, WIDTH)]

    def missing(self, texts: Sequence[str]) -> list[str]:
        """The texts that were not embedded yet, each once."""
        return [text for text in dict.fromkeys(texts) if _key(text) not in self._rows]

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """(n, width) float32: the vectors of texts that were embedded."""
        if len(self._vectors) > 1:
            self._vectors = [np.concatenate(self._vectors)]
        return self._vectors[0][[self._rows[_key(text)] for text in texts]].astype(np.float32)

    def embed(self, texts: Sequence[str], seconds: float) -> bool:
        """Embed what is missing, for about so long; whether all is there now."""
        missing = self.missing(texts)
        if not missing:
            return True
        ids = tokens(self._work).ids(missing)
        order = sorted(range(len(missing)), key=lambda at: len(ids[at]))
        model = BulkEncoder(encoder(self._work), BulkSettings(streams=2))
        began = time.perf_counter()
        for begin in range(0, len(order), _PART):
            if time.perf_counter() - began > seconds:
                print(f"{begin:,} texts in {time.perf_counter() - began:.0f} s, {len(order) - begin:,} are left")
                return False
            part = order[begin : begin + _PART]
            self._add([missing[at] for at in part], model.vectors([ids[at] for at in part]))
        print(f"{len(order):,} texts in {time.perf_counter() - began:.0f} s")
        return True

    def _add(self, texts: list[str], vectors: np.ndarray) -> None:
        halves = vectors.astype(np.float16)
        for name, content in (("vectors", halves.tobytes()), ("keys", b"".join(map(_key, texts)))):
            with self._file(name).open("ab") as file:
                file.write(content)
        for text in texts:
            self._rows[_key(text)] = len(self._rows)
        self._vectors.append(halves)

    def _file(self, name: str) -> Path:
        path = self._folder / name
        path.touch()
        return path


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:_KEY]
