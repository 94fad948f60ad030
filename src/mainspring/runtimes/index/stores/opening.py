"""From the settings of a store to the store."""

from __future__ import annotations

from pathlib import Path

from mainspring.runtimes.index.stores.local import LocalStore
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Store


def open_store(settings: StoreSettings, folder: Path) -> Store:
    """The store of the index in `folder`. A server is not asked yet.

    Raises:
        StoreError: its API key is not there.
        MissingExtraError: its library is not installed.
    """
    match settings.kind:
        case "local":
            return LocalStore(folder)
        case "qdrant":
            from mainspring.runtimes.index.stores.qdrant import open_qdrant

            return open_qdrant(settings, folder)
        case "milvus":
            from mainspring.runtimes.index.stores.milvus import MilvusStore

            return MilvusStore(settings, folder)
        case "pinecone":
            from mainspring.runtimes.index.stores.pinecone import PineconeStore

            return PineconeStore(settings)


def drop_collection(settings: StoreSettings, folder: Path) -> None:
    """Remove the collection of an index that nobody needs any more, if it is there.

    Raises:
        StoreError: it cannot be reached, and should be tried again later.
        MissingExtraError: its library is not installed.
    """
    store = open_store(settings, folder)
    try:
        store.drop()
    finally:
        store.close()
