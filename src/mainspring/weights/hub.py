"""Weights from the Hugging Face hub, through its own library.

Its endpoint, token, cache folder and offline switch (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`) hold. A
revision is resolved to a commit first, and everything is taken from that commit. A broken connection is resumed; files
that are whole are kept. The hub names a large file by its sha256, so that is checked here too.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainspring.errors import WeightsError, require
from mainspring.weights import cache, huggingface
from mainspring.weights.catalogue import Entry, HubRepository, Kind
from mainspring.weights.progress import Progress

_EXTRA = "language"
_ID = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(/(?P<file>[^@]+\.gguf))?(@(?P<revision>[\w./-]+))?")
_LIBRARY = "mainspring"


@dataclass(frozen=True)
class HubId:
    """`org/name`, `org/name@revision`, `org/name/file.gguf`, `org/name/file.gguf@revision`."""

    repository: str
    file: str | None
    revision: str | None

    def __str__(self) -> str:
        return self.repository + (f"/{self.file}" if self.file else "")


@dataclass(frozen=True)
class Snapshot:
    """Files of one commit, on this machine."""

    kind: Kind
    folder: Path
    names: list[str]
    commit: str


def parse(base: str) -> HubId | None:
    """A hub id; None if `base` does not look like one."""
    found = _ID.fullmatch(base)
    return HubId(found["repository"], found["file"], found["revision"]) if found else None


def snapshot(wanted: HubId, progress: Progress) -> Snapshot:
    """Fetch what is not in the hub's cache yet.

    Raises:
        WeightsError: the hub does not give it, or it is not what the hub says it is.
        MissingExtraError: the hub's library is not installed.
    """
    library = require("huggingface_hub", _EXTRA)
    with _told(str(wanted)):
        api = library.HfApi(library_name=_LIBRARY)
        revision = api.resolve_revision(wanted.repository, revision=wanted.revision)
        commit: str = revision.resolved
        try:
            listed = library.get_cached_repo_tree(wanted.repository, revision=commit)
        except library.errors.CachedRepoTreeNotFoundError:
            listed = api.list_repo_tree(wanted.repository, recursive=True, revision=commit)
        there = [item.path for item in listed if isinstance(item, library.hf_api.RepoFile)]
    if wanted.file is None:
        kind, names = huggingface.choose(there, wanted.repository)
    elif wanted.file in there:
        kind, names = "gguf", [wanted.file]
    else:
        raise WeightsError(f"{wanted.repository} at {commit[:12]} has no file {wanted.file}")
    with _told(str(wanted)):
        folder = library.snapshot_download(
            wanted.repository,
            revision=revision,
            allow_patterns=[glob.escape(name) for name in names],
            tqdm_class=_bar(library, progress),
            library_name=_LIBRARY,
        )
    found = Snapshot(kind, Path(folder), names, commit)
    _check(found, wanted)
    return found


def into(source: HubRepository, entry: Entry, work: Path, target: Path, progress: Progress) -> None:
    """Put the files of a catalogue's entry into `target`; `work` is a folder to work in.

    Raises:
        WeightsError: the hub does not give them.
        MissingExtraError: the hub's library is not installed.
    """
    library = require("huggingface_hub", _EXTRA)
    with _told(source.repository):
        library.snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=[glob.escape(name) for name in entry.files],
            local_dir=work,
            tqdm_class=_bar(library, progress),
            library_name=_LIBRARY,
        )
    for name in entry.files:
        if not (work / name).is_file():
            raise WeightsError(f"{source} has no {name}")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).rename(target / name)


def _check(found: Snapshot, wanted: HubId) -> None:
    for name in found.names:
        blob = (found.folder / name).resolve()
        if re.fullmatch(r"[0-9a-f]{64}", blob.name) and cache.sha256(blob) != blob.name:
            raise WeightsError(
                f"{name} of {wanted} is damaged: its sha256 is not {blob.name}, which the hub gives. "
                f"Delete {blob} and pull it again"
            )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """The hub's library raises what it and its HTTP client have; all of it means: not from there."""
    try:
        yield
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise WeightsError(f"the hub does not give {what}: {reason.strip()}") from error


def _bar(library: Any, progress: Progress) -> type:
    """The hub's library tells how far it is to a bar of tqdm's kind; this one draws nothing and passes it on."""

    class Bar(library.utils.tqdm):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts = options.get("name") == "huggingface_hub.snapshot_download"
            self._done = 0
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, count: float | None = 1) -> None:
            if self._counts:
                self._done += int(count or 0)
                progress.bytes(self._done, int(self.total or 0))

    return Bar
