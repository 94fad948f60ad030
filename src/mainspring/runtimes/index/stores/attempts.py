"""Calls to a database: tried again where that may help, and told in our own errors where it does not."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from mainspring.errors import StoreError
from mainspring.runtimes.index.stores.settings import StoreSettings

T = TypeVar("T")

_PAUSES = (0.1, 0.3, 0.9)  # seconds between attempts, each up to half as much again
_PATIENCE = 60.0  # seconds after which no attempt begins


class Trouble(msgspec.Struct, frozen=True):
    """What an error means: what to tell, and whether another attempt may go well."""

    told: str
    passing: bool = False


def patiently(tried: str, do: Callable[[], T], meaning: Callable[[Exception], Trouble | None]) -> T:
    """What `do` gives. It must be such that it may be done twice.

    Raises:
        StoreError: `tried`, and what the last error means. An error without a meaning is a defect, and goes through.
    """
    begun = time.monotonic()
    for pause in (*_PAUSES, None):
        try:
            return do()
        except Exception as error:
            trouble = meaning(error)
            if trouble is None:
                raise
            if pause is None or not trouble.passing or time.monotonic() - begun > _PATIENCE:
                raise StoreError(f"{tried}: {trouble.told}") from error
        time.sleep(pause * random.uniform(1.0, 1.5))
    raise AssertionError("the last attempt returns or raises")


def read_key(settings: StoreSettings) -> str | None:
    """The API key, from the environment variable that the settings name; None, where they name none.

    Raises:
        StoreError: it is not set.
    """
    if settings.key is None:
        return None
    key = os.environ.get(settings.key, "").strip()
    if not key:
        raise StoreError(
            f"the environment variable {settings.key}, which is to hold the API key of {settings.kind}, is not set"
        )
    return key


def refused_key(settings: StoreSettings) -> str:
    """What to tell, where a server wants another key."""
    if settings.key is None:
        return "it wants an API key: name the environment variable that holds it as `key` of the store"
    return f"it refuses the API key in the environment variable {settings.key}"
