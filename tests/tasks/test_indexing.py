"""Indexing: what is new is computed once, what is known is taken over, and a kill costs a part at the most."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mainspring import spec
from mainspring.data.documents.document import Block, Document, Unread
from mainspring.errors import ContextError, DataError, EngineGoneError
from mainspring.registry.vector_cache import VectorCache, digests
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter
from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings
from mainspring.runtimes.language.protocol import Engine
from mainspring.spec import Project
from mainspring.tasks import embedder, fastest_encoder, indexing
from mainspring.tasks.embedder import PreparedEmbedder
from mainspring.tasks.embedding_passages import PassageEmbedder
from mainspring.tasks.fastest_encoder import FastestEncoder, ways
from mainspring.tasks.indexing import Indexed

_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789.,:>()"


@dataclass
class Note:
    """A source in memory: paragraphs with an empty line between two."""

    name: str
    text: str
    reads: int = field(default=0)
    unread: str | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def read(self) -> Document | Unread:
        self.reads += 1
        if not self.text:
            return Unread(self.name, "is empty")
        blocks, begin = [], 0
        for part in self.text.split("\n\n"):
            blocks.append(Block(kind="paragraph", begin=begin, end=begin + len(part), text=part))
            begin += len(part) + 2
        return Document(
            source=self.name, digest=self.digest, title=self.name, text=self.text, blocks=tuple(blocks),
            metadata={"size": len(self.text)}, notes=("was read",),
        )  # fmt: skip


def notes(count: int) -> list[Note]:
    return [Note(f"n{n}", f"note {n} tells of thing {n * 7}.\n\nand of {'more ' * 60}it {n}.") for n in range(count)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose embedder is a small BERT that has learned nothing."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("indexing")
    torch.manual_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_SIGNS, *(f"##{sign}" for sign in _SIGNS)]
    tokenizer = Tokenizer(models.WordPiece({piece: id_ for id_, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    config = transformers.BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=512,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / "tiny")
    tokenizer.save(str(folder / "tiny/tokenizer.json"))
    (folder / "mainspring.toml").write_text(
        '[project]\nname = "notes"\n[models.notes]\ntask = "retrieval"\ndata = "notes"\nembedder = "tiny"\n'
        'prefixes = ["query: ", "passage: "]\n'
    )
    return spec.load(folder)


@pytest.fixture(scope="module")
def prepared(project: Project) -> PreparedEmbedder:
    """Its embedder."""
    return embedder.prepare(project, project.retrieval("notes"), lambda _: None)


@pytest.fixture
def run(prepared: PreparedEmbedder, tmp_path: Path) -> Callable[..., Indexed]:
    """Indexes sources into the folder of this name."""

    def index(sources: list[Note], name: str, previous: str | None = None, **options: int) -> Indexed:
        return indexing.index(
            sources, tmp_path / name, prepared, VectorCache(tmp_path / "cache", prepared.identity.width),
            language="english", store=StoreSettings(collection=name),
            previous=tmp_path / previous if previous else None, say=lambda _: None, **options,
        )  # fmt: skip

    return index


def test_an_embedder_is_prepared_once(project: Project, prepared: PreparedEmbedder, tmp_path: Path) -> None:
    said: list[str] = []
    assert embedder.prepare(project, project.retrieval("notes"), said.append) == prepared
    assert not said
    assert prepared.identity.width == 32
    assert prepared.identity.passage_prefix == "passage: "
    version = prepared.put(tmp_path / "version")
    assert version.identity == prepared.identity
    assert os.path.samefile(version.folder / "model.onnx", prepared.folder / "model.onnx")


def test_an_endpoint_is_an_embedder_too(project: Project) -> None:
    said = project.retrieval("notes").model_copy(
        update={"embedder": None, "remote": spec.RemoteSpec(url="http://localhost:9/v1", model="m", embeds=8)}
    )
    found = embedder.prepare(project, said, lambda _: None)
    assert found.is_remote
    assert (found.identity.width, found.identity.precision) == (8, "its own")
    assert found.engine().capabilities.embeds == 8
    passages = PassageEmbedder(found, found.tokens(), VectorCache(project.folder / "other", 8))
    with pytest.raises(EngineGoneError, match="localhost:9"):
        passages.vectors(["a text"])


def test_vectors_are_those_of_the_engine(prepared: PreparedEmbedder, tmp_path: Path) -> None:
    texts = ["a", "b " * 100, "c d", "a", *(f"text {'x' * n}" for n in range(40))]
    tokens = prepared.tokens()
    passages = PassageEmbedder(prepared, tokens, VectorCache(tmp_path, 32))
    found = passages.vectors(texts)
    engine = prepared.engine()
    expected = asyncio.run(_embedded(engine, [prepared.identity.passage_prefix + text for text in texts]))
    assert (found.astype(np.float32) * expected).sum(1).min() > 0.999
    assert (passages.embedded, passages.reused) == (len(set(texts)), len(texts) - len(set(texts)))
    with pytest.raises(ContextError, match="split it"):
        passages.vectors(["a " * 600])


async def _embedded(engine: Engine, texts: list[str]) -> np.ndarray:
    vectors, _ = await engine.embed(texts)
    await engine.close()
    return vectors


def test_an_index_is_made_and_only_what_changed_is_read_again(run: Callable[..., Indexed], tmp_path: Path) -> None:
    sources = [*notes(30), Note("nothing", "")]
    first = run(sources, "one")
    assert (first.documents, first.taken_over, first.embedded) == (30, 0, first.passages)
    assert [(one.source, one.reason) for one in first.unread] == [("nothing", "is empty")]
    assert first.notes["n0"] == ["was read"]

    sources[3].text += "\n\nand a new end."
    del sources[5]
    second = run(sources, "two", previous="one")
    assert (second.documents, second.taken_over) == (29, 28)
    assert 0 < second.embedded < 5
    assert [source.reads for source in sources[:5]] == [1, 1, 1, 2, 1]

    whole = run([Note(source.name, source.text) for source in sources], "three")
    assert whole.embedded == 0
    assert whole.passages == second.passages
    one, other = Index.load(tmp_path / "two"), Index.load(tmp_path / "three")
    assert list(one.passages()) == list(other.passages())
    assert list(one.documents()) == list(other.documents())
    passages = [passage for _, passage in one.passages()]
    assert np.array_equal(one.vectors(passages)[1], other.vectors(passages)[1])
    assert all(one.quote(passage) == other.quote(passage) for passage in passages)
    one.close()
    other.close()


def test_what_is_taken_over_does_not_wait_for_the_end(
    run: Callable[..., Indexed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(notes(12), "one")
    changed = notes(13)
    changed[5].text += "\n\nand more."
    run(changed, "two", previous="one")
    added: list[str] = []
    before_the_last: list[str] = []

    def read_last() -> Document | Unread:
        before_the_last.extend(added)
        return Note.read(changed[12])

    def add(writer: IndexWriter, document: Document, *rest: object) -> None:
        added.append(document.source)
        really_add(writer, document, *rest)

    really_add: Callable[..., None] = IndexWriter.add
    monkeypatch.setattr(IndexWriter, "add", add)
    monkeypatch.setattr(indexing, "_HELD", 8)
    changed[12].read = read_last  # type: ignore[method-assign]
    assert run(changed, "three", previous="one").taken_over == 11
    assert len(before_the_last) > 8
    for name in ("passages.jsonl", "texts.utf8", "vectors.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()


def test_another_way_to_split_takes_nothing_over(run: Callable[..., Indexed]) -> None:
    run(notes(3), "one")
    assert run(notes(3), "two", previous="one", tokens=64).taken_over == 0
    assert run(notes(3), "three", previous="two", tokens=64).taken_over == 3


def test_many_texts_are_computed_while_the_fastest_way_is_sought(
    prepared: PreparedEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    texts = [draw.integers(4, 40, draw.integers(3, 60)).astype(np.int32) for _ in range(700)]
    usual, *others = ways(2)
    alone = BulkEncoder(prepared.folder, usual).vectors(texts)
    few = FastestEncoder(prepared.folder)
    np.testing.assert_allclose(few.vectors(texts), alone, atol=1e-6)
    assert not few.tried
    monkeypatch.setattr(fastest_encoder, "FEWEST", 700)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    many = FastestEncoder(prepared.folder)
    # Of one text's two vectors in 8 bits of mantissa, and in none less.
    assert (many.vectors(texts) * alone).sum(1).min() > 0.999
    assert {one.settings for one in many.tried} == {usual, *others}
    chosen, *rest = many.tried
    assert chosen.settings == usual or chosen.rate > max(one.rate for one in rest)
    tried = list(many.tried)
    many.vectors(texts)
    assert many.tried == tried


def test_the_usual_way_is_left_for_a_clear_gain_alone(
    prepared: PreparedEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest_encoder, "FEWEST", 400)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    texts = [np.array([2, 5 + n % 9, 3], np.int32) for n in range(600)]
    for clearly in (1e9, 1e-9):
        monkeypatch.setattr(fastest_encoder, "_CLEARLY", clearly)
        encoder = FastestEncoder(prepared.folder)
        encoder.vectors(texts)
        chosen = encoder.tried[0]
        assert chosen.settings == ways(2)[0] if clearly > 1 else chosen.rate == max(one.rate for one in encoder.tried)


@pytest.mark.parametrize("cores", [1, 2, 4, 64])
def test_ways_are_different_and_use_no_more_than_the_cores(cores: int) -> None:
    found = ways(cores)
    assert found[0] == BulkSettings(streams=cores)
    assert len(set(found)) == len(found)
    assert all(1 <= way.streams <= cores for way in found)


def test_what_a_killed_fit_has_embedded_is_not_embedded_again(
    run: Callable[..., Indexed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_PART", 8)
    sources = notes(20)

    def killed() -> Document:
        raise KeyboardInterrupt

    sources[12].read = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(sources, "one")
    assert not (tmp_path / "one/index.json").exists()
    again = run(notes(20), "two")
    assert again.reused >= 16
    assert again.embedded + again.reused == again.passages


def test_nothing_to_read_is_an_error_that_says_why(run: Callable[..., Indexed]) -> None:
    with pytest.raises(DataError, match="a is empty"):
        run([Note("a", "")], "one")


def test_the_cache_keeps_what_is_used_and_outlives_damage(tmp_path: Path) -> None:
    vectors = np.eye(6, 8, dtype=np.float32)
    keys = digests([str(n) for n in range(6)])
    cache = VectorCache(tmp_path, 8)
    cache.put(keys[:4], vectors[:4])
    cache.put(keys[3:], vectors[3:])
    assert len(cache) == 7
    here, found = VectorCache(tmp_path, 8).get(digests(["5", "none", "0"]))
    assert here.tolist() == [True, False, True]
    assert np.array_equal(found, [vectors[5], np.zeros(8), vectors[0]])

    assert cache.collect([keys[2:5], digests(["none"])]) == 4
    assert cache.get(keys)[0].tolist() == [False, False, True, True, True, False]
    assert cache.collect([keys[2:5]]) == 0
    [part] = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:50])
    assert len(VectorCache(tmp_path, 8)) == 0
    shutil.rmtree(tmp_path)
