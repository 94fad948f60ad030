"""Small indexes for tests: texts with made-up vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mainspring.data.documents.document import Document, Value
from mainspring.data.documents.passages import Passage
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.settings import IndexSettings
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter

WIDTH = 8
EMBEDDER = Embedder(name="made-up", revision="0", width=WIDTH, pooling="mean", context=128)


def units(count: int, seed: int = 0, width: int = WIDTH) -> np.ndarray:
    """(count, width) float32: vectors of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def document(source: str, *paragraphs: str, **metadata: Value) -> tuple[Document, list[Passage]]:
    """A document, and a passage of each of its paragraphs."""
    text = "\n\n".join(paragraphs)
    passages, begin = [], 0
    for page, paragraph in enumerate(paragraphs, 1):
        end = begin + len(paragraph)
        passages.append(Passage(source=source, begin=begin, end=end, text=paragraph, page=page))
        begin = end + 2
    title = source.partition(".")[0]
    return Document(source=source, digest="0", title=title, text=text, blocks=(), metadata=metadata), passages


def write(
    folder: Path,
    documents: Sequence[tuple[Document, list[Passage]]],
    vectors: Mapping[str, np.ndarray] | None = None,
    language: str = "english",
) -> IndexSettings:
    """Write an index; `vectors` are those of texts, and made up for the others."""
    given = vectors or {}
    with IndexWriter(folder, EMBEDDER, language=language, store=StoreSettings()) as writer:
        for at, (one, passages) in enumerate(documents):
            made_up = units(len(passages), seed=at)
            rows = [given.get(passage.text, row) for passage, row in zip(passages, made_up, strict=True)]
            writer.add(one, passages, np.array(rows, np.float32).reshape(len(passages), WIDTH))
        return writer.close()


def index(folder: Path, *texts: str, language: str = "english") -> Index:
    """An index of documents with a passage each."""
    write(folder, [document(f"{at}.md", text) for at, text in enumerate(texts)], language=language)
    return Index.load(folder)
