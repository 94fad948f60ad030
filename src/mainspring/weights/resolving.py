"""From `base` of a model to files on this machine.

`base` is, and is looked for in this order:
    smollm2-135m-instruct           a name of the catalogue
    weights/my.gguf, ../my-folder   a GGUF file, or a Hugging Face folder, from the project's folder
    org/name[/file.gguf][@revision] a repository of the Hugging Face hub
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from mainspring.errors import SpecError, WeightsError
from mainspring.weights import cache, catalogue, fetching, hub, huggingface
from mainspring.weights.catalogue import Catalogue, Entry, Kind
from mainspring.weights.progress import Progress

_MAGIC = b"GGUF"
_QUIET = Progress()


@dataclass(frozen=True)
class Weights:
    """Weights on this machine.

    `path` is the GGUF file, or the Hugging Face folder. `identity` is one sha256 of the bytes of all the files: equal
    weights have equal ones, wherever they came from. `revision` is the hub's commit.
    """

    name: str
    kind: Kind
    path: Path
    identity: str
    bytes: int
    source: str
    licence: str | None = None
    revision: str | None = None


def resolve(
    base: str,
    project_folder: Path,
    progress: Progress = _QUIET,
    *,
    force: bool = False,
    known: Catalogue | None = None,
) -> Weights:
    """Find weights, fetching them first if they are not here; with `force`, those of the catalogue in any case.

    Raises:
        SpecError: `base` is nothing that could be found.
        WeightsError: it cannot be fetched, or is not what it should be.
        MissingExtraError: the hub's library is needed and not installed.
    """
    known = catalogue.load() if known is None else known
    if base in known:
        return _of_catalogue(base, known[base], progress, force)
    local = project_folder / Path(base).expanduser()
    if base and local.exists():
        return _local(local)
    wanted = None if base.startswith((".", "~", "/")) else hub.parse(base)
    if wanted is None:
        raise SpecError(_unknown(base, project_folder, known))
    try:
        return _of_hub(wanted, progress)
    except WeightsError as error:
        raise WeightsError(
            f"{error} (nor is there a file or folder {local})\n"
            f"Check the id, and that this machine reaches the hub{_elsewhere(wanted, known)}"
        ) from error


def _of_catalogue(name: str, entry: Entry, progress: Progress, force: bool) -> Weights:
    folder, source = cache.keep(
        name, entry, lambda work: fetching.fetch(name, entry, work, progress), progress, force=force
    )
    path = folder / next(iter(entry.files)) if entry.kind == "gguf" else folder
    return Weights(name, entry.kind, path, entry.identity, entry.bytes, source, entry.licence)


def _of_hub(wanted: hub.HubId, progress: Progress) -> Weights:
    found = hub.snapshot(wanted, progress)
    return _described(str(wanted), found.kind, found.folder, found.names, f"the hub, at {found.commit}", found.commit)


def _local(path: Path) -> Weights:
    if path.is_dir():
        inside = [item.relative_to(path).as_posix() for item in path.glob("*") if item.is_file()]
        inside += [item.relative_to(path).as_posix() for item in path.glob("[0-9]*_*/*") if item.is_file()]
        kind, names = huggingface.choose(inside, str(path))
        return _described(path.name, kind, path, names, "this machine")
    if path.suffix != ".gguf":
        huggingface.choose([path.name], str(path))
        raise WeightsError(f"{path} is one file of several: name its folder")
    return _described(path.name, "gguf", path.parent, [path.name], "this machine")


def _described(
    name: str, kind: Kind, folder: Path, names: list[str], source: str, revision: str | None = None
) -> Weights:
    path = folder / names[0] if kind == "gguf" else folder
    if kind == "gguf":
        with path.open("rb") as file:
            if (beginning := file.read(4)) != _MAGIC:
                raise WeightsError(f"{path} is no GGUF file: it begins with {beginning!r}, not with {_MAGIC!r}")
    identity = catalogue.identity_of({item: cache.sha256(folder / item) for item in names})
    size = sum((folder / item).stat().st_size for item in names)
    return Weights(name, kind, path, identity, size, source, revision=revision)


def _unknown(base: str, project_folder: Path, known: Catalogue) -> str:
    close = difflib.get_close_matches(base.lower(), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "mainspring pull --list shows the names"
    return (
        f"there are no weights {base!r}: it is no name of the catalogue, no file or folder in "
        f"{project_folder.absolute()}, and no hub id (org/name): {hint}"
    )


def _elsewhere(wanted: hub.HubId, known: Catalogue) -> str:
    for name, entry in known.items():
        if any(getattr(source, "repository", None) == wanted.repository for source in entry.sources):
            return f"; or take {name!r} of the catalogue: the same weights, from other places too"
    return "; or give a file or folder"
