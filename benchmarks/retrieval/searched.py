"""A set, read, split, embedded and searched in every way at once.

All scores of all questions are computed, by the index's own parts (analyzer, words, postings), so that fusions can be
compared that no store has; `differing` tells whether an index gives the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from vectors import WIDTH, Vectors, tokens

from mainspring import spec
from mainspring.data.documents.collection import collect
from mainspring.data.documents.document import Document
from mainspring.data.documents.passages import Passage
from mainspring.data.documents.questions import Question, read_questions, resolve
from mainspring.data.documents.splitting import Splitter
from mainspring.runtimes.index.analyzer import Analyzer
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.postings import Postings, by_term, count_terms
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.words import Words
from mainspring.runtimes.index.writing import IndexWriter


@dataclass(frozen=True)
class Cut:
    """How documents become passages: the most tokens, and whether the headings above are embedded and indexed."""

    most: int = 200
    path: bool = True

    def text(self, passage: Passage) -> str:
        """What of a passage is indexed."""
        return passage.indexed if self.path else passage.text


@dataclass(frozen=True, eq=False)
class Collection:
    """A set's n passages, and its q answered questions.

    `same`, (n,), are equal for passages that say the same; `clusters`, (q,), for questions about the same section.
    """

    name: str
    language: str
    documents: dict[str, Document]
    passages: list[Passage]
    texts: list[str]
    questions: list[Question]
    same: np.ndarray
    clusters: np.ndarray


@cache
def _read(folder: Path) -> tuple[str, dict[str, Document], list[Question]]:
    project = spec.parse((folder / "mainspring.toml").read_text(encoding="utf-8"), folder)
    documents = {}
    for source in collect(project, "documents"):
        read = source.read()
        if isinstance(read, Document):
            documents[read.source] = read
    found = resolve(read_questions(project, "documents", "questions.jsonl"), documents)
    for row in found.unresolved:
        print(f"{folder.name}: row {row.row} is left out: {row.reason}")
    answered = [question for question in found.questions if question.places]
    return project.retrieval("documents").language, documents, answered


def open_collection(name: str, work: Path, cut: Cut, most: int | None = None) -> Collection:
    """The set that `sets.py` wrote, cut so.

    Of a large one only so many documents are taken as have `most` passages of the default cut: first those with
    answers, then others, in an order that is the same every time; questions about what was not taken are left out.
    """
    language, documents, questions = _read(work / "sets" / name)
    if most is not None:
        documents = _first(documents, questions, most, work)
        questions = [one for one in questions if all(place.source in documents for place in one.places)]
    splitter = Splitter(tokens(work), most=cut.most)
    passages = [passage for document in documents.values() for passage in splitter.split(document)[0]]
    same: dict[str, int] = {}
    sections = [one.sections[0] if "#" in one.sections[0] else f"{one.places[0]}" for one in questions]
    return Collection(
        name=name,
        language=language,
        documents=documents,
        passages=passages,
        texts=[cut.text(passage) for passage in passages],
        questions=questions,
        same=np.array([same.setdefault(" ".join(passage.text.split()), len(same)) for passage in passages]),
        clusters=np.unique(sections, return_inverse=True)[1],
    )


def _first(documents: dict[str, Document], questions: list[Question], most: int, work: Path) -> dict[str, Document]:
    asked = {place.source for one in questions for place in one.places}
    splitter = Splitter(tokens(work), most=Cut().most)
    taken: set[str] = set()
    count = 0
    for source in sorted(documents, key=lambda name: (name not in asked, hashlib.sha256(name.encode()).digest())):
        count += len(splitter.split(documents[source])[0])
        if taken and count > most:
            break
        taken.add(source)
    return {source: document for source, document in documents.items() if source in taken}


def all_texts(collection: Collection) -> list[str]:
    """What has to be embedded."""
    return [*collection.texts, *(question.text for question in collection.questions)]


def dense_scores(collection: Collection, vectors: Vectors) -> np.ndarray:
    """(q, n) float32: the cosine of each question with each passage."""
    return vectors.of([one.text for one in collection.questions]) @ vectors.of(collection.texts).T


def known_words(collection: Collection) -> Words:
    """What is known of its words."""
    return _weighed(collection, Analyzer(collection.language))[0]


def word_scores(collection: Collection, language: str | None = None) -> np.ndarray:
    """(q, n) float32: BM25, as a part of what the question's words could give. Words are stemmed as in `language`, the
    collection's own by default.
    """
    return word_scores_of(collection, [one.text for one in collection.questions], language)


def word_scores_of(collection: Collection, texts: list[str], language: str | None = None) -> np.ndarray:
    """As `word_scores`, of any questions."""
    analyzer = Analyzer(language or collection.language)
    words, postings = _weighed(collection, analyzer)
    return np.stack([postings.scores(words.question(*analyzer.numbers(text))) for text in texts])


def _weighed(collection: Collection, analyzer: Analyzer) -> tuple[Words, Postings]:
    each = [analyzer.numbers(text) for text in collection.texts]
    terms, counts = (np.concatenate(parts) for parts in zip(*each, strict=True))
    words = Words(len(each), float(counts.sum()) / len(each), *count_terms(terms))
    weights = np.concatenate([words.passage(*one).weights for one in each])
    return words, Postings(len(each), **by_term(np.array([len(one[0]) for one in each]), terms, weights))


def differing(collection: Collection, vectors: Vectors, weight: float, orders: list[list[int]], k: int = 10) -> int:
    """For how many questions an `Index` of the same passages finds other best k than `orders`, which were computed."""
    embedder = Embedder(name="MiniLM", revision="", width=WIDTH, pooling="mean", context=256)
    asked = vectors.of([one.text for one in collection.questions])
    with TemporaryDirectory() as folder:
        with IndexWriter(Path(folder), embedder, language=collection.language, store=StoreSettings()) as writer:
            for document in collection.documents.values():
                own = [passage for passage in collection.passages if passage.source == document.source]
                writer.add(document, own, vectors.of([passage.indexed for passage in own]))
            writer.close()
        index = Index.load(Path(folder))
        try:
            return sum(
                [hit.passage for hit in index.search(one.text, vector, k, dense_weight=weight, diversity=0.0)]
                != [collection.passages[row] for row in order[:k]]
                for one, vector, order in zip(collection.questions, asked, orders, strict=True)
            )
        finally:
            index.close()
