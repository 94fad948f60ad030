"""The collection of a retrieval model: all that its `data` names, in order, each read when it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mainspring.data.documents.apart import Apart
from mainspring.data.documents.files import find
from mainspring.data.documents.rows import row_sources
from mainspring.data.documents.source import LARGEST_FILE, Source
from mainspring.data.documents.suffixes import SUFFIXES, suffix_of
from mainspring.data.formats import format_of
from mainspring.data.readers import gives_rows
from mainspring.files import sha256
from mainspring.spec import Project


def collect(project: Project, model: str, *, digest_of: Callable[[Path], str] = sha256) -> list[Source]:
    """The sources of the retrieval model `model`: files in the order of their names, or rows in theirs.

    Files are hashed, by `digest_of`, and nothing is parsed. Each source is read apart from the others: what is wrong
    with one is told when it is read, by its name, and stops no other.

    Raises:
        SpecError: `data` names nothing, or something outside of the project's folder.
        DataError: a table cannot be read.
    """
    spec = project.retrieval(model)
    if spec.text:
        return row_sources(project, model, spec)
    if gives_rows(project.folder, spec.data):
        raise project.mistake(("models", model), f"`text` (the columns that hold documents) with data = {spec.data!r}")

    root = project.folder.resolve()
    paths = find(root, spec.data, SUFFIXES, partial(project.mistake, ("models", model, "data")))
    if len(paths) == 1 and format_of(paths[0]):
        raise project.mistake(
            ("models", model), f"`text` (the columns that hold documents) with the table {spec.data!r}"
        )
    apart = Apart()
    first: dict[str, str] = {}  # digests, and the names that have them
    sources = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        digest, unread = _digest(path, name, digest_of)
        if digest and (equal := first.setdefault(digest, name)) != name:
            digest, unread = "", f"is equal to {equal}"
        reader = None if unread else partial(apart.read, path, name, spec.encoding)
        sources.append(Source(name, digest, unread, reader))
    return sources


def _digest(path: Path, name: str, digest_of: Callable[[Path], str]) -> tuple[str, str | None]:
    """The sha256 of a file that is to be read, or why it is not."""
    if suffix_of(name) is None:
        if format_of(path):
            return "", "is a table: `data` must name it alone, and `text` its columns"
        if name.lower().endswith(".doc"):
            return "", "is of Word before 2007: save it as .docx"
        return "", f"has a suffix that no reader knows; known: {', '.join(SUFFIXES)}"
    try:
        size = path.stat().st_size
        if not size:
            return "", "is empty"
        if size > LARGEST_FILE:
            return "", f"has {size / 2**20:,.0f} MiB; at most {LARGEST_FILE // 2**20} are read: divide it"
        return digest_of(path), None
    except OSError as error:
        return "", f"cannot be opened: {error.strerror or error}"
