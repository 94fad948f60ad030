"""Qdrant's client, over HTTP, against a stand-in for its server (see `qdrant_stand_in`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores.qdrant import open_qdrant
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import WIDTH, Conformance, Opening, check, entries, question
from .qdrant_stand_in import StandIn, standing_in

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with standing_in("right") as server:
        yield server


@pytest.fixture(scope="module")
def opening(server: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opening]:
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QDRANT_KEY", "right")
        yield lambda name: open_qdrant(
            StoreSettings(kind="qdrant", url=server.url, key="QDRANT_KEY", collection=name), folder
        )


class TestQdrantServer(Conformance):
    count = 120  # the stand-in is slow


def test_fields_that_filters_ask_for_are_indexed(server: StandIn, opening: Opening) -> None:
    assert server.indexed["text_source"] == "keyword"
    assert server.indexed["number_page"] == server.indexed["flag_draft"] == "float"
    assert len(server.indexed) == 10  # some fields have values of two or three kinds


def test_what_passes_is_tried_again(server: StandIn, opening: Opening) -> None:
    store, some = opening("busy"), entries(40)
    server.failing = 2
    store.create(WIDTH)
    server.failing = 1
    store.insert(some)
    store.publish()
    server.failing = 3
    check(store, some, question(1, 0.5), 5)
    store.close()


def test_a_server_that_stays_busy(server: StandIn, opening: Opening) -> None:
    server.failing = 4
    with pytest.raises(StoreError, match=r"cannot count the passages \(Qdrant at .*: it answers 503: .*not now"):
        opening("busy").count()
    assert not server.failing


def test_another_key(server: StandIn, opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QDRANT_KEY", "wrong")
    with pytest.raises(StoreError, match="refuses the API key in the environment variable QDRANT_KEY"):
        opening("filled").create(WIDTH)
    monkeypatch.delenv("QDRANT_KEY")
    with pytest.raises(StoreError, match=r"QDRANT_KEY.* is not set"):
        opening("filled")


def test_no_key(server: StandIn, tmp_path: Path) -> None:
    store = open_qdrant(StoreSettings(kind="qdrant", url=server.url, collection="filled"), tmp_path)
    with pytest.raises(StoreError, match="wants an API key: name the environment variable"):
        store.count()


def test_no_server(tmp_path: Path) -> None:
    store = open_qdrant(StoreSettings(kind="qdrant", url="http://127.0.0.1:9", collection="filled"), tmp_path)
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9.*does not answer .*refused.* is it running there"):
        store.search(question(1, 0.5), 5)
