"""What a search shows: documents and passages, in files that are mapped, and read where somebody asks for them.

texts.utf8              the documents' texts, one after the other
documents.jsonl         a line each: `IndexedDocument`
passages.jsonl          a line each: `Passage`
documents.safetensors   where they are in these files, and a digest of each source
passages.safetensors    the same of passages: ids, digests of what was embedded, documents, places of quotes
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np

from mainspring.data.documents.document import Document, Value
from mainspring.data.documents.passages import Passage
from mainspring.errors import RequestError, RuntimeLoadError
from mainspring.runtimes.index.columns import REMEDY, Spool, Spools, read_columns, write_columns
from mainspring.runtimes.index.lookup import COLUMNS as LOOKUP
from mainspring.runtimes.index.lookup import Lookup, digests_of

TEXTS, DOCUMENT_LINES, PASSAGE_LINES = "texts.utf8", "documents.jsonl", "passages.jsonl"
DOCUMENTS, PASSAGES = "documents.safetensors", "passages.safetensors"
FILES = (TEXTS, DOCUMENT_LINES, PASSAGE_LINES, DOCUMENTS, PASSAGES)
_ID, _DIGEST = 32, 16  # bytes
_DOCUMENT_COLUMNS: dict[str, type[np.generic]] = {
    "digests": np.uint8, "texts": np.int64, "lines": np.int64, **LOOKUP,
}  # fmt: skip
_PASSAGE_COLUMNS: dict[str, type[np.generic]] = {
    "ids": np.uint8, "digests": np.uint8, "documents": np.int32, "quotes": np.int64, "lines": np.int64, **LOOKUP,
    "digest_keys": np.uint64, "digest_order": np.int32,
}  # fmt: skip


class IndexedDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document of an index, without its text. See `data.documents.document.Document`."""

    source: str
    digest: str
    title: str
    metadata: dict[str, Value] = {}
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    passages: int = 0


_Bytes: TypeAlias = bytes | mmap.mmap
_Line = TypeVar("_Line", IndexedDocument, Passage)


class TextsWriter:
    """Writes the files, a document at a time."""

    def __init__(self, folder: Path, spools: Spools) -> None:
        self._folder = folder
        self._texts, self._documents, self._passages = (
            (folder / name).open("wb") for name in (TEXTS, DOCUMENT_LINES, PASSAGE_LINES)
        )
        self._spools: dict[str, Spool] = {
            "digests of documents": spools.new(np.uint8, _DIGEST),
            "texts": spools.new(np.int64),
            "document lines": spools.new(np.int64),
            "ids": spools.new(np.uint8, _ID),
            "digests": spools.new(np.uint8, _DIGEST),
            "documents": spools.new(np.int32),
            "quotes": spools.new(np.int64, 2),
            "lines": spools.new(np.int64),
        }
        for name in ("texts", "document lines", "lines"):
            self._spools[name].append(np.zeros(1, np.int64))

    def add(self, document: Document, passages: Sequence[Passage], ids: Sequence[str]) -> None:
        """Add a document with its passages."""
        at = len(self._spools["digests of documents"])
        begin = self._texts.tell()
        self._texts.write(document.text.encode())
        line = IndexedDocument(
            source=document.source,
            digest=document.digest,
            title=document.title,
            metadata=document.metadata,
            pages=document.pages,
            notes=document.notes,
            passages=len(passages),
        )
        self._documents.write(msgspec.json.encode(line) + b"\n")
        ends = []
        for passage in passages:
            self._passages.write(msgspec.json.encode(passage) + b"\n")
            ends.append(self._passages.tell())
        spools = self._spools
        spools["digests of documents"].append(_digests([document.source]))
        spools["texts"].append(np.array([self._texts.tell()]))
        spools["document lines"].append(np.array([self._documents.tell()]))
        spools["ids"].append(digests_of(ids, _ID))
        spools["digests"].append(_digests([passage.indexed for passage in passages]))
        spools["documents"].append(np.full(len(passages), at))
        spools["quotes"].append(begin + _byte_places(document.text, passages))
        spools["lines"].append(np.array(ends, np.int64))

    def values(self, name: str) -> np.ndarray:
        """A column of passages, so far."""
        return self._spools[name].values()

    def document_lines(self) -> Iterator[IndexedDocument]:
        """The documents so far, without their texts."""
        self._documents.flush()
        with (self._folder / DOCUMENT_LINES).open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=IndexedDocument)

    def close(self) -> None:
        """Write the columns."""
        for file in (self._texts, self._documents, self._passages):
            file.close()
        values = {name: spool.values() for name, spool in self._spools.items()}
        sources = values.pop("digests of documents")
        documents = {"digests": sources, "texts": values.pop("texts"), "lines": values.pop("document lines")}
        write_columns(self._folder / DOCUMENTS, {**documents, **Lookup.of(sources).columns})
        by_digest = {f"digest_{name}": column for name, column in Lookup.of(values["digests"]).columns.items()}
        write_columns(self._folder / PASSAGES, {**values, **Lookup.of(values["ids"]).columns, **by_digest})

    def discard(self) -> None:
        """Close and delete what was written."""
        for file in (self._texts, self._documents, self._passages):
            file.close()
        for name in FILES:
            (self._folder / name).unlink(missing_ok=True)


