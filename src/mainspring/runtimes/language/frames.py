"""What an engine's process and its clients say to each other: frames of MessagePack, each after its length.

    length (4 bytes, big endian) | MessagePack of one struct, as an array whose first element says which

The host begins with `Hello`. A client asks with `Answer`, `Count`, `Embed` or `Clients`, each under a number of its own
choosing; what comes back bears that number, so that any number of requests share a connection. An `Answer` is answered
by `Piece`s and `Done`; each of the others by one frame; anything by `Failed`. `Cancel` ends a request, and is not
answered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from mainspring import errors
from mainspring.errors import EngineGoneError, MainspringError, RequestError
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage

PROTOCOL = 1
MAX_FRAME = 64 * 1024**2  # 2,048 vectors of 4,096 numbers are half of it

_LENGTH = struct.Struct("!I")
_RAISED_AGAIN = (
    "RequestError",
    "UnsupportedError",
    "ContextError",
    "OverloadedError",
    "EngineGoneError",
    "RuntimeLoadError",
    "MissingExtraError",
)


class _Frame(msgspec.Struct, frozen=True, array_like=True):
    id: int


class Answer(_Frame, frozen=True, tag="answer"):
    """Answer `request`, piece by piece."""

    request: Generate


class Count(_Frame, frozen=True, tag="count"):
    """How many tokens has the prompt of `request`?"""

    request: Generate


class Embed(_Frame, frozen=True, tag="embed"):
    """The vectors of texts, or of lists of tokens."""

    texts: list[str | list[int]]


class Clients(_Frame, frozen=True, tag="clients"):
    """How many other clients are connected?"""


class Cancel(_Frame, frozen=True, tag="cancel"):
    """The answer is not wanted any more."""


Asked: TypeAlias = Answer | Count | Embed | Clients | Cancel


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Who answers here."""

    protocol: int
    capabilities: Capabilities
    info: EngineInfo


class Piece(_Frame, frozen=True, tag="piece"):
    """One piece of an answer."""

    piece: Delta | Usage


class Done(_Frame, frozen=True, tag="done"):
    """The answer is complete."""


class Number(_Frame, frozen=True, tag="number"):
    """What was counted."""

    number: int


class Vectors(_Frame, frozen=True, tag="vectors"):
    """float32 in this machine's byte order, row after row, each of `width`; and how many tokens the texts were."""

    width: int
    data: bytes
    tokens: int


class Failed(_Frame, frozen=True, tag="failed"):
    """It went wrong: the class of `mainspring.errors`, and what it says."""

    kind: str
    message: str
    place: str


Told: TypeAlias = Hello | Piece | Done | Number | Vectors | Failed

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


def frame(message: Asked | Told) -> bytes:
    """`message` as it is sent.

    Raises:
        RequestError: it is too long, or holds what MessagePack cannot, such as an integer of more than 64 bits.
    """
    try:
        content = _encoder.encode(message)
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError, ValueError) as error:
        raise RequestError(f"this cannot pass between an engine and who asks it: {error}") from None
    if len(content) > MAX_FRAME:
        raise RequestError(
            f"this has {len(content):,} bytes; an engine takes and gives at most {MAX_FRAME:,} at once: ask for less"
        )
    return _LENGTH.pack(len(content)) + content


class Splitter(Generic[_T]):
    """Puts together again what was cut on its way. `kind` is what is expected: `Asked` or `Told`."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[_T] = msgspec.msgpack.Decoder(kind)
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[_T]:
        """The messages that are whole now.

        Raises:
            RequestError: what comes is no frame, or too long a one. There is no way to go on after it.
        """
        self._rest += data
        start = 0
        while len(self._rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, start)
            if length > MAX_FRAME:
                raise RequestError(f"a frame of {length:,} bytes was announced; at most {MAX_FRAME:,} are allowed")
            end = start + _LENGTH.size + length
            if len(self._rest) < end:
                break
            try:
                yield self._decoder.decode(bytes(self._rest[start + _LENGTH.size : end]))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise RequestError(f"a frame cannot be read: {error}") from None
            start = end
        del self._rest[:start]


def failed(number: int, error: Exception) -> Failed:
    """`error`, for the other side. One that is not of Mainspring's tree is the engine's own."""
    kind, said = type(error).__name__, str(error)
    if not isinstance(error, MainspringError):
        kind, said = "EngineGoneError", f"the engine failed at this: {kind}: {said}"
    place = error.place if isinstance(error, RequestError) else "$"
    return Failed(number, kind, _sendable(said), _sendable(place))


def _sendable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def error_of(failure: Failed) -> MainspringError:
    """The error that the other side had."""
    kind = getattr(errors, failure.kind) if failure.kind in _RAISED_AGAIN else EngineGoneError
    return kind(failure.message, failure.place) if issubclass(kind, RequestError) else kind(failure.message)
