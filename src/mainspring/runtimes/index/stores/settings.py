"""Which store keeps an index: as the version's `index.json` says."""

from __future__ import annotations

from typing import Literal

import msgspec

StoreKind = Literal["local", "qdrant", "milvus", "pinecone"]


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As `spec.StoreSpec`, and the name of the collection: one a version, unlike any other's.

    Without a `url`, Qdrant and Milvus run in the process, in the index's own folder. `key` names the environment
    variable that has the API key, which is never written down.
    """

    kind: StoreKind = "local"
    url: str | None = None
    key: str | None = None
    cloud: str = "aws"
    region: str = "us-east-1"
    collection: str = ""
