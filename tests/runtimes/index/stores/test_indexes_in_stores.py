"""A whole index in a store: whichever it is, the same passages are found, with the same scores."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from mainspring.runtimes.index.filters import read_filter
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter

from ..indexes import EMBEDDER, document, units
from .pinecone_stand_in import standing_in
from .qdrant_stand_in import standing_in as qdrant_standing_in

WORDS = ["cat", "dog", "bag", "fare", "seat", "meal", "visa", "gate", "Größe", "été", "飛行", "os.path.join", "--flag"]


@pytest.fixture(scope="module")
def settings() -> Iterator[dict[str, StoreSettings]]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("STORE_KEY", "right")
        qdrant = stack.enter_context(qdrant_standing_in("right"))
        pinecone = stack.enter_context(standing_in("right", delay=0.02))
        common = {"key": "STORE_KEY", "collection": "airdesk-handbook-7-ab12cd34"}
        yield {
            "local": StoreSettings(),
            "qdrant": StoreSettings(kind="qdrant"),
            "qdrant server": StoreSettings(kind="qdrant", url=qdrant.url, **common),
            "milvus": StoreSettings(kind="milvus"),
            "pinecone": StoreSettings(kind="pinecone", url=pinecone.url, **common),
        }


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning")
def test_every_store_finds_the_same(tmp_path: Path, settings: dict[str, StoreSettings]) -> None:
    draw = random.Random(1)
    documents = [
        document(f"{at}.md", *(" ".join(draw.choices(WORDS, k=12)) for _ in range(3)), year=2000 + at % 5)
        for at in range(30)
    ]
    questions = [(" ".join(draw.choices(WORDS, k=3)), vector) for vector in units(5, seed=9)]
    found: dict[str, list] = {}
    for name, store in settings.items():
        staged, folder = tmp_path / f"{name} staged", tmp_path / name
        with IndexWriter(staged, EMBEDDER, language="english", store=store) as writer:
            for at, (one, passages) in enumerate(documents):
                writer.add(one, passages, units(len(passages), seed=100 + at))
            writer.close()
        staged.rename(folder)  # as the registry publishes a version
        index = Index.load(folder)
        found[name] = [
            [(hit.id, hit.score, hit.dense, hit.sparse, hit.quote) for hit in index.search(*asked, 7, where, **how)]
            for asked in questions
            for where in (None, read_filter({"year": {"gte": 2002}, "source": {"not": "4.md"}}))
            for how in ({"dense_weight": 1.0}, {"dense_weight": 0.5}, {"dense_weight": 0.0}, {"diversity": 0.4})
        ]
        index.close()
    for name, lists in found.items():
        for hits, wanted in zip(lists, found["local"], strict=True):
            assert [hit[0] for hit in hits] == [hit[0] for hit in wanted], name
            assert np.array([hit[1:4] for hit in hits]) == pytest.approx(
                np.array([hit[1:4] for hit in wanted]), abs=2e-6
            )
