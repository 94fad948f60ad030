"""An index is written: documents go to its files as they come, and words are weighed when all are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from mainspring.data.documents.document import Document, Value
from mainspring.data.documents.passages import Passage
from mainspring.errors import DataError
from mainspring.runtimes.index.analyzer import Analyzer
from mainspring.runtimes.index.columns import Spools, write_columns
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.postings import count_terms
from mainspring.runtimes.index.settings import Bm25, IndexSettings, write_settings
from mainspring.runtimes.index.stores.local_files import FILES as STORE_FILES
from mainspring.runtimes.index.stores.local_files import VECTORS
from mainspring.runtimes.index.stores.opening import open_store
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Entry
from mainspring.runtimes.index.texts import FILES as TEXT_FILES
from mainspring.runtimes.index.texts import TextsWriter
from mainspring.runtimes.index.words import FILE as WORDS
from mainspring.runtimes.index.words import K1, B, Words

_PARTIAL = "writing"
_BATCH = 512  # entries that a store takes at a time


class IndexWriter:
    """Writes one index.

        with IndexWriter(folder, embedder, language="english", store=StoreSettings()) as writer:
            writer.add(document, passages, vectors)
            settings = writer.close()

    What was not closed when the block ends is removed, from the store, too.

    Args:
        folder: an empty one, or one to be made.
        embedder: what the vectors come from.
        language: whose words are stemmed; "none" for none.
        store: where vectors and words are kept. The collection is made at once, so that a store that cannot be reached
            is known before anything is embedded.

    Raises:
        StoreError: the store cannot be reached.
        MissingExtraError: a library is not installed.
    """

    def __init__(self, folder: Path, embedder: Embedder, *, language: str, store: StoreSettings) -> None:
        self._folder = folder
        self._embedder = embedder
        self._language = language
        self._settings = store
        self._analyzer = Analyzer(language)
        self._store = open_store(store, folder)
        self._store.create(embedder.width)
        self._spools = spools = Spools(folder / _PARTIAL)
        self._texts = TextsWriter(folder, spools)
        self._vectors = spools.new(np.float16, embedder.width)
        self._sizes = spools.new(np.int32)  # how many different terms a passage has
        self._terms = spools.new(np.uint32)
        self._counts = spools.new(np.int32)
        self._pages = spools.new(np.int32)
        self._documents = 0
        self._closed = False

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self.discard()

    def add(self, document: Document, passages: Sequence[Passage], vectors: np.ndarray) -> None:
        """Add a document, once.

        Args:
            document: it.
            passages: its passages; there may be none.
            vectors: (n, width): that of each passage's `indexed`, of length 1. Kept as float16.

        Raises:
            DataError: a vector has a number that is none.
        """
        if vectors.shape != (len(passages), self._embedder.width):
            raise ValueError(f"{len(passages)} vectors of {self._embedder.width} numbers, not {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise DataError(f"{document.source}: the embedder gave vectors that are no numbers: use another precision")
        digest = self._embedder.digest
        self._texts.add(document, passages, [passage.id(digest) for passage in passages])
        self._vectors.append(vectors)
        self._pages.append(np.array([passage.page or 0 for passage in passages]))
        for passage in passages:
            terms, counts = self._analyzer.numbers(passage.indexed)
            self._sizes.append(np.array([len(terms)]))
            self._terms.append(terms)
            self._counts.append(counts)
        self._documents += 1

    def close(self) -> IndexSettings:
        """Weigh the words, fill the store, publish it; the index is there when `index.json` is.

        Raises:
            DataError: a passage was added twice.
            StoreError: the store refuses.
        """
        count = len(self._sizes)
        self._check_ids()
        terms, frequencies = count_terms(self._terms.values())
        average = float(self._counts.values().sum(dtype=np.int64)) / count if count else 0.0
        write_columns(self._folder / WORDS, {"terms": terms, "frequencies": frequencies})
        words = Words(count, average, terms, frequencies)
        batch: list[Entry] = []
        for entry in self._entries(words):
            batch.append(entry)
            if len(batch) == _BATCH:
                self._store.insert(batch)
                batch = []
        self._store.insert(batch)
        self._store.publish()
        self._texts.close()
        if self._settings.kind != "local":  # which has written the same
            write_columns(self._folder / VECTORS, {"vectors": self._vectors.values()})
        self._store.close()
        self._spools.remove()
        files = (self._folder / name for name in (*TEXT_FILES, *STORE_FILES, WORDS))
        settings = IndexSettings(
            embedder=self._embedder,
            store=self._settings,
            language=self._language,
            bm25=Bm25(k1=K1, b=B, average=average),
            documents=self._documents,
            passages=count,
            sizes={path.name: path.stat().st_size for path in files if path.is_file()},
        )
        write_settings(self._folder, settings)
        self._closed = True
        return settings

    def discard(self) -> None:
        """Remove all that was written."""
        self._closed = True
        self._texts.discard()
        self._spools.remove()
        for name in (*STORE_FILES, WORDS):
            (self._folder / name).unlink(missing_ok=True)
        self._store.drop()
        self._store.close()

    def _check_ids(self) -> None:
        ids = self._texts.values("ids")
        if len(np.unique(ids.view(f"V{ids.shape[1]}") if len(ids) else ids)) != len(ids):
            raise DataError("a passage was added twice: two documents have the same source and text")

    def _entries(self, words: Words) -> Iterator[Entry]:
        ids, documents = self._texts.values("ids"), self._texts.values("documents")
        vectors, pages = self._vectors.values(), self._pages.values()
        terms, counts = self._terms.values(), self._counts.values()
        end, row = 0, 0
        sizes = self._sizes.values()
        for at, document in enumerate(self._texts.document_lines()):
            while row < len(ids) and documents[row] == at:
                begin, end = end, end + int(sizes[row])
                fields: dict[str, Value] = {**document.metadata, "source": document.source}
                if pages[row]:
                    fields["page"] = int(pages[row])
                sparse = words.passage(terms[begin:end], counts[begin:end])
                yield Entry(ids[row].tobytes().hex(), vectors[row].astype(np.float32), sparse, fields)
                row += 1
