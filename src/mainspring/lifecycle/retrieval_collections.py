"""Collections in vector databases that no version needs any more are dropped; the newest stay, to go back to."""

from __future__ import annotations

from pathlib import Path

from mainspring.errors import MainspringError
from mainspring.lifecycle.indexes import FOLDER
from mainspring.registry import desired, versions
from mainspring.runtimes.index.settings import read_settings
from mainspring.runtimes.index.stores.opening import drop_collection

_KEPT = 3  # the newest versions, besides those that are live


def drop_unneeded(state: Path, model: str) -> list[str]:
    """Drop what servers keep of old versions of `model`; what could not be dropped is told, and tried again next time.

    Their folders stay, as those of all versions do: only what is served from them is gone.
    """
    wanted = desired.read(state).models.get(model)
    live = set() if wanted is None else {route.version for route in wanted.routes}
    notes = []
    for name in versions.names(state, model)[:-_KEPT]:
        folder = versions.models_folder(state, model) / name / FOLDER
        if name in live:
            continue
        try:
            store = read_settings(folder).store
            if store.url is not None or store.kind == "pinecone":
                drop_collection(store, folder)
        except MainspringError as error:
            notes.append(f"what the store keeps of version {name} could not be dropped: {error}")
    return notes
