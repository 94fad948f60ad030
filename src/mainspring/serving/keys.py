"""API keys. Only their hashes are kept, so that a copy of the file lets nobody in.

A key holds 256 random bits, so that a plain SHA-256 is enough: there is nothing to guess as there is with a password.
`.mainspring/keys.json` is followed without a restart. Without the file the gateway is open; with it, only who holds a
key gets in, and that is nobody when the last key is removed: revoking a key must never open the gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mainspring.errors import RegistryError
from mainspring.files import lock, write_atomically
from mainspring.serving.watching import WatchedFile

FILE_NAME = "keys.json"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a key."""

    name: str
    sha256: str
    created: str


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content."""

    keys: tuple[Key, ...] = ()


def create(state: Path, name: str) -> str:
    """Make a key called `name`, and return its secret, which is kept nowhere: show it once.

    Raises:
        RegistryError: there is a key of that name.
    """
    secret = "ms_" + secrets.token_urlsafe(32)
    with _locked(state):
        keys = _read(state) or Keys()
        if any(key.name == name for key in keys.keys):
            raise RegistryError(f"there is a key {name!r} already: remove it first, or choose another name")
        created = datetime.now(UTC).isoformat(timespec="seconds")
        _write(state, Keys((*keys.keys, Key(name, _hash(secret).hex(), created))))
    return secret


def remove(state: Path, name: str) -> None:
    """Revoke the key called `name`.

    Raises:
        RegistryError: there is none.
    """
    with _locked(state):
        keys = _read(state) or Keys()
        left = tuple(key for key in keys.keys if key.name != name)
        if len(left) == len(keys.keys):
            there = ", ".join(key.name for key in keys.keys) or "none"
            raise RegistryError(f"no key {name!r}; there are: {there}")
        _write(state, Keys(left))


def names(state: Path) -> list[str] | None:
    """The names of the keys, oldest first; None if the gateway is open, because no key was ever made."""
    keys = _read(state)
    return None if keys is None else [key.name for key in keys.keys]


class KeyRing:
    """The keys that the gateway accepts, following the file.

    Raises:
        RegistryError: the file is damaged. Later damage neither opens nor closes the gateway: the last keys hold.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file = WatchedFile(state / FILE_NAME)
        self._hashes: list[tuple[str, bytes]] | None = None
        self._file.changed()
        self._load()

    @property
    def open(self) -> bool:
        """Whether no key is needed."""
        return self._hashes is None

    def refresh(self) -> None:
        """Read the file again if it changed.

        Raises:
            RegistryError: it is damaged; the keys stay as they were.
        """
        if self._file.changed():
            self._load()

    def holder(self, secret: bytes) -> str | None:
        """Whose key `secret` is, or None. Takes equally long whichever key it is, or is not."""
        presented = _hash(secret)
        found = None
        for name, kept in self._hashes or ():
            if hmac.compare_digest(presented, kept):
                found = name
        return found

    def _load(self) -> None:
        keys = _read(self._state)
        self._hashes = None if keys is None else [(key.name, bytes.fromhex(key.sha256)) for key in keys.keys]


def _hash(secret: str | bytes) -> bytes:
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).digest()


def _locked(state: Path) -> AbstractContextManager[None]:
    return lock(state / ".keys.lock", what="a change of the API keys", timeout=10.0)


def _read(state: Path) -> Keys | None:
    path = state / FILE_NAME
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=Keys)
        for key in keys.keys:
            bytes.fromhex(key.sha256)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError) as error:
        raise RegistryError(f"{path} is damaged ({error}): restore it, or delete it and make the keys anew") from None
    return keys


def _write(state: Path, keys: Keys) -> None:
    write_atomically(state / FILE_NAME, msgspec.json.format(msgspec.json.encode(keys)))
    (state / FILE_NAME).chmod(0o600)
