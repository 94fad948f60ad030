"""Python's documentation as an index, with the questions of its FAQ.

Each question's section of the FAQ is a document of its own, without the heading that asks it.

It comes from Debian: `apt-get download python3.11-doc`, and `dpkg-deb -x` it into a folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mainspring.data.documents.document import Block, BlockKind, Document
from mainspring.data.documents.splitting import Splitter
from mainspring.data.documents.tokens import read_tokenizer
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Found, Searched
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.settings import SETTINGS
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter
from mainspring.runtimes.language.embedding import EmbeddingEngine, load_embedding
from mainspring.tasks.export_encoder import export_encoder
from mainspring.weights import resolve

FOLDERS = ("faq", "tutorial", "howto", "reference", "using", "installing", "distributing", "extending")
_TITLE = re.compile(r"(?m)^(?:([=*#\-~^])\1{2,}\n)?(\S[^\n]*)\n([=*#\-~^\".'`+])\3{2,}[ \t]*$")
_ROLE = re.compile(r":[a-z:+-]+:`[~!]?([^`<]*?)(?:\s*<[^`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]+>`_+")
_AT_ONCE = 64


@dataclass(frozen=True)
class Question:
    """A question, and the document that answers it."""

    text: str
    source: str


def python_collection(root: Path) -> tuple[list[Document], list[Question]]:
    """The documents below `root` (`…/html/_sources`), and the questions of the FAQ."""
    documents: list[Document] = []
    questions: list[Question] = []
    for path in sorted(path for folder in FOLDERS for path in (root / folder).glob("**/*.rst.txt")):
        text = path.read_text("utf-8")
        name = str(path.relative_to(root)).removesuffix(".rst.txt")
        if not name.startswith("faq/"):
            documents.append(_document(name, text))
            continue
        titles = [found for found in _TITLE.finditer(text) if found[3] == "-" and found[2].rstrip().endswith("?")]
        every = list(_TITLE.finditer(text))
        for number, found in enumerate(titles):
            end = next((other.start() for other in every if other.start() > found.start()), len(text))
            source = f"{name}#{number}"
            body = text[found.end() : end].strip("\n") + "\n"
            documents.append(_document(source, body))
            questions.append(Question(_plain(found[2]), source))
    return documents, questions


def _document(source: str, text: str) -> Document:
    blocks = list(_blocks(text))
    title = next((block.text for block in blocks if block.kind == "heading"), "Python frequently asked questions")
    return Document(
        source=source,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        title=title,
        text=text,
        blocks=tuple(blocks),
    )


def _blocks(text: str) -> Iterator[Block]:
    levels: list[str] = []
    at = 0
    titles = {found.start(): found for found in _TITLE.finditer(text)}
    for piece in re.finditer(r"(?:(?!\n[ \t]*\n).)+", text, re.DOTALL):
        begin = piece.start() + len(piece[0]) - len(piece[0].lstrip("\n"))
        found = titles.get(begin)
        if found:
            style = found[3] + (found[1] or "")
            levels = levels[: levels.index(style) + 1] if style in levels else [*levels, style]
            yield Block(kind="heading", begin=found.start(), end=found.end(), text=_plain(found[2]), level=len(levels))
            begin = found.end()
        written = text[begin : piece.end()].strip("\n")
        at = begin + (len(text[begin : piece.end()]) - len(text[begin : piece.end()].lstrip("\n")))
        if not written.strip() or written.lstrip().startswith((".. ", "__ ")):
            continue
        kind: BlockKind = "code" if written.startswith((" ", "\t")) else "paragraph"
        if written.lstrip().startswith(("* ", "- ", "#. ")):
            kind = "item"
        said = written if kind == "code" else _plain(written)
        yield Block(kind=kind, begin=at, end=at + len(written), text=said)


def _plain(written: str) -> str:
    text = _LINK.sub(r"\1", _ROLE.sub(r"\1", written))
    text = re.sub(r"``([^`]+)``|\*\*([^*]+)\*\*|(?<!\w)\*([^*\s][^*]*)\*", lambda m: m[1] or m[2] or m[3], text)
    return re.sub(r"\s*\n\s*", " ", re.sub(r"::$", ":", text)).strip()


class Collection:
    """The index, and a `Search` of it."""

    def __init__(self, index: Index, engine: EmbeddingEngine) -> None:
        self.index = index
        self.engine = engine
        self._vectors: dict[str, np.ndarray] = {}

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """As `Search`. A question's vector is computed once."""
        if question not in self._vectors:
            self._vectors[question] = (await self.engine.embed([question]))[0][0]
        return Searched(found=self.index.search(question, self._vectors[question], k, where))

    async def found(self, question: str, k: int, where: Filter | None = None) -> list[Found]:
        """The passages alone."""
        return (await self(question, k, where)).found

    async def embed(self, texts: list[str]) -> np.ndarray:
        """Vectors of sentences."""
        return (await self.engine.embed(texts))[0]


async def open_collection(documents: list[Document], folder: Path) -> Collection:
    """The index of `documents` in `folder`; it is made where there is none."""
    encoder = folder.parent / "encoder"
    if not (encoder / "model.onnx").is_file():
        shutil.copytree(resolve("all-minilm-l6-v2", Path()).path, encoder, dirs_exist_ok=True)
        await asyncio.to_thread(export_encoder, encoder, encoder)
    engine = load_embedding(encoder)
    if not (folder / SETTINGS).is_file():
        embedder = Embedder(name="all-minilm-l6-v2", revision="", width=384, pooling="mean", context=256)
        splitter = Splitter(read_tokenizer(encoder / "tokenizer.json"), most=240)
        with IndexWriter(folder, embedder, language="english", store=StoreSettings()) as writer:
            split = [(document, splitter.split(document)[0]) for document in documents]
            texts = [passage.indexed for _, passages in split for passage in passages]
            order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
            vectors = np.empty((len(texts), embedder.width), np.float32)
            for begin in range(0, len(order), _AT_ONCE):
                part = order[begin : begin + _AT_ONCE]
                vectors[part] = (await engine.embed([texts[at] for at in part]))[0]
            done = 0
            for document, passages in split:
                writer.add(document, passages, vectors[done : done + len(passages)])
                done += len(passages)
            await asyncio.to_thread(writer.close)
    return Collection(Index.load(folder), engine)
