"""The embedder of a collection: prepared once, kept, and put into every version that uses it.

    .mainspring/embedders/DIGEST/embedder.json                       who it is, and vectors that it must give
                                 model.onnx, tokenizer.json, ...     weights that run here, or
                                 remote.json                         where an endpoint is

Writing a graph takes PyTorch and seconds; a fit that changes nothing of it should need neither.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mainspring.data.documents.splitting import Splitter
from mainspring.data.documents.tokens import EstimatedTokens, Tokens, read_tokenizer
from mainspring.errors import RuntimeLoadError, WeightsError
from mainspring.files import lock, sync_folder, write_atomically
from mainspring.registry.versions import Golden
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.language.pooling import read_pooling
from mainspring.runtimes.language.protocol import Engine
from mainspring.spec import EmbeddingSpec, Project, RetrievalSpec

DEFAULT = "all-minilm-l6-v2"
FOLDER = "embedders"
DESCRIPTION, REMOTE = "embedder.json", "remote.json"
_FORMAT = 1  # of what is written; another one is prepared anew
_USUAL_TOKENS = 200  # of a passage: see docs/benchmarks.md

Say = Callable[[str], None]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """`embedder.json`. `evidence` says how near its vectors are to those in 32-bit arithmetic."""

    identity: Embedder
    golden: Golden
    parity: dict[str, Any] = {}
    evidence: str = ""


class _SentenceTransformers(msgspec.Struct):
    prompts: dict[str, str | None] | None = None


@dataclass(frozen=True)
class PreparedEmbedder:
    """An embedder in a folder of its own."""

    folder: Path
    identity: Embedder
    golden: Golden
    parity: dict[str, Any]
    evidence: str

    @classmethod
    def read(cls, folder: Path) -> PreparedEmbedder:
        """What was written into `folder`.

        Raises:
            RuntimeLoadError: it is damaged, or not there.
        """
        path = folder / DESCRIPTION
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Description)
        except (OSError, msgspec.DecodeError) as error:
            raise RuntimeLoadError(f"{path} cannot be read: {error}") from None
        return cls(folder, found.identity, found.golden, found.parity, found.evidence)

    @property
    def is_remote(self) -> bool:
        """Whether it is somebody's endpoint."""
        return (self.folder / REMOTE).is_file()

    def put(self, target: Path) -> PreparedEmbedder:
        """The same in the new folder `target`: as links where that can be, for these files are never changed."""
        for path in sorted(self.folder.rglob("*")):
            place = target / path.relative_to(self.folder)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path, place)
                except OSError:
                    shutil.copyfile(path, place)
        return PreparedEmbedder.read(target)

    def engine(self) -> Engine:
        """The engine that gives its vectors.

        Raises:
            RuntimeLoadError: it cannot be loaded, or the endpoint's key is not set.
        """
        if self.is_remote:
            from mainspring.runtimes.language.remote import RemoteEngine, read_settings

            return RemoteEngine(read_settings(self.folder / REMOTE))
        from mainspring.runtimes.language.embedding import load_embedding

        return load_embedding(self.folder)

    def tokens(self) -> Tokens:
        """What counts its tokens."""
        return EstimatedTokens() if self.is_remote else read_tokenizer(self.folder / "tokenizer.json")

    def splitter(self, tokens: Tokens | None = None, most: int | None = None) -> Splitter:
        """What splits documents for it, into passages of at most `most` tokens."""
        most = min(most or _USUAL_TOKENS, self.identity.context)
        return Splitter(tokens or self.tokens(), most=most, prefix=self.identity.passage_prefix)


def prepare(project: Project, spec: RetrievalSpec, say: Say) -> PreparedEmbedder:
    """The embedder that `spec` names, as it was prepared before, or prepared now.

    Raises:
        SpecError: there is nothing of this name.
        WeightsError: its weights cannot be had, or are not those of an encoder.
        ParityError: its graph, or the engine that runs it, gives other vectors than it.
        MissingExtraError: a library is not installed.
    """
    if spec.remote is not None:
        return _kept(
            project, _digest("remote", spec.remote.model_dump_json(), spec), lambda staged: _remote(spec, staged)
        )
    from mainspring.weights import resolve

    weights = resolve(spec.embedder or DEFAULT, project.folder)
    return _kept(project, _digest("local", weights.identity, spec), lambda staged: _local(spec, weights, staged, say))


def _digest(kind: str, what: str, spec: RetrievalSpec) -> str:
    return hashlib.sha256("\0".join([str(_FORMAT), kind, what, *spec.prefixes]).encode()).hexdigest()[:32]


def _kept(project: Project, digest: str, make: Callable[[Path], Description]) -> PreparedEmbedder:
    folder = project.state / FOLDER / digest
    if (folder / DESCRIPTION).is_file():
        return PreparedEmbedder.read(folder)
    with lock(project.state / FOLDER / f".{digest}.lock", what="preparing the embedder", timeout=600.0):
        if not (folder / DESCRIPTION).is_file():
            with tempfile.TemporaryDirectory(prefix=f".{digest}-", dir=folder.parent) as work:
                staged = Path(work) / "staged"
                staged.mkdir()
                description = make(staged)
                write_atomically(staged / DESCRIPTION, msgspec.json.format(msgspec.json.encode(description)))
                for path in staged.rglob("*"):
                    sync_folder(path)  # files as well: their bytes are to be there before the folder's name is
                sync_folder(staged)
                staged.rename(folder)
                sync_folder(folder.parent)
    return PreparedEmbedder.read(folder)


def _local(spec: RetrievalSpec, weights: Any, staged: Path, say: Say) -> Description:
    from mainspring.tasks.encoder import build_encoder

    built = build_encoder(weights, staged, say=say)
    pooling = read_pooling(staged)
    query, passage = spec.prefixes if any(spec.prefixes) else _own_prefixes(weights.path)
    identity = Embedder(
        name=weights.name,
        revision=weights.identity,
        width=pooling.width,
        pooling=pooling.mode,
        context=pooling.context,
        query_prefix=query,
        passage_prefix=passage,
    )
    return Description(identity=identity, golden=built.golden, parity=built.parity, evidence=built.evidence)


def _own_prefixes(folder: Path) -> tuple[str, str]:
    """What the weights say that they want in front of questions and of passages (sentence-transformers' `prompts`)."""
    path = folder / "config_sentence_transformers.json"
    try:
        written = msgspec.json.decode(path.read_bytes(), type=_SentenceTransformers) if path.is_file() else None
    except (OSError, msgspec.DecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None
    prompts = (written.prompts if written else None) or {}
    return prompts.get("query") or "", prompts.get("passage") or prompts.get("document") or ""


def _remote(spec: RetrievalSpec, staged: Path) -> Description:
    from mainspring.tasks.language import build_remote

    remote = spec.remote
    assert remote is not None
    assert remote.embeds is not None
    built = build_remote(EmbeddingSpec(task="embedding", remote=remote), staged)
    identity = Embedder(
        name=f"{remote.model} at {remote.url}",
        revision=hashlib.sha256(f"{remote.url}\0{remote.model}".encode()).hexdigest(),
        width=remote.embeds,
        pooling="its own",
        context=remote.context,
        query_prefix=spec.prefixes[0],
        passage_prefix=spec.prefixes[1],
        precision="its own",
    )
    return Description(identity=identity, golden=built.golden, evidence=built.evidence)
