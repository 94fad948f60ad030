"""Are the documents still those that were indexed? What changed, is missing, or is new, by name.

A version keeps the names and digests of all sources that it was made of, also of those that could not be read: one that
is mended is news. To look again costs a glance at names, sizes and times; a file is hashed anew only where these have
changed. A database, and what a function gives, cannot be looked at without reading all of it: `renew.every` is for
those.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
from pyarrow import parquet

from mainspring.data.documents.collection import collect
from mainspring.data.documents.files import find
from mainspring.data.documents.source import Source
from mainspring.data.documents.suffixes import SUFFIXES
from mainspring.data.readers import gives_rows, named_files
from mainspring.errors import DataError, SpecError
from mainspring.files import sha256
from mainspring.monitoring.observations import Finding
from mainspring.registry import versions
from mainspring.registry.versions import Version
from mainspring.spec import Project, RetrievalSpec

SOURCES = "sources.parquet"
_MOST_NAMED = 3
_SHARE = 0.05  # of the time, at most, that is spent on looking
_SETTLED = 10.0  # seconds without a change, after which nobody is likely to be in the middle of one

_Stamps = dict[str, tuple[int, int, int]]


class Stale(msgspec.Struct, frozen=True):
    """How the sources differ from those of a version; `total` is how many there are or were. `problem`: they cannot be
    looked at, and why.
    """

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    total: int = 0
    problem: str | None = None

    @property
    def finding(self) -> Finding:
        """The same as a finding; its effect is the share of sources that differ."""
        differ = len(self.changed) + len(self.missing) + len(self.new)
        return Finding(
            subject="documents",
            name="documents",
            test="sha256",
            effect=1.0 if self.problem else differ / self.total,
            p_value=0.0,
            rows=self.total,
            matters=1.0,
            significant=True,
            deviates=True,
            was="as they were indexed",
            now=self.message,
            detail={"changed": len(self.changed), "missing": len(self.missing), "new": len(self.new)},
        )

    @property
    def message(self) -> str:
        """What differs, in one sentence."""
        if self.problem:
            return f"the documents cannot be looked at: {self.problem}"
        told = [
            f"{len(names):,} {word} ({_some(names)})"
            for word, names in (("changed", self.changed), ("missing", self.missing), ("new", self.new))
            if names
        ]
        return f"of {self.total:,} documents {', '.join(told)} since they were indexed"


def save(sources: Iterable[Source], folder: Path) -> None:
    """Write `sources.parquet` into `folder`."""
    pairs = [(source.name, bytes.fromhex(source.digest)) for source in sources]
    table = pa.table(
        {
            "source": pa.array([name for name, _ in pairs], pa.string()),
            "digest": pa.array([digest for _, digest in pairs], pa.binary()),
        }
    )
    parquet.write_table(table, folder / SOURCES, compression="zstd")


def load(version: Version) -> dict[str, str]:
    """The digests of a version's sources, by name.

    Raises:
        RegistryError: it has no such file.
        DataError: it is damaged.
    """
    path = version.file(SOURCES)
    try:
        table = parquet.read_table(path)
        names, digests = (table[name].to_pylist() for name in ("source", "digest"))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}): fit {version.manifest.model} again") from None
    return {name: digest.hex() for name, digest in zip(names, digests, strict=True)}


def compare(known: Mapping[str, str], now: Mapping[str, str]) -> Stale | None:
    """How `now`, digests by name, differs from what is `known`; None where it does not."""
    changed = tuple(sorted(name for name in known.keys() & now.keys() if known[name] != now[name]))
    missing, new = tuple(sorted(known.keys() - now.keys())), tuple(sorted(now.keys() - known.keys()))
    if not (changed or missing or new):
        return None
    return Stale(changed, missing, new, len(known.keys() | now.keys()))


class DocumentWatch:
    """Looks at the documents of `model` again and again."""

    def __init__(self, project: Project, model: str) -> None:
        self._project, self._model = project, model
        self._hashed: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._stamps: _Stamps | None = None
        self._now: dict[str, str] = {}
        self._version = ""
        self._known: dict[str, str] | None = None
        self._moved = self._next = time.monotonic()

    @property
    def settled(self) -> bool:
        """Whether nothing has changed for ten seconds, and all of it could be looked at."""
        return time.monotonic() - self._moved >= _SETTLED

    def look(self, version: str) -> Stale | None:
        """How the documents differ from those of the version of this name; None where they don't, or nobody can tell.

        It looks as often as takes a twentieth of the time, and tells what it saw last in between.

        Raises:
            RegistryError, DataError: what the version was made of cannot be read.
        """
        if version != self._version:
            made = versions.load(self._project.state, self._model, version)
            self._known = load(made) if SOURCES in made.manifest.files else None
            self._version = version
        spec = self._project.retrieval(self._model)
        if self._known is None or spec.query is not None or gives_rows(self._project.folder, spec.data):
            return None
        began = time.monotonic()
        if began >= self._next:
            try:
                self._glance(spec)
            except (SpecError, DataError, OSError) as error:
                self._stamps, self._moved = None, time.monotonic()
                return Stale(total=len(self._known), problem=str(error))
            ended = time.monotonic()
            self._next = ended + (ended - began) / _SHARE
        return compare(self._known, self._now)

    def _glance(self, spec: RetrievalSpec) -> None:
        """See whether any name, size or time is another, and if so, what."""
        project, model = self._project, self._model
        mistake = partial(project.mistake, ("models", model, "data"))
        if spec.text:
            paths = named_files(project.folder, spec.data, mistake)
        else:
            paths = find(project.folder, spec.data, SUFFIXES, mistake)
        stamps = {str(path): _stamp(path) for path in paths}
        if stamps == self._stamps:
            return
        self._now = {source.name: source.digest for source in collect(project, model, digest_of=self._digest)}
        self._stamps, self._moved = stamps, time.monotonic()

    def _digest(self, path: Path) -> str:
        """The file's sha256; that of before where it has the same size and times."""
        stamp = _stamp(path)  # before it is read: a change meanwhile is another stamp the next time
        before = self._hashed.get(path)
        if before is None or before[0] != stamp:
            before = self._hashed[path] = (stamp, sha256(path))
        return before[1]


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes with a file: its size, when it was written, and when anything about it was (not settable)."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
