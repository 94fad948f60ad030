"""JSON objects of Hugging Face folders, read with errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mainspring.errors import WeightsError


def read_object(path: Path) -> dict[str, Any]:
    """The object in the file at `path`; WeightsError if there is none."""
    try:
        return json_object(path.read_bytes(), path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None


def json_object(content: bytes, path: Path) -> dict[str, Any]:
    """The object that `content` is, which was read from `path`; WeightsError if it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise WeightsError(f"{path} must hold a JSON object, found {type(found).__name__}")
    return found
