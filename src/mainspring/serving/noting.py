"""How a request to a language model or to a prompt program went, whatever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeAlias

from mainspring.errors import MainspringError
from mainspring.serving.language_metrics import Stopwatch
from mainspring.serving.live import LiveVersion
from mainspring.serving.messages import ClientGoneError, Request
from mainspring.serving.problems import Problem

Traffic: TypeAlias = Callable[[str, str, float, int, bool], None]


@contextmanager
def noted(
    request: Request,
    loaded: LiveVersion,
    watch: Stopwatch,
    traffic: Traffic,
    problem_of: Callable[[MainspringError], Problem],
) -> Iterator[None]:
    """Close `watch`, and tell `traffic`: model, version, seconds, rows, whether it failed by a fault of ours.

    A client that hangs up is no fault of the version's.

    Raises:
        Problem: what `problem_of` makes of an error of ours.
    """
    error, failed = "", False
    try:
        yield
    except MainspringError as raised:
        problem = problem_of(raised)
        error, failed = str(problem.status), problem.status >= 500
        raise problem from None
    except (GeneratorExit, asyncio.CancelledError, ClientGoneError):
        error = "client_gone"
        raise
    except BaseException:
        error, failed = "500", True
        raise
    finally:
        watch.close(error)
        rows = 0 if error else request.rows
        traffic(loaded.model, loaded.name, perf_counter() - request.started, rows, failed)
