"""The engine room: `python -m mainspring.serving.engines --project DIR`. `mainspring serve` runs it where it is needed.

Where one runs already for this project, this one waits, and takes over should that end: both serve the same gateways.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from mainspring import spec
from mainspring.errors import BusyError, MainspringError
from mainspring.files import lock
from mainspring.serving.engines.room import EngineRoom
from mainspring.spec import Project

_LOOK_SECONDS = 1.0


def main() -> None:
    """Read the arguments, and keep the engines until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m mainspring.serving.engines", description=__doc__)
    parser.add_argument("--project", default=".")
    parser.add_argument("--drain", type=float, default=5.0, help="seconds that an engine is kept which nobody needs")
    arguments = parser.parse_args()
    try:
        asyncio.run(_run(spec.load(arguments.project), arguments.drain))
    except MainspringError as error:
        sys.exit(f"mainspring: {error}")


async def _run(project: Project, drain_seconds: float) -> None:
    task = asyncio.current_task()
    assert task is not None
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    with contextlib.suppress(asyncio.CancelledError), contextlib.ExitStack() as held:
        await _take(project, held)
        room = EngineRoom(project.state, grace_seconds=project.serving.timeout, drain_seconds=drain_seconds, say=_say)
        await room.run()


async def _take(project: Project, held: contextlib.ExitStack) -> None:
    """Be the one engine room of the project."""
    waits = False
    while True:
        try:
            held.enter_context(lock(project.state / ".engines.lock", what="the engine room"))
            return
        except BusyError:
            if not waits:
                _say("another engine room looks after this project already: this one waits")
            waits = True
        await asyncio.sleep(_LOOK_SECONDS)


def _say(line: str) -> None:
    print(f"mainspring: {line}", file=sys.stderr, flush=True)


main()
