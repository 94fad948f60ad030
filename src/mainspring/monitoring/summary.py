"""What the monitoring says in short: written by the controller, shown by the gateways and by `mainspring status`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.files import write_atomically
from mainspring.monitoring.observations import Subject


class AlarmLine(msgspec.Struct, frozen=True):
    """An alarm that holds; `since` in microseconds since 1970 UTC."""

    subject: Subject
    name: str
    effect: float
    matters: float
    since: int
    message: str


class Summary(msgspec.Struct, frozen=True):
    """The alarms of a model's champion, `version`, what matters most first; and how far its traffic was examined."""

    version: str = ""
    window_end: int = 0
    alarms: list[AlarmLine] = []


def folder(state: Path, model: str) -> Path:
    """Where the monitoring of `model` keeps its files."""
    return state / "monitor" / model


def path(state: Path, model: str) -> Path:
    """The summary's file."""
    return folder(state, model) / "summary.json"


def write(state: Path, model: str, summary: Summary) -> None:
    """Write it, whole or not at all."""
    write_atomically(path(state, model), msgspec.json.encode(summary))


def read(state: Path, model: str) -> Summary:
    """The summary as it was written last; an empty one where nothing was examined yet, or the file is damaged."""
    try:
        return msgspec.json.decode(path(state, model).read_bytes(), type=Summary)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return Summary()
