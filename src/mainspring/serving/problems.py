"""What a client is told when a request fails: one error, written as each protocol writes errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from mainspring.errors import BrokenJsonError, MainspringError, RequestError
from mainspring.runtimes.strict_json import shown
from mainspring.serving.messages import Headers, Reply

CODES = {
    400: "bad_request",
    401: "key_missing",
    403: "key_refused",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_too_slow",
    409: "conflict",
    413: "too_large",
    415: "wrong_content_type",
    422: "invalid_record",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}
# MLflow's names for them: mlflow.protos.databricks_pb2.ErrorCode
_MLFLOW_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
# OpenAI's, where they are not "invalid_request_error", or "server_error" from 500 on.
_OPENAI_TYPES = {429: "requests"}
_OPENAI_CODES = {404: "not_found", 429: "rate_limit_exceeded", 500: "internal", 503: "unavailable"}
KEY_CODE = "invalid_api_key"
_MLFLOW_PATHS = ("/invocations", "/ping", "/health", "/version")
_RETRY_SECONDS = 1


class Problem(MainspringError):  # noqa: N818 -- RFC 9457's word for what an API answers when it does not answer
    """A request fails with `status`; `place` is where in the request, where that can be told.

    `code` is OpenAI's word for it, where it has one.
    """

    def __init__(
        self,
        status: int,
        message: str,
        place: str | None = None,
        headers: Headers = (),
        *,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.place, self.code = status, message, place, code
        self.headers: Headers = headers
        if status in (429, 503):
            self.headers = (*headers, (b"retry-after", b"%d" % _RETRY_SECONDS))

    @classmethod
    def of(cls, error: RequestError) -> Problem:
        """What a record that does not fit the schema is answered."""
        return cls(400 if isinstance(error, BrokenJsonError) else 422, str(error), error.place)


def unknown(what: str, name: str, there: Iterable[str]) -> Problem:
    """404, with the names there are."""
    names = sorted(there)
    close = get_close_matches(name[:100], names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    message = f"no {what} {shown(name)!r}; there are: {', '.join(names) or 'none'}{hint}"
    return Problem(404, message, code="model_not_found")


def reply(problem: Problem, path: str) -> Reply:
    """The problem as the protocol at `path` writes errors."""
    if path.startswith("/v2"):
        at = f"{problem.place}: " if problem.place not in (None, "$") else ""
        status = 400 if problem.status == 422 else problem.status  # the protocol has no other word for a bad request
        content: dict[str, object] = {"error": f"{at}{problem.message}"}
    elif path in _MLFLOW_PATHS:
        at = f"{problem.place}: " if problem.place not in (None, "$") else ""
        status = 400 if problem.status == 422 else problem.status
        code = _MLFLOW_CODES.get(problem.status, "BAD_REQUEST")
        content = {"error_code": code, "message": f"{at}{problem.message}"}
    elif path.startswith("/v1/"):
        # OpenAI's clients raise an AuthenticationError at 401, whatever is wrong with the key.
        status = 401 if problem.code == KEY_CODE else 400 if problem.status == 422 else problem.status
        content = openai_error(problem)
    else:
        status = problem.status
        content = own_error(problem)
    return Reply(status, msgspec.json.encode(content), headers=problem.headers)


def own_error(problem: Problem) -> dict[str, object]:
    """The problem as we write errors ourselves, also in the middle of a stream."""
    error = {"code": CODES.get(problem.status, "error"), "message": problem.message}
    return {"error": error if problem.place is None else {**error, "place": problem.place}}


def openai_error(problem: Problem) -> dict[str, object]:
    """The problem as OpenAI's API writes errors, also in the middle of a stream."""
    kind = _OPENAI_TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    place = problem.place or "$"
    named = not place.startswith("byte ") and (param := place.removeprefix("$").removeprefix("."))
    message = problem.message if named or place == "$" else f"{problem.message} ({place})"
    code = problem.code or _OPENAI_CODES.get(problem.status)
    return {"error": {"message": message, "type": kind, "param": param if named else None, "code": code}}
