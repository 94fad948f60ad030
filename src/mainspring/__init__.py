"""Mainspring: a folder of data in, an AI service out that keeps itself fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.use import OpenProject

__version__ = "0.1.0"


def open(folder: str = ".") -> OpenProject:
    """The project in `folder`, to ask its models from Python: see `mainspring.use`."""
    from mainspring.use import OpenProject

    return OpenProject(folder)
