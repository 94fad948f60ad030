"""`task = "retrieval"`: a collection of documents that is searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mainspring.spec.models import ModelSpec, RemoteSpec
from mainspring.spec.values import Strict

RetrievalMetric = Literal["ndcg", "recall", "mrr"]
StoreKind = Literal["local", "qdrant", "milvus", "pinecone"]
Language = Literal[
    "none", "arabic", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


class StoreSpec(Strict):
    """Where the index is kept. `url` is that of a server; without it Qdrant and Milvus run in the process, in the
    version's own folder. `key` names the environment variable that has the API key. `cloud` and `region` are where
    Pinecone makes an index.
    """

    kind: StoreKind = "local"
    url: str | None = None
    key: str | None = None
    cloud: str = "aws"
    region: str = "us-east-1"

    @property
    def is_of_one_process(self) -> bool:
        """Whether one process at a time can have the index open, as with Milvus Lite."""
        return self.kind == "milvus" and self.url is None

    @model_validator(mode="after")
    def _server_has_an_address(self) -> StoreSpec:
        if self.kind == "local" and (self.url or self.key):
            raise ValueError('no `url` and no `key` with kind = "local", which is files in the version\'s folder')
        if self.kind == "pinecone" and self.key is None:
            raise ValueError('`key` (the environment variable that has the API key) with kind = "pinecone"')
        return self


def _store(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


WrittenStore = Annotated[StoreSpec, BeforeValidator(_store)]  # in the file a table, or just its kind


class RetrievalSpec(ModelSpec):
    """Documents in, passages that answer a question out.

    `data` is a folder or a glob of documents, or a table, a SQL URL with a `query`, or `module:function`, of which the
    columns `text` are the documents and `key` names each. `encoding` is that of text files that don't say theirs.

    `embedder` is a name of the catalogue, a Hugging Face folder, or a hub id; or `remote` is an endpoint. `prefixes`
    are what it wants in front of questions and of passages. `tokens` is the most that a passage has; None leaves it to
    the embedder. `language` is whose words are stemmed.

    `questions` is a table of questions with known places (see docs/guide/retrieval.md), by which versions are tuned and
    judged. `dense_weight` (0: by words alone, 1: by meaning alone) is tuned unless given. `rerank` is "off",
    "late-interaction", or a folder with a cross-encoder's graph; whether it pays, the gate says. `diversity` (Carbonell
    and Goldstein, 1998) is how much of the choice is kept from saying the same again: 0 is none.

    `private` says what the prediction log may hold of questions: nothing ("drop"), or a keyed hash of each ("hash").
    """

    task: Literal["retrieval"]
    data: str
    query: str | None = None
    text: tuple[str, ...] = Field(default=(), strict=False)
    key: str | None = None
    encoding: str | None = None
    embedder: str | None = None
    remote: RemoteSpec | None = None
    prefixes: tuple[str, str] = Field(default=("", ""), strict=False)
    tokens: Annotated[int, Field(ge=16, le=8192)] | None = None
    language: Language = "english"
    questions: str | None = None
    metric: RetrievalMetric = "ndcg"
    dense_weight: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    rerank: str = "off"
    diversity: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    store: WrittenStore = StoreSpec()
    private: Literal["drop", "hash"] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _embedder_or_remote(self) -> RetrievalSpec:
        if self.remote is not None and self.embedder is not None:
            raise ValueError("either `embedder` (weights to run here) or `remote` (an endpoint), and not both")
        if self.remote is not None and self.remote.embeds is None:
            raise ValueError("`embeds` (the width of its vectors) in `remote`")
        if self.query is not None and not self.text:
            raise ValueError("`text` (the columns that hold documents) together with `query`")
        if self.renew.rollout == "shadow":
            raise ValueError('`rollout = "canary"` or "full": an index has no shadows')
        if beside := sorted(self.renew.model_fields_set & {"data", "window", "feedback", "candidates", "budget"}):
            raise ValueError(f"no {beside} in `renew`: an index is made of all documents")
        return self
