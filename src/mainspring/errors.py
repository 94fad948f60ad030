"""Every error that Mainspring raises on purpose.

    MainspringError
    ├── SpecError            mainspring.toml is wrong: the key, what is allowed, what was found, the line
    ├── DataError            the data cannot be read, or is not what the spec says
    ├── RequestError         a record does not fit the model's schema (the gateway answers 422)
    │   ├── BrokenJsonError  the body is not JSON at all (400)
    │   ├── UnsupportedError an engine cannot do what is asked (400)
    │   └── ContextError     prompt and answer do not fit into the model's context (400)
    ├── OverloadedError      an engine's queue is full: to be tried again later (429)
    ├── EngineGoneError      an engine's process died and is started again, or an endpoint does not answer (503)
    ├── WeightsError         weights cannot be fetched, are not what their sha256 says, or cannot be read
    ├── ParityError          what would be served does not answer as what was fitted
    ├── RegistryError        a version is missing, damaged or half written
    │   └── BusyError        another process is at it already
    ├── TrackingError        the MLflow store does not answer
    ├── StoreError           the store of an index does not answer, or refuses
    ├── RuntimeLoadError     a version cannot be loaded or fails its golden examples
    └── MissingExtraError    an optional dependency is needed; says which extra has it

A message says what was found, what was expected, and what to do. The command line prints it and ends with 1
(2 for a SpecError: the command was misused); a traceback means a defect of ours.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class MainspringError(Exception):
    """The root of the tree: catch this to catch them all."""


class SpecError(MainspringError):
    """`mainspring.toml` is wrong."""


class DataError(MainspringError):
    """The data cannot be read, or is not what the spec says."""


class RequestError(MainspringError):
    """A record does not fit the model's schema.

    `place` is where in the request, as a JSON path: `$[3].distance`.
    """

    def __init__(self, message: str, place: str = "$") -> None:
        super().__init__(message)
        self.place = place


class BrokenJsonError(RequestError):
    """The body is not JSON at all."""


class UnsupportedError(RequestError):
    """An engine cannot do what is asked; `place` is the parameter, under its name in OpenAI's API."""


class ContextError(RequestError):
    """Prompt and answer do not fit into the context. It says how long both are, and how much there is."""


class OverloadedError(MainspringError):
    """An engine's queue is full: to be tried again later."""


class EngineGoneError(MainspringError):
    """An engine's process died, and is started again; or an endpoint does not answer."""


class WeightsError(MainspringError):
    """Weights cannot be fetched, are not what their sha256 says, or cannot be read."""


class ParityError(MainspringError):
    """What would be served does not answer as what was fitted."""


class RegistryError(MainspringError):
    """A version is missing, damaged or half written."""


class BusyError(RegistryError):
    """Another process is at it already."""


class TrackingError(MainspringError):
    """The MLflow store does not answer."""


class StoreError(MainspringError):
    """The store of an index does not answer, or refuses. It says what was tried, and what to do."""


class RuntimeLoadError(MainspringError):
    """A version cannot be loaded, or fails its golden examples."""


class MissingExtraError(MainspringError):
    """An optional dependency is needed and not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of Mainspring brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs the package {error.name!r}, which is not installed: pip install 'mainspring[{extra}]'"
        ) from error