class Texts:
    """The files, mapped.

    Raises:
        RuntimeLoadError: one is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._texts, self._document_lines, self._passage_lines = (
            _mapped(folder / name) for name in (TEXTS, DOCUMENT_LINES, PASSAGE_LINES)
        )
        self._documents = read_columns(folder / DOCUMENTS, _DOCUMENT_COLUMNS)
        self._passages = passages = read_columns(folder / PASSAGES, _PASSAGE_COLUMNS)
        self._by_source = Lookup(*(self._documents[name] for name in ("digests", "keys", "order")))
        self._by_id = Lookup(*(passages[name] for name in ("ids", "keys", "order")))
        self._by_digest = Lookup(*(passages[name] for name in ("digests", "digest_keys", "digest_order")))
        for places, content in (
            (self._documents["texts"], self._texts),
            (self._documents["lines"], self._document_lines),
            (passages["lines"], self._passage_lines),
        ):
            if not len(places) or places[-1] != len(content):
                raise RuntimeLoadError(f"the files in {folder} do not fit together; {REMEDY}")

    def __len__(self) -> int:
        return len(self._passages["ids"])

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """The rows of passages by their ids; -1 where there is none."""
        try:
            return self._by_id.rows(digests_of(ids, _ID))
        except ValueError:
            raise RequestError("the id of a passage is a sha256 in hexadecimal", "id") from None

    def rows_of(self, indexed: Sequence[str]) -> np.ndarray:
        """The rows of passages by what was embedded of them; -1 where there is none."""
        return self._by_digest.rows(_digests(indexed))

    def id(self, row: int) -> str:
        """The id of a passage."""
        return self._passages["ids"][row].tobytes().hex()

    def passage(self, row: int) -> Passage:
        """A passage."""
        return self._decoded(self._passage_lines, self._passages["lines"], row, PASSAGE_LINES, Passage)

    def quote(self, row: int) -> str:
        """The document's text at the passage's place."""
        begin, end = self._passages["quotes"][row]
        return self._utf8(begin, end)

    def document(self, at: int) -> IndexedDocument:
        """A document."""
        return self._decoded(self._document_lines, self._documents["lines"], at, DOCUMENT_LINES, IndexedDocument)

    def document_of(self, row: int) -> IndexedDocument:
        """The document of a passage."""
        return self.document(int(self._passages["documents"][row]))

    def documents(self) -> Iterator[IndexedDocument]:
        """All documents, in the order in which they were added."""
        return map(self.document, range(len(self._documents["digests"])))

    def text(self, source: str) -> str:
        """A document's text.

        Raises:
            RequestError: there is no such document.
        """
        (at,) = self._by_source.rows(_digests([source]))
        if at < 0:
            raise RequestError(f"the index has no document {source!r:.200}", "source")
        return self._utf8(*self._documents["texts"][at : at + 2])

    def _utf8(self, begin: int, end: int) -> str:
        try:
            return self._texts[int(begin) : int(end)].decode()
        except UnicodeDecodeError as error:
            raise RuntimeLoadError(f"{self._folder / TEXTS} is damaged: {error}; {REMEDY}") from None

    def _decoded(self, lines: _Bytes, places: np.ndarray, row: int, name: str, type_: type[_Line]) -> _Line:
        try:
            return msgspec.json.decode(lines[int(places[row]) : int(places[row + 1])], type=type_)
        except msgspec.DecodeError as error:
            raise RuntimeLoadError(f"{self._folder / name} is damaged: {error}; {REMEDY}") from None


def _mapped(path: Path) -> _Bytes:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return b""
    except OSError as error:
        raise RuntimeLoadError(f"{path} cannot be read: {error}; {REMEDY}") from None


def _digests(texts: Sequence[str]) -> np.ndarray:
    joined = b"".join(hashlib.sha256(text.encode()).digest()[:_DIGEST] for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(len(texts), _DIGEST)


def _byte_places(text: str, passages: Sequence[Passage]) -> np.ndarray:
    """(n, 2) int64: where the passages begin and end in the text's UTF-8."""
    places = np.array([(passage.begin, passage.end) for passage in passages], np.int64).reshape(len(passages), 2)
    if text.isascii():
        return places
    cuts, back = np.unique(places, return_inverse=True)
    ends, bytes_, before = [], 0, 0
    for cut in cuts.tolist():
        bytes_ += len(text[before:cut].encode())
        before = cut
        ends.append(bytes_)
    return np.array(ends, np.int64)[back].reshape(places.shape)
