"""One peer indexes passages or files, and says in JSON how long that took. Run by `benchmarks/indexing.py`, in the
peer's own environment: peer.py PEER (passages.json | FOLDER) MODEL

The weights are loaded and warm before the clock starts. torch computes on as many threads as there are cores.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_BATCH = 32
_CONTEXT = 256


Split = Callable[[list[str]], list[str]]
Index = Callable[[list[str]], Any]


def langchain(model: str) -> tuple[Split, Index]:
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")

    class SentenceTransformerEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return encoder.encode(texts, batch_size=_BATCH, normalize_embeddings=True).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    def split(files: list[str]) -> list[str]:
        splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        return [document.page_content for document in splitter.create_documents(files)]

    def index(passages: list[str]) -> Any:
        store = InMemoryVectorStore(SentenceTransformerEmbeddings())
        store.add_texts(passages)
        return store

    return split, index


def llamaindex(model: str) -> tuple[Split, Index]:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import TextNode
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    encoder = HuggingFaceEmbedding(model_name=model, device="cpu", embed_batch_size=_BATCH)

    def split(files: list[str]) -> list[str]:
        splitter = SentenceSplitter(chunk_size=256, chunk_overlap=20)
        return [chunk for text in files for chunk in splitter.split_text(text)]

    def index(passages: list[str]) -> Any:
        return VectorStoreIndex([TextNode(text=text) for text in passages], embed_model=encoder)

    return split, index


def txtai(model: str) -> tuple[Split, Index]:
    from txtai import Embeddings
    from txtai.pipeline import Segmentation

    embeddings = Embeddings(
        path=model, method="sentence-transformers", content=True, hybrid=True, gpu=False, encodebatch=_BATCH
    )

    def split(files: list[str]) -> list[str]:
        paragraphs = Segmentation(paragraphs=True)
        return [chunk for text in files for chunk in paragraphs(text)]

    def index(passages: list[str]) -> Any:
        embeddings.index((number, {"text": text}, None) for number, text in enumerate(passages))
        return embeddings

    return split, index


def _peak() -> float:
    """The most memory of this process in MiB. (`getrusage` starts with what the process had that began this one.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(peer: str, what: Path, model: str) -> None:
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    split, index = {"langchain": langchain, "llamaindex": llamaindex, "txtai": txtai}[peer](model)
    index(["warm " * 50] * _BATCH)
    begun, cpu = time.perf_counter(), time.process_time()
    if what.is_dir():
        files = [path.read_text("utf-8") for path in sorted(what.rglob("*.rst"))]
        passages = split(files)
    else:
        passages = json.loads(what.read_text())
    split_in = time.perf_counter() - begun
    index(passages)
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    tokenizer = AutoTokenizer.from_pretrained(model)
    lengths = [len(ids) for ids in tokenizer(passages, truncation=False, verbose=False)["input_ids"]]
    told = {
        "passages": len(passages),
        "seconds": took,
        "cpu": cpu,
        "split": split_in,
        "cut": sum(length > _CONTEXT for length in lengths),
        "tokens": sum(min(length, _CONTEXT) for length in lengths),
        "lost": sum(max(0, length - _CONTEXT) for length in lengths) / sum(lengths),
        "peak": _peak(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
