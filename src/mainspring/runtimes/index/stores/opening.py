"""From the settings of a store to the store."""

from __future__ import annotations

from pathlib import Path

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores.local import LocalStore
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.stores.store import Store


def open_store(settings: StoreSettings, folder: Path) -> Store:
    """The store of the index in `folder`.

    Raises:
        StoreError: it cannot be reached.
        MissingExtraError: its library is not installed.
    """
    match settings.kind:
        case "local":
            return LocalStore(folder)
        case other:
            raise StoreError(f"there is no store {other!r}")
