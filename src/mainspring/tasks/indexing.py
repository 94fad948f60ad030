"""From sources to an index: what is new is read, split and embedded, and all else is taken over from the index before.

    source ─ known, by its digest? ─▶ document, passages and vectors of the index before ──────────┐
       └ read ─▶ split ─▶ parts of some thousand passages ─ known text? ─▶ vectors of the cache ───┼─▶ IndexWriter
                                                          └ embedded, sorted by length ─▶ cache ───┘

Never more than a part is in memory. A part's vectors are in the cache before its documents go on, so that a fit that is
killed finds them again.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from mainspring.data.documents.document import Document, Unread
from mainspring.data.documents.passages import Passage
from mainspring.data.documents.source import Source
from mainspring.data.documents.splitting import Splitter
from mainspring.errors import DataError, RuntimeLoadError
from mainspring.files import write_atomically
from mainspring.registry.vector_cache import VectorCache
from mainspring.runtimes.index.columns import read_columns
from mainspring.runtimes.index.settings import IndexSettings, read_settings
from mainspring.runtimes.index.stores.local_files import VECTORS
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.texts import IndexedDocument, Texts
from mainspring.runtimes.index.writing import IndexWriter
from mainspring.tasks.embedder import PreparedEmbedder
from mainspring.tasks.embedding_passages import PassageEmbedder
from mainspring.tasks.fastest_encoder import Tried

WAY = "way.json"  # beside an index: how its documents were read and split
_PART = 2048  # passages whose vectors are computed together
_HELD = 8 * _PART  # passages that wait for those between them, most of which are known

Say = Callable[[str], None]


@dataclass(frozen=True)
class Indexed:
    """What was done.

    `taken_over` of the `documents` are from the index before. `embedded` passages were computed, and `reused` were in
    the cache. `unread` are sources of which nothing was taken, and why; `notes` is what a person should know of others,
    by source. `seconds` are those of each stage. `tried` are ways to compute vectors, the chosen one first.
    """

    settings: IndexSettings
    documents: int
    taken_over: int
    passages: int
    embedded: int
    reused: int
    unread: list[Unread]
    notes: dict[str, list[str]]
    seconds: dict[str, float]
    tried: list[Tried]


def index(
    sources: Sequence[Source],
    folder: Path,
    embedder: PreparedEmbedder,
    cache: VectorCache,
    *,
    tokens: int | None = None,
    encoding: str | None = None,
    language: str,
    store: StoreSettings,
    code: str = "",
    previous: Path | None = None,
    say: Say,
) -> Indexed:
    """Write the index of `sources` into `folder`.

    Args:
        sources: what to index, in this order.
        folder: an empty one, or one to be made.
        embedder: it.
        cache: its vectors.
        tokens: the most of a passage; None leaves it to the embedder.
        encoding: that of text files, where they were read with one.
        language: whose words are stemmed.
        store: where vectors and words are kept.
        code: what stands for the code that reads and splits; by another nothing is taken over.
        previous: the folder of an index of the same collection, from which what did not change is taken over.
        say: is told what is done.

    Raises:
        DataError: no source could be read.
        StoreError: the store cannot be reached, or refuses.
        EngineGoneError, OverloadedError: the embedder does not answer.
    """
    counted = embedder.tokens()
    splitter = embedder.splitter(counted, tokens)
    way = _way(embedder, splitter, encoding, code)
    before = _Before.open(previous, way) if previous is not None else None
    with IndexWriter(folder, embedder.identity, language=language, store=store) as writer:
        work = _Indexing(splitter, PassageEmbedder(embedder, counted, cache), writer, before, len(sources), say)
        for source in sources:
            work.take(source)
        work.end()
        if not work.documents:
            told = "; ".join(f"{one.source} {one.reason}" for one in work.unread[:3]) or "there is none"
            raise DataError(f"no document could be read: {told}")
        with work.timed("index"):
            settings = writer.close()
            write_atomically(folder / WAY, msgspec.json.encode(way))
    return Indexed(
        settings=settings,
        documents=work.documents,
        taken_over=work.taken_over,
        passages=settings.passages,
        embedded=work.embedder.embedded,
        reused=work.embedder.reused,
        unread=work.unread,
        notes=work.notes,
        seconds=dict(work.seconds),
        tried=work.embedder.tried,
    )


def _way(embedder: PreparedEmbedder, splitter: Splitter, encoding: str | None, code: str) -> str:
    """The sha256 of all that passages and vectors come from, beside the sources."""
    parts = [code, embedder.identity.digest, str(splitter.most), encoding or ""]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class _Before:
    """The index before, as far as it can be taken over."""

    def __init__(self, folder: Path) -> None:
        self._texts = Texts(folder)
        self._vectors = read_columns(folder / VECTORS, {"vectors": np.float16})["vectors"]
        self._rows: dict[tuple[str, str], tuple[IndexedDocument, int]] = {}
        row = 0
        for document in self._texts.documents():
            self._rows[document.source, document.digest] = document, row
            row += document.passages

    @classmethod
    def open(cls, folder: Path, way: str) -> _Before | None:
        """The index in `folder`; None where it was made in another way, or is not whole."""
        try:
            if msgspec.json.decode((folder / WAY).read_bytes()) != way:
                return None
            read_settings(folder)
            return cls(folder)
        except (OSError, msgspec.DecodeError, RuntimeLoadError):
            return None

    def get(self, source: Source) -> tuple[Document, list[Passage], np.ndarray] | None:
        """The document, its passages and their vectors, if it is the same as now."""
        if not source.digest or (found := self._rows.get((source.name, source.digest))) is None:
            return None
        kept, row = found
        document = Document(
            source=kept.source,
            digest=kept.digest,
            title=kept.title,
            text=self._texts.text(kept.source),
            blocks=(),
            metadata=kept.metadata,
            pages=kept.pages,
            notes=kept.notes,
        )
        rows = range(row, row + kept.passages)
        return document, [self._texts.passage(at) for at in rows], self._vectors[rows.start : rows.stop]


@dataclass
class _Indexing:
    """One collection on its way into an index."""

    splitter: Splitter
    embedder: PassageEmbedder
    writer: IndexWriter
    before: _Before | None
    sources: int
    say: Say
    documents: int = 0
    taken_over: int = 0
    passages: int = 0
    looked_at: int = 0
    unread: list[Unread] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _part: list[tuple[Document, list[Passage], np.ndarray | None]] = field(default_factory=list)
    _waiting: int = 0
    _held: int = 0

    def take(self, source: Source) -> None:
        """Take one source, and embed when a part is full."""
        self.looked_at += 1
        with self.timed("taken over"):
            known = self.before.get(source) if self.before is not None and source.unread is None else None
        if known is not None:
            self.taken_over += 1
            document, passages, _ = known
            self._part.append(known)
        else:
            with self.timed("read"):
                read = source.read()
            if isinstance(read, Unread):
                self.unread.append(read)
                return
            document = read
            with self.timed("split"):
                passages, told = self.splitter.split(document)
            if told:
                self.notes[document.source] = told
            if not passages:
                self.unread.append(Unread(document.source, "has no text"))
                return
            self._part.append((document, passages, None))
            self._waiting += len(passages)
        self._held += len(passages)
        if document.notes:
            self.notes[document.source] = [*document.notes, *self.notes.get(document.source, [])]
        self.documents += 1
        if self._waiting >= _PART or self._held >= _HELD:
            self.end()

    def end(self) -> None:
        """Embed what waits, and give the documents to the index."""
        texts = [passage.indexed for _, passages, known in self._part if known is None for passage in passages]
        done = f"{self.looked_at:,} of {self.sources:,} documents looked at, {self.passages:,} passages indexed"
        if texts:
            self.say(f"embedding {len(texts):,} passages ({done})")
        with self.timed("embed"):
            vectors = _slices(self.embedder.vectors(texts), self._part) if texts else iter(())
        with self.timed("index"):
            for document, passages, known in self._part:
                self.writer.add(document, passages, known if known is not None else next(vectors))
                self.passages += len(passages)
        self._part, self._waiting, self._held = [], 0, 0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the seconds to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begun


def _slices(
    vectors: np.ndarray, part: Iterable[tuple[Document, list[Passage], np.ndarray | None]]
) -> Iterator[np.ndarray]:
    begin = 0
    for _, passages, known in part:
        if known is None:
            yield vectors[begin : begin + len(passages)]
            begin += len(passages)
