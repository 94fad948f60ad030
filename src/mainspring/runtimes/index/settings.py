"""`index.json`: what an index is made of, and how it is asked. The one file of an index that is changed after it was
written: tuning sets weights in it, before the version is published.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.errors import RuntimeLoadError
from mainspring.files import write_atomically
from mainspring.runtimes.index.analyzer import VERSION as ANALYZER
from mainspring.runtimes.index.answerable import Answerability
from mainspring.runtimes.index.columns import REMEDY
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.stores.settings import StoreSettings

SETTINGS = "index.json"
FORMAT = 2


class Bm25(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that the weights of words were made with. `average` is how many terms a passage has."""

    k1: float
    b: float
    average: float


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An index.

    `sizes` are the bytes of its files. What follows it is tuned: `dense_weight` (0: by words alone, 1: by meaning
    alone), `diversity`, `rerank` ("off", "late-interaction", or a cross-encoder's folder), and `answerable`, what turns
    scores into the probability that the answer is there.
    """

    format: int = FORMAT
    analyzer: int = ANALYZER
    embedder: Embedder
    store: StoreSettings
    language: str
    bm25: Bm25
    documents: int
    passages: int
    sizes: dict[str, int]
    dense_weight: float = 0.7
    diversity: float = 0.0
    rerank: str = "off"
    answerable: Answerability | None = None


class _Made(msgspec.Struct, frozen=True):
    """By which version of Mainspring, as far as it matters here."""

    format: int = 0
    analyzer: int = 0


def write_settings(folder: Path, settings: IndexSettings) -> None:
    """Write `index.json`, whole or not at all."""
    write_atomically(folder / SETTINGS, msgspec.json.format(msgspec.json.encode(settings)))


def read_settings(folder: Path) -> IndexSettings:
    """What `index.json` says.

    Raises:
        RuntimeLoadError: it is not there or damaged, a file has another size than it says, or the index was made by
            another version of Mainspring than can be read here.
    """
    path = folder / SETTINGS
    try:
        content = path.read_bytes()
        made = msgspec.json.decode(content, type=_Made)  # first, for the rest may be written otherwise
        if (made.format, made.analyzer) != (FORMAT, ANALYZER):
            raise RuntimeLoadError(
                f"{path}: its format is {made.format} and its analyzer {made.analyzer}; this version of Mainspring "
                f"reads format {FORMAT} with analyzer {ANALYZER}: fit the index again"
            )
        settings = msgspec.json.decode(content, type=IndexSettings)
    except (OSError, msgspec.DecodeError) as error:
        raise RuntimeLoadError(f"{path} cannot be read: {error}; {REMEDY}") from None
    for name, size in settings.sizes.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            told = "is not there" if found is None else f"has {found} bytes"
            raise RuntimeLoadError(f"{folder / name} {told}, and should have {size}; {REMEDY}")
    return settings
