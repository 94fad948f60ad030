"""How the engines are: a small file that the engine room writes and `mainspring status` reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mainspring.files import write_atomically
from mainspring.runtimes.language.process import ProcessStatus

FILE_NAME = "engines.json"


class EngineStatus(msgspec.Struct, frozen=True):
    """One version's engine: which, why, since when, and how often it was started again."""

    model: str
    version: str
    process: ProcessStatus


class _File(msgspec.Struct, frozen=True):
    room: int
    engines: list[EngineStatus]


def write(state: Path, engines: Iterable[EngineStatus]) -> None:
    """Write how they are; this process is the engine room."""
    found = _File(os.getpid(), list(engines))
    write_atomically(state / FILE_NAME, msgspec.json.format(msgspec.json.encode(found)))


def read(state: Path) -> list[EngineStatus]:
    """How the engines are; none where no engine room runs."""
    try:
        found = msgspec.json.decode((state / FILE_NAME).read_bytes(), type=_File)
        os.kill(found.room, 0)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []
    return found.engines
