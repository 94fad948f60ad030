"""Vectors that were computed once, by what was embedded.

    .mainspring/embeddings/EMBEDDER/PART.safetensors     digests of texts, and their vectors as float16

A part is written whole as soon as it is computed, so that a fit that is killed has not embedded in vain. float16 moves
a vector of length 1 by less than 1e-3, which is less than the gate of the embedder allows, and an index keeps no more.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mainspring.errors import RuntimeLoadError
from mainspring.runtimes.index.columns import read_columns, write_columns
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.lookup import Lookup
from mainspring.spec import Project

FOLDER = "embeddings"
_DIGEST = 16  # bytes of a sha256
_SUFFIX = ".safetensors"


def digests(texts: Sequence[str]) -> np.ndarray:
    """(n, 16) uint8: what stands for each text."""
    joined = b"".join(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_DIGEST] for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(len(texts), _DIGEST)


class VectorCache:
    """The vectors of one embedder.

    Args:
        folder: where the parts lie. Several processes may write there.
        width: of a vector.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self._folder = folder
        self._width = width
        self._parts: dict[str, tuple[Lookup, np.ndarray, np.ndarray]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._open(path)

    @classmethod
    def of(cls, project: Project, embedder: Embedder) -> VectorCache:
        """The cache of `embedder` in a project."""
        return cls(project.state / FOLDER / embedder.digest[:32], embedder.width)

    def __len__(self) -> int:
        return sum(len(keys) for _, keys, _ in self._parts.values())

    def get(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of (n, 16) digests are here, (n,) bool; and (n, width) float16, with zeros where one is not."""
        here = np.zeros(len(wanted), bool)
        vectors = np.zeros((len(wanted), self._width), np.float16)
        for lookup, _, kept in self._parts.values():
            rows = lookup.rows(wanted)
            found = rows >= 0
            vectors[found] = kept[rows[found]]
            here |= found
        return here, vectors

    def put(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Keep the vectors (n, width) of (n, 16) digests. They are on the disk when this returns."""
        if len(keys):
            path = self._folder / f"{uuid.uuid4().hex}{_SUFFIX}"
            write_columns(path, {"digests": keys, "vectors": vectors.astype(np.float16)})
            self._open(path)

    def collect(self, used: Iterable[np.ndarray]) -> int:
        """Let go of what none of `used`, (n, 16) digests each, has; how many vectors that were. What is left becomes
        one part. Parts that another process has written since this cache was opened stay as they are.
        """
        wanted = [np.ascontiguousarray(keys) for keys in used if len(keys)]
        every = Lookup.of(np.concatenate(wanted) if wanted else np.empty((0, _DIGEST), np.uint8))
        before, old = len(self), list(self._parts)
        kept = [(keys[rows], vectors[rows]) for keys, vectors, rows in self._chosen(every)]
        if len(old) > 1 or sum(len(keys) for keys, _ in kept) < before:
            keys = np.concatenate([np.empty((0, _DIGEST), np.uint8), *(keys for keys, _ in kept)])
            vectors = np.concatenate([np.empty((0, self._width), np.float16), *(found for _, found in kept)])
            first = np.unique(keys, axis=0, return_index=True)[1] if len(keys) else np.empty(0, np.int64)
            self.put(keys[first], vectors[first])
            for name in old:
                del self._parts[name]
                (self._folder / name).unlink(missing_ok=True)
        return before - len(self)

    def _chosen(self, every: Lookup) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for _, keys, vectors in self._parts.values():
            yield keys, vectors, np.flatnonzero(every.rows(keys) >= 0)

    def _open(self, path: Path) -> None:
        """A part that is damaged is computed again."""
        try:
            part = read_columns(path, {"digests": np.uint8, "vectors": np.float16})
            keys, vectors = part["digests"], part["vectors"]
            if keys.shape[1:] != (_DIGEST,) or vectors.shape != (len(keys), self._width):
                raise RuntimeLoadError(f"{path} has other columns than it should have")
        except RuntimeLoadError:
            path.unlink(missing_ok=True)
            return
        self._parts[path.name] = (Lookup.of(keys), keys, vectors)
