"""Server-sent events, as the endpoints that stream answers write them."""

from __future__ import annotations

import msgspec

# After so long without a piece a stream begins, or goes on, with a comment: proxies cut what is silent for a minute.
QUIET_SECONDS = 10.0
COMMENT = b": the model is at work\n\n"
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
_encode = msgspec.json.Encoder().encode


def event(content: object) -> bytes:
    """One event, with `content` as JSON."""
    return b"data: %b\n\n" % _encode(content)
