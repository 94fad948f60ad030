"""Vectors of texts by all-MiniLM-L6-v2, kept between runs: a text that was embedded once is never embedded again."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mainspring.runtimes.language.embedding import load_embedding
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
        missing = sorted(self.missing(texts), key=len)
        return not missing or asyncio.run(self._embed(missing, seconds))

    async def _embed(self, texts: list[str], seconds: float) -> bool:
        engine = load_embedding(encoder(self._work))
        began = time.perf_counter()
        try:
            for at in range(0, len(texts), _PART):
                if time.perf_counter() - began > seconds:
                    print(f"{at:,} texts in {time.perf_counter() - began:.0f} s, {len(texts) - at:,} are left")
                    return False
                part = texts[at : at + _PART]
                self._add(part, (await engine.embed(part))[0])
        finally:
            await engine.close()
        print(f"{len(texts):,} texts in {time.perf_counter() - began:.0f} s")
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
