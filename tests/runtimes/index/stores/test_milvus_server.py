"""Milvus's client over gRPC, against `milvus-lite server` in a process of its own: Milvus Lite's engine, and not the
cluster that Milvus is in production.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores import milvus
from mainspring.runtimes.index.stores.milvus import MilvusStore
from mainspring.runtimes.index.stores.settings import StoreSettings

from .conformance import WIDTH, Conformance, Opening, check, entries, question


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen]]:
    port, folder = free_port(), tmp_path_factory.mktemp("milvus")
    command = ["-m", "milvus_lite", "server", "--data-dir", folder / "data", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([sys.executable, *command], stdout=log, stderr=log) as run,
    ):
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=60)
            yield f"http://127.0.0.1:{port}", run
        finally:
            run.kill()


@pytest.fixture(scope="module")
def opening(server: tuple[str, subprocess.Popen], tmp_path_factory: pytest.TempPathFactory) -> Opening:
    folder = tmp_path_factory.mktemp("index")
    return lambda name: MilvusStore(StoreSettings(kind="milvus", url=server[0], collection=name), folder)


class TestMilvusServer(Conformance):
    pass


def test_a_large_collection_gets_a_graph(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "_EXACT", 200)
    store, many = opening("graph"), entries(300)
    store.create(WIDTH)
    store.insert(many)
    store.publish()
    store.close()
    store = opening("graph")
    for dense_weight in (1.0, 0.5, 0.0):  # a graph that is searched as far as it goes finds all of three hundred
        check(store, many, question(1, dense_weight), 100)
    [index] = [store._client.describe_index(name, "dense") for name in [milvus.collection_name("graph")]]
    assert index["index_type"] == "HNSW"
    store.drop()
    store.close()


def test_no_server(tmp_path: Path) -> None:
    store = MilvusStore(StoreSettings(kind="milvus", url="http://127.0.0.1:9", collection="filled"), tmp_path)
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9.*does not answer.*is it running there"):
        store.search(question(1, 0.5), 5)


def test_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus Lite looks at no key: here is a server that refuses each."""

    class Refusing(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
            )

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Refusing()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("MILVUS_KEY", "wrong")
    settings = StoreSettings(kind="milvus", url=f"http://127.0.0.1:{port}", key="MILVUS_KEY")
    with pytest.raises(StoreError, match="refuses the API key in the environment variable MILVUS_KEY"):
        MilvusStore(settings, tmp_path).count()
    server.stop(None)


@pytest.mark.parametrize("name", ["handbook-7-ab12", "7", "größe", "a" * 300])
def test_names_that_milvus_does_not_take(opening: Opening, name: str) -> None:
    store = opening(name)
    store.create(WIDTH)
    assert store.count() == 0
    store.drop()
    store.close()


def test_the_server_goes_away(
    server: tuple[str, subprocess.Popen], opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of this module: it ends the server."""
    monkeypatch.setattr(milvus, "_SEARCH_TIMEOUT", 0.5)
    store, some = opening("leaving"), entries(40)
    store.create(WIDTH)
    store.insert(some)
    store.publish()
    check(store, some, question(1, 0.5), 5)
    server[1].kill()
    server[1].wait()
    with pytest.raises(StoreError, match=r"cannot search \(Milvus at .*does not answer"):
        store.search(question(1, 0.5), 5)
    store.close()
