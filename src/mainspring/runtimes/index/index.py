"""An index that is read: what was found, with the text it was found in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mainspring.data.documents.passages import Passage
from mainspring.errors import RequestError, RuntimeLoadError, StoreError
from mainspring.runtimes.index.analyzer import Analyzer
from mainspring.runtimes.index.columns import REMEDY, read_columns
from mainspring.runtimes.index.diversity import maximal_marginal_relevance
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Found
from mainspring.runtimes.index.settings import IndexSettings, read_settings
from mainspring.runtimes.index.stores.local_files import VECTORS
from mainspring.runtimes.index.stores.opening import open_store
from mainspring.runtimes.index.stores.store import Hit, Query, Store
from mainspring.runtimes.index.texts import IndexedDocument, Texts
from mainspring.runtimes.index.words import FILE as WORDS
from mainspring.runtimes.index.words import Words

_SPARE = 16  # asked for beside k, as some may say the same
_DIVERSE = 50  # from which a diverse choice is made, at least
_DEEPEST = 4096  # what says the same as what was found is looked past only so far


class Index:
    """Documents, passages and their vectors. Several threads may search one at a time.

    index = Index.load(folder)
    found = index.search("May I take skis?", vector, k=5)
    """

    def __init__(self, settings: IndexSettings, texts: Texts, words: Words, vectors: np.ndarray, store: Store) -> None:
        self.settings = settings
        self._texts = texts
        self._words = words
        self._vectors = vectors
        self._store = store
        self._analyzer = Analyzer(settings.language)

    @classmethod
    def load(cls, folder: Path) -> Index:
        """The index that `IndexWriter` wrote into `folder`.

        Raises:
            RuntimeLoadError: a file is missing or damaged, or of another version of Mainspring.
            StoreError: the store cannot be reached, or has another number of passages.
            MissingExtraError: a library is not installed.
        """
        settings = read_settings(folder)
        texts = Texts(folder)
        columns = read_columns(folder / WORDS, {"terms": np.uint32, "frequencies": np.int32})
        vectors = read_columns(folder / VECTORS, {"vectors": np.float16})["vectors"]
        expected = (settings.passages, settings.embedder.width)
        if vectors.shape != expected or len(texts) != settings.passages:
            raise RuntimeLoadError(f"the files in {folder} do not fit together; {REMEDY}")
        words = Words(settings.passages, settings.bm25.average, columns["terms"], columns["frequencies"])
        store = open_store(settings.store, folder)
        try:
            if (there := store.count()) != settings.passages:
                raise StoreError(
                    f"the {settings.store.kind} store has {there} passages, and the index {settings.passages}: "
                    "fit the index again"
                )
            return cls(settings, texts, words, vectors, store)
        except BaseException:
            store.close()
            raise

    @property
    def count(self) -> int:
        """How many passages there are."""
        return self.settings.passages

    def search(
        self,
        question: str,
        vector: np.ndarray,
        k: int,
        where: Filter | None = None,
        *,
        dense_weight: float | None = None,
        diversity: float | None = None,
    ) -> list[Found]:
        """The best k passages, best first. Of several with equal text the first is given; where thousands have that one
        text, fewer than k may be.

        Args:
            question: whose words are looked for.
            vector: (width,) float32, of length 1: the question's, by the index's embedder.
            k: how many at most.
            where: which may be found.
            dense_weight: what the settings say, unless given; 0 gives only passages that have a word of the question.
            diversity: as `dense_weight`.

        Raises:
            StoreError: the store does not answer.
        """
        weight = self.settings.dense_weight if dense_weight is None else dense_weight
        diversity = self.settings.diversity if diversity is None else diversity
        if vector.shape != (self.settings.embedder.width,):
            raise ValueError(f"a vector of {self.settings.embedder.width} numbers, not {vector.shape}")
        query = Query(vector, self._words.question(*self._analyzer.numbers(question)), weight)
        wanted = max(k, _DIVERSE) if diversity else k
        asked = wanted + _SPARE
        while k > 0:
            hits = self._store.search(query, asked, where)
            distinct = self._distinct(hits)
            if len(distinct) >= wanted or len(hits) < asked or asked >= _DEEPEST:
                return self._chosen(distinct, k, diversity)
            asked *= 4
        return []

    def passage(self, id_: str) -> Passage:
        """A passage by its id.

        Raises:
            RequestError: there is none.
        """
        (row,) = self._texts.rows([id_])
        if row < 0:
            raise RequestError(f"the index has no passage {id_!r}", "id")
        return self._texts.passage(int(row))

    def passages(self) -> Iterator[tuple[str, Passage]]:
        """All passages with their ids, document by document."""
        return ((self._texts.id(row), self._texts.passage(row)) for row in range(self.count))

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents, without their texts."""
        return self._texts.documents()

    def text(self, source: str) -> str:
        """A document's text.

        Raises:
            RequestError: there is no such document.
        """
        return self._texts.text(source)

    def quote(self, passage: Passage) -> str:
        """What stands in the document at the passage's place."""
        return self._texts.text(passage.source)[passage.begin : passage.end]

    def idf(self, word: str) -> float:
        """How rare a word is in the passages: the idf of the rarest of its terms; 0 of what is no word."""
        terms, _ = self._analyzer.numbers(word)
        return float(self._words.idf(terms).max(initial=0.0))

    def vectors(self, passages: Sequence[Passage]) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of passages whose text is here, wherever it stands: an embedder sees no more of them.

        Returns:
            (n,) bool: which are here; and (m, width) float32: the vectors of those.
        """
        rows = self._texts.rows_of([passage.indexed for passage in passages])
        here = rows >= 0
        return here, self._vectors[rows[here]].astype(np.float32)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _distinct(self, hits: list[Hit]) -> list[tuple[Hit, int, Passage]]:
        """The hits with their rows and passages, without those that say what one before them says."""
        rows = self._texts.rows([hit.id for hit in hits])
        distinct: dict[str, tuple[Hit, int, Passage]] = {}
        for hit, row in zip(hits, rows.tolist(), strict=True):
            if row < 0:
                raise StoreError(f"the store has a passage {hit.id} that the index does not know: fit the index again")
            passage = self._texts.passage(row)
            distinct.setdefault(" ".join(passage.text.split()), (hit, row, passage))
        return list(distinct.values())

    def _chosen(self, distinct: list[tuple[Hit, int, Passage]], k: int, diversity: float) -> list[Found]:
        if diversity and distinct:
            scores = np.array([hit.score for hit, _, _ in distinct])
            vectors = np.stack([hit.vector for hit, _, _ in distinct])
            distinct = [distinct[at] for at in maximal_marginal_relevance(scores, vectors, k, diversity)]
        found = []
        for hit, row, passage in distinct[:k]:
            document = self._texts.document_of(row)
            found.append(
                Found(
                    id=hit.id,
                    passage=passage,
                    quote=self._texts.quote(row),
                    score=hit.score,
                    dense=hit.dense,
                    sparse=hit.sparse,
                    title=document.title,
                    metadata=document.metadata,
                )
            )
        return found
