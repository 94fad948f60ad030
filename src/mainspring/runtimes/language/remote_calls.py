"""Requests to an endpoint over HTTP: what is tried again, when, and what an answer of another kind than 200 means.

Tried again is only what cannot have been answered already: a connection that fails or breaks before there is an answer,
and the statuses 408, 409, 429 and 5xx. The waits double and are drawn at random below their limit ("full jitter":
Brooker, "Exponential Backoff and Jitter", 2015), so that clients that failed together do not come back together. An
endpoint that says when to come back (Retry-After) is believed, within limits.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from mainspring.errors import ContextError, EngineGoneError, OverloadedError, RequestError

if TYPE_CHECKING:
    import httpx

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_LONGEST_ASKED_WAIT = 60.0
_ERROR_BYTES = 65_536
_LONGEST_MESSAGE = 500
_AGAIN = frozenset((408, 409, 429))
_CONTEXT_CODES = ("context_length_exceeded", "exceed_context_size_error")
_CONTEXT_WORDS = re.compile(  # vLLM, TGI, llama.cpp and others say it in words only
    r"maximum context length|context (?:length|size|window)|max_model_len|`inputs` tokens \+ `max_new_tokens`|"
    r"(?:prompt|input)[^.]* (?:is )?too long",
    re.IGNORECASE,
)


class Caller:
    """Asks one endpoint.

    Args:
        client: with its base URL, headers and timeouts.
        retries: how often a request is tried again.
        who: the endpoint, as messages call it.
        key_environment: the environment variable that the key is from, if there is one.
        secret: the key, which no message may contain.
    """

    def __init__(
        self, client: httpx.AsyncClient, *, retries: int, who: str, key_environment: str | None, secret: str | None
    ) -> None:
        self._client = client
        self._retries = retries
        self.who = who
        self._key_environment = key_environment
        self._secret = secret

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The answer to a POST, of status 200, whose content is still to be read: see `reading`.

        Raises:
            ContextError, RequestError: what is asked for cannot be answered.
            OverloadedError, EngineGoneError: the endpoint does not answer, or not now.
        """
        content = msgspec.json.encode(body)
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            wait = random.uniform(0.0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))
            try:
                response = await self._once(path, content)
            except _NotReachedError:
                if last:
                    raise
            else:
                if response.status_code == 200:
                    return response
                asked = asked_wait(response.headers)
                if last or not _is_passing(response.status_code) or (asked or 0.0) > _LONGEST_ASKED_WAIT:
                    await self._refused(response)
                await response.aclose()
                wait = wait if asked is None else asked
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def reading(self, response: httpx.Response) -> AsyncIterator[None]:
        """While its content is read. Leaving closes the connection, if there is more to come.

        Raises:
            EngineGoneError: it breaks off, or is silent for too long.
        """
        import httpx

        try:
            yield
        except httpx.TimeoutException:
            raise EngineGoneError(f"{self.who} was silent for too long in the middle of its answer") from None
        except httpx.HTTPError as error:
            raise EngineGoneError(f"{self.who} broke off in the middle of its answer: {self.clean(error)}") from None
        finally:
            await response.aclose()

    async def _once(self, path: str, content: bytes) -> httpx.Response:
        """One try; _NotReachedError where there may be another."""
        import httpx

        request = self._client.build_request("POST", path, content=content)
        try:
            return await self._client.send(request, stream=True)
        except httpx.PoolTimeout:
            raise OverloadedError(f"too many requests to {self.who} are under way: try again later") from None
        except httpx.ReadTimeout:  # it may be at work on it still: to ask again would double that
            raise EngineGoneError(f"{self.who} did not begin to answer in time") from None
        except httpx.HTTPError as error:
            raise _NotReachedError(f"{self.who} does not answer: {self.clean(error)}") from None

    async def _refused(self, response: httpx.Response) -> NoReturn:
        """Raise what a status other than 200 means."""
        status = response.status_code
        refusal = refusal_of(await _beginning(response))
        said = self.clean(refusal.message)
        if status in (401, 403):
            key = f"the key in {self._key_environment}" if self._key_environment else "to answer without a key"
            raise EngineGoneError(f"{self.who} refuses {key} ({status}): {said}")
        if status == 404:
            raise EngineGoneError(f"{self.who} has no such model or path (404): check its url and model. {said}")
        if status == 429:
            raise OverloadedError(f"{self.who} is overloaded, or a limit is reached (429): {said}")
        if _is_passing(status) or not 400 <= status < 500:
            raise EngineGoneError(f"{self.who} answered with status {status}: {said}")
        if refusal.code in _CONTEXT_CODES or refusal.type in _CONTEXT_CODES or _CONTEXT_WORDS.search(said):
            raise ContextError(said, refusal.param or "messages")
        raise RequestError(said or f"the endpoint refuses this ({status})", refusal.param or "$")

    def clean(self, said: object) -> str:
        """What an error says, without the key, and on one line of bounded length."""
        said = " ".join(str(said).split()) or (type(said).__name__ if isinstance(said, Exception) else "")
        return (said.replace(self._secret, "…") if self._secret else said)[:_LONGEST_MESSAGE]


class Refusal(msgspec.Struct):
    """What an endpoint says of an error: `{"error": {"message", "type", "param", "code"}}`, or less."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


def refusal_of(content: bytes) -> Refusal:
    """What is said in the body of an answer that is an error, in whichever of the usual forms."""
    try:
        found = msgspec.json.decode(content)
        inner = found.get("error") or found.get("detail") or found
        return msgspec.convert(inner, Refusal) if isinstance(inner, dict) else Refusal(str(inner))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError):
        return Refusal(content.decode(errors="replace"))


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """How many seconds to wait, as `Retry-After` says it: in seconds, or as a date."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        wait = float(said)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, wait) if math.isfinite(wait) else None


class _NotReachedError(EngineGoneError):
    """There was no answer, nor will be one to this try."""


def _is_passing(status: int) -> bool:
    return status in _AGAIN or status >= 500


async def _beginning(response: httpx.Response) -> bytes:
    """As much of its content as an error needs."""
    import httpx

    content = b""
    with suppress(httpx.HTTPError):
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _ERROR_BYTES:
                break
    await response.aclose()
    return content[:_ERROR_BYTES]
