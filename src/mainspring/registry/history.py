"""What happened, in order: one JSON line an event, only ever appended."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

EventKind = Literal["fit", "promote", "rollback", "alarm", "calm", "renew", "rollout"]
CHAMPION_CHANGES = ("promote", "rollback")


class Event(msgspec.Struct, frozen=True):
    """One thing that happened to a model. `detail` is for people.

    `version` is the one that was made or promoted, or, of an `alarm` and its end (`calm`), the champion then.
    """

    time: str
    model: str
    kind: EventKind
    version: str
    detail: str = ""
    data: dict[str, Any] = {}


def append(state: Path, model: str, kind: EventKind, version: str, detail: str = "", **data: Any) -> Event:
    """Record an event, durably."""
    event = Event(datetime.now(UTC).isoformat(timespec="milliseconds"), model, kind, version, detail, data)
    state.mkdir(parents=True, exist_ok=True)
    with (state / "history.jsonl").open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = file.read(1) not in (b"", b"\n")  # by a kill: begin a line of our own, or this event is lost with it
        file.write(b"\n" * torn + msgspec.json.encode(event) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return event


def read(state: Path, model: str | None = None) -> list[Event]:
    """The events, oldest first. A line torn by a kill is left out."""
    try:
        lines = (state / "history.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    events = []
    for line in lines:
        try:
            event = msgspec.json.decode(line, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if model in (None, event.model):
            events.append(event)
    return events


def previous_champion(state: Path, model: str, champion: str) -> str | None:
    """The version to roll back to: the one that `champion` was promoted over, or None if it was the first."""
    live: list[str] = []
    for event in read(state, model):
        if event.kind == "promote":
            live.append(event.version)
        elif event.kind == "rollback":
            while live and live[-1] != event.version:
                live.pop()
    while live and live[-1] == champion:
        live.pop()
    return live[-1] if live else None
