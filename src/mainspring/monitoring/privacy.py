"""What the log must not hold: columns that the spec marks `private` are dropped, or hashed with a key.

Of a language model, and of a collection of documents, it marks the texts as a whole: what was asked, and what was
answered.

A hashed value can still be counted and compared, but not read, and not guessed by hashing likely values: the key is a
secret of the project. Such a hash is a pseudonym in the sense of the GDPR, article 4(5); a person can still be singled
out by it, so where that matters, drop. The function is HMAC-SHA256 (RFC 2104), cut to 64 bits.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from mainspring.errors import RegistryError
from mainspring.schema import MISSING_TEXT, MISSING_TIME, Columns, Schema
from mainspring.spec import DataSpec, LanguageSpec, Project, PromptSpec, RetrievalSpec

SECRET_NAME = "log-secret"
Rule = Literal["drop", "hash"]
_SECRET_BYTES = 32
_MOST_KEPT = 100_000  # hashes; about 20 MB
_LONGEST_KEPT = 100  # characters of a text whose hash is kept: a prompt does not come twice
_ASKED_TEXTS = ("messages", "prompt", "text", "question", "answer")  # what the columns of texts are called, by the task


class Private:
    """Which columns of a model are private, and how. The secret is made when the first value is hashed.

    Args:
        state: the project's folder of state, where the secret is kept.
        rules: "drop" or "hash" by the column's name.
    """

    def __init__(self, state: Path, rules: dict[str, Rule]) -> None:
        self.rules = rules
        self._state = state
        self._secret: bytes | None = None
        self._hashes: dict[str, str] = {}

    @classmethod
    def of(cls, project: Project, model: str) -> Private:
        """What the spec says of `model`; nothing is private in a model that it does not declare."""
        declared = project.models.get(model)
        if isinstance(declared, LanguageSpec | RetrievalSpec):
            return cls(project.state, dict.fromkeys(_ASKED_TEXTS, declared.private) if declared.private else {})
        columns = declared.columns if isinstance(declared, DataSpec) else {}
        rules: dict[str, Rule] = {name: column.private for name, column in columns.items() if column.private}
        if isinstance(declared, PromptSpec) and declared.target in rules:
            rules["answer"] = rules[declared.target]  # what the log calls it
        return cls(project.state, rules)

    def hash(self, text: str) -> str:
        """16 hexadecimal digits; a missing text stays missing.

        Raises:
            OSError: the secret can be neither read nor made.
            RegistryError: it is damaged.
        """
        if text == MISSING_TEXT:
            return text
        found = self._hashes.get(text)
        if found is None:
            if self._secret is None:
                self._secret = _secret(self._state)
            found = hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")[:8].hex()
            if len(self._hashes) >= _MOST_KEPT:
                self._hashes.clear()
            if len(text) <= _LONGEST_KEPT:
                self._hashes[text] = found
        return found


def conceal(columns: Columns, private: Private) -> Columns:
    """`columns` as they may be kept: without the dropped ones, and with the hashed ones as text.

    Raises:
        OSError, RegistryError: as `Private.hash`.
    """
    if not private.rules:
        return columns
    kept = {}
    for name, values in columns.items():
        rule = private.rules.get(name)
        if rule == "hash":
            kept[name] = np.array([private.hash(text) for text in _texts(values)], object)
        elif rule is None:
            kept[name] = values
    return kept


def concealed_schema(schema: Schema, private: Private) -> Schema:
    """The schema of what `conceal` makes: a hashed column is a category, whose levels are the hashes of the levels.

    Raises:
        OSError, RegistryError: as `Private.hash`.
    """
    features = []
    for column in schema.features:
        rule = private.rules.get(column.name)
        if rule == "hash":
            levels = tuple(private.hash(level) for level in column.levels)
            column = msgspec.structs.replace(
                column, kind="category", integer=False, levels=levels, unit=None, low=None, high=None
            )
        if rule != "drop":
            features.append(column)
    return Schema(tuple(features), schema.target)


def _texts(values: np.ndarray) -> list[str]:
    """One text a value, the same for equal values, and "" for a missing one."""
    if values.dtype == object:
        return values.tolist()
    if values.dtype == np.int64:
        return [MISSING_TEXT if value == MISSING_TIME else str(value) for value in values.tolist()]
    return [MISSING_TEXT if value != value else repr(value) for value in (values + 0.0).tolist()]  # -0.0 is 0.0


def _secret(state: Path) -> bytes:
    """The project's secret. Of several workers that make it at once, one wins."""
    path = state / SECRET_NAME
    if not path.exists():
        state.mkdir(parents=True, exist_ok=True)
        temporary = state / f".{SECRET_NAME}.{secrets.token_hex(8)}.tmp"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_hex(_SECRET_BYTES).encode())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # unlike a rename, a link fails where another worker was first
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    try:
        found = bytes.fromhex(path.read_text("ascii"))
    except ValueError:
        found = b""
    if len(found) != _SECRET_BYTES:
        raise RegistryError(f"{path} is damaged: restore it, or delete it (hashes made before will not match new ones)")
    return found
