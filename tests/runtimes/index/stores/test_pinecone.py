"""Pinecone's client, against a stand-in for the service (see `pinecone_stand_in`): the service itself is not tested."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores import pinecone
from mainspring.runtimes.index.stores.pinecone import PineconeStore
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Entry, Sparse

from .conformance import WIDTH, Conformance, Opening, check, entries, question
from .pinecone_stand_in import PineconeStandIn, standing_in


@pytest.fixture(scope="module")
def service() -> Iterator[PineconeStandIn]:
    with standing_in("right", delay=0.1) as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PINECONE_TEST_KEY", "right")
        yield service


@pytest.fixture(scope="module")
def opening(service: PineconeStandIn) -> Opening:
    def opened(name: str) -> PineconeStore:
        return PineconeStore(StoreSettings(kind="pinecone", url=service.url, key="PINECONE_TEST_KEY", collection=name))

    return opened


class TestPinecone(Conformance):
    count = 120  # the stand-in is slow


def one_entry(**changes) -> Entry:
    return msgspec.structs.replace(entries(31)[5], **changes)


def test_all_collections_of_one_width_share_an_index(service: PineconeStandIn, opening: Opening) -> None:
    wide = opening("wide")
    wide.create(2 * WIDTH)
    assert set(service.indexes) == {f"mainspring-{WIDTH}", f"mainspring-{2 * WIDTH}"}
    assert service.indexes["mainspring-32"].metric == "dotproduct"
    wide.drop()
    wide.create(WIDTH)  # by a fit with another embedder
    wide.close()
    wide = opening("wide")
    assert wide.count() == 0
    wide.close()


def test_what_was_replaced_is_waited_for(
    service: PineconeStandIn, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of passages does not tell that one was replaced: the place in the log does."""
    old, new = one_entry(), one_entry(dense=entries(31)[6].dense)
    store = opening("replaced")
    store.create(WIDTH)
    store.insert([old])
    store.publish()
    monkeypatch.setattr(service, "delay", 1.0)
    store.insert([new])
    store.publish()
    check(store, [new], question(1, 1.0), 1)
    store.close()


def test_it_does_not_wait_for_ever(service: PineconeStandIn, opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinecone, "_SETTLING", 0.0)
    monkeypatch.setattr(service, "delay", 60.0)
    store = opening("late")
    store.create(WIDTH)
    store.insert([one_entry()])
    with pytest.raises(StoreError, match="searches do not see all that was written after 0 seconds"):
        store.publish()
    store.close()


def test_large_passages_are_sent_in_several_requests(service: PineconeStandIn, opening: Opening) -> None:
    large = [msgspec.structs.replace(one, fields={"title": "x" * 39_000}) for one in entries(120)]
    store = opening("large")
    store.create(WIDTH)
    service.requests.clear()
    store.insert(large)
    sizes = [size for path, size in service.requests if path == "/vectors/upsert"]
    assert len(sizes) == 3
    assert max(sizes) <= 2_000_000
    store.publish()
    check(store, large, question(1, 0.5), 10)
    store.close()


def test_more_than_fits_into_an_answer(service: PineconeStandIn, opening: Opening) -> None:
    store, some = opening("filled"), entries(TestPinecone.count)
    check(store, some, question(1, 0.5), 100)
    assert "/vectors/fetch" not in service.paths()
    check(store, some, question(1, 0.5), 150)
    assert service.paths().count("/vectors/fetch") == 2
    store.close()


def test_what_exceeds_a_limit_is_refused(opening: Opening) -> None:
    store = opening("limits")
    store.create(WIDTH)
    with pytest.raises(StoreError, match=r"passage .* have 41,0.. bytes, and Pinecone takes 40,000 .*'title'"):
        store.insert([one_entry(fields={"page": 1, "title": "x" * 41_000})])
    many = Sparse(np.arange(1001, dtype=np.uint32), np.ones(1001, np.float32))
    with pytest.raises(StoreError, match=r"has 1,001 different words, and Pinecone takes 1,000: .*fewer `tokens`"):
        store.insert([one_entry(sparse=many)])
    assert store.count() == 0
    store.close()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinecone's client waits a second before the last attempt."""
    monkeypatch.setattr("pinecone._internal.http_client._retry_sleep", lambda seconds: None)


@pytest.mark.usefixtures("no_pauses")
def test_what_passes_is_tried_again(service: PineconeStandIn, opening: Opening) -> None:
    store, some = opening("busy"), entries(40)
    store.create(WIDTH)
    service.failing = 2
    store.insert(some)
    store.publish()
    check(store, some, question(1, 0.5), 5)
    store.close()


def test_another_key(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_TEST_KEY", "wrong")
    store = opening("filled")
    with pytest.raises(StoreError, match=r"refuses the API key in the environment variable PINECONE_TEST_KEY"):
        store.create(WIDTH)
    store.close()
    monkeypatch.delenv("PINECONE_TEST_KEY")
    with pytest.raises(StoreError, match=r"PINECONE_TEST_KEY.* is not set"):
        opening("filled")
    with pytest.raises(StoreError, match="Pinecone wants an API key"):
        PineconeStore(StoreSettings(kind="pinecone"))


@pytest.mark.usefixtures("no_pauses")
def test_no_service(opening: Opening) -> None:
    settings = StoreSettings(kind="pinecone", url="http://127.0.0.1:9", key="PINECONE_TEST_KEY", collection="filled")
    store = PineconeStore(settings)
    with pytest.raises(StoreError, match=r"cannot list the indexes \(.*http://127.0.0.1:9\): it does not answer"):
        store.search(question(1, 0.5), 5)
    store.close()
