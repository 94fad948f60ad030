"""A version: an immutable folder, written once and verified whenever it is loaded.

    .mainspring/models/delay/3/
        manifest.json     what it is: schema, lineage, metrics, verdict, and the sha256 of every other file
        model.onnx        what is served
        golden.json       requests with the answers that a gateway must reproduce before this version goes live
        profile.json      how the inputs and outputs looked at fit: what drift is measured against
        reference.parquet up to 4,000 rows that it was fitted on
        report.json, report.html

It is written to a hidden folder beside, synced, and renamed, so that a version is whole or not there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from mainspring.errors import RegistryError
from mainspring.files import sha256, sync_folder, write_atomically
from mainspring.schema import Schema

MANIFEST = "manifest.json"
GOLDEN = "golden.json"
PROFILE = "profile.json"
REPORT = "report.json"
REPORT_PAGE = "report.html"
_STAGING = ".staging-"


class Lineage(msgspec.Struct, frozen=True):
    """Where a version comes from. Two with equal `data`, `spec`, `code` and `policy` are the same model.

    `policy` is None of a fit; of a renewal it says which rows were taken: see `lifecycle.renew`. `uses` are the models
    of the project that a prompt program was fitted with, and their versions; `data` heeds them.
    """

    data: str
    spec: str
    code: str
    rows: int
    fit_rows: int
    holdout_rows: int
    split: dict[str, Any]
    seed: int
    python: str
    libraries: dict[str, str]
    policy: dict[str, Any] | None = None
    uses: dict[str, str] = {}


class Ingredient(msgspec.Struct, frozen=True):
    """One member of a model: its kind of candidate, the parameters it was fitted with, and its weight among all."""

    kind: str
    parameters: dict[str, Any]
    weight: float


class Recipe(msgspec.Struct, frozen=True):
    """What a search chose, exactly: enough to fit it again on other rows. The weights add up to 1.

    `kept_from` is the version whose recipe was fitted anew, without a search; None where this was searched.
    """

    ingredients: tuple[Ingredient, ...]
    kept_from: str | None = None

    def __str__(self) -> str:
        """Where it comes from, in a few words."""
        return f"the recipe of version {self.kept_from}, fitted anew" if self.kept_from else "searched"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is. Those made before there were recipes have none."""

    format: int = 1
    project: str
    model: str
    version: str
    task: str
    created: str
    schema: Schema
    lineage: Lineage
    candidate: str
    parameters: dict[str, Any]
    metric: str
    metrics: dict[str, dict[str, Any]]
    parity: dict[str, Any]
    verdict: dict[str, Any]
    threshold: float | None = None
    recipe: Recipe | None = None
    files: dict[str, str] = {}


class Golden(msgspec.Struct, frozen=True):
    """Requests, and the answers that a runtime must reproduce within `tolerance`."""

    records: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    tolerance: float


class Version(msgspec.Struct, frozen=True):
    """A published version: its folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The version's number, as text."""
        return self.manifest.version

    def file(self, name: str) -> Path:
        """The path of one of its files; RegistryError if it has none of that name."""
        if name not in self.manifest.files:
            raise RegistryError(f"version {self.name} of {self.manifest.model} has no file {name!r}")
        return self.folder / name

    def verify(self) -> None:
        """RegistryError if a file is missing, or is not what was written."""
        for name, expected in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file():
                raise RegistryError(f"{path} is missing: restore it, or fit {self.manifest.model} again")
            if (found := sha256(path)) != expected:
                raise RegistryError(
                    f"{path} is damaged: its sha256 is {found[:12]}…, the manifest says {expected[:12]}…: restore it, "
                    f"or fit {self.manifest.model} again"
                )

    def golden(self) -> Golden:
        """Its golden examples."""
        return msgspec.json.decode(self.file(GOLDEN).read_bytes(), type=Golden)


def models_folder(state: Path, model: str) -> Path:
    """Where the versions of `model` lie."""
    return state / "models" / model


def names(state: Path, model: str) -> list[str]:
    """The versions there are, oldest first."""
    folder = models_folder(state, model)
    return [name for name in _numbered(folder) if (folder / name / MANIFEST).is_file()]


def load(state: Path, model: str, version: str) -> Version:
    """One version.

    Raises:
        RegistryError: there is none, or its manifest is damaged.
    """
    # isdecimal also keeps a name such as ../../etc from leaving the folder.
    path = models_folder(state, model) / version / MANIFEST if version.isdecimal() else None
    if path is None or not path.is_file():
        there = ", ".join(names(state, model)) or "none yet"
        raise RegistryError(f"no version {version!r} of {model}; there are: {there}")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path} is damaged ({error}): restore it, or fit {model} again") from None
    if (manifest.model, manifest.version) != (model, version):
        raise RegistryError(
            f"{path} is that of version {manifest.version} of {manifest.model}: restore its own, or delete the folder"
        )
    return Version(path.parent, manifest)


def load_all(state: Path, model: str) -> list[Version]:
    """Every version that can be read, oldest first."""
    found = []
    for name in names(state, model):
        with suppress(RegistryError):
            found.append(load(state, model, name))
    return found


def chosen(state: Path, model: str, version: str | None, champion: str | None) -> Version:
    """`version`, or the champion, or the newest version where there is no champion. Its files are not verified.

    Raises:
        RegistryError: there is none.
    """
    made = names(state, model)
    name = version or champion or (made[-1] if made else None)
    if name is None:
        raise RegistryError(f"{model} has no versions yet: mainspring fit {model}")
    return load(state, model, name)


def no_champion(state: Path, model: str) -> RegistryError:
    """The error where a champion is needed and there is none: what to do depends on whether a version waits."""
    made = names(state, model)
    todo = f"mainspring promote {model} {made[-1]}, if its report convinces you" if made else f"mainspring fit {model}"
    return RegistryError(f"{model} has no champion yet: {todo}")


@contextmanager
def staging(state: Path, model: str) -> Iterator[Path]:
    """A hidden folder to write a version's files into; gone afterwards unless it was published.

    Call it under the model's fit lock: what an earlier, killed fit left behind is removed first.
    """
    folder = models_folder(state, model)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(stale, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def next_name(state: Path, model: str) -> str:
    """The name that the next version gets. One whose manifest was lost keeps its number."""
    return str(max(map(int, _numbered(models_folder(state, model))), default=0) + 1)


def _numbered(folder: Path) -> list[str]:
    """The names in `folder` that are numbers, least first."""
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if path.name.isdecimal()), key=int)


def publish(staged: Path, manifest: Manifest) -> Version:
    """Make a staged folder the version that `manifest` names: hash its files, sync, rename."""
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    hashes = {path.relative_to(staged).as_posix(): sha256(path) for path in files}
    manifest = msgspec.structs.replace(manifest, files=hashes)
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    write_atomically(staged / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    staged.chmod(0o755)  # mkdtemp made it private; a gateway may run as another user
    target = staged.parent / manifest.version
    try:
        staged.rename(target)
    except OSError as error:
        raise RegistryError(f"version {manifest.version} of {manifest.model} cannot be written: {error}") from None
    sync_folder(target.parent)
    return Version(target, manifest)
