"""An engine that says numbers, and writes down what it began, ended and gave up; and a process that hosts it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np

from mainspring.errors import ContextError, OverloadedError, RuntimeLoadError, UnsupportedError
from mainspring.processes import in_child
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage

CONTEXT = 100_000
ERRORS = {
    "long": ContextError("the prompt has 9 tokens, and 8 fit", "messages"),
    "odd": UnsupportedError("there are no such tools here", "tools"),
    "full": OverloadedError("256 requests wait already"),
    "broken": RuntimeLoadError("half of it is missing"),
    "defect": ZeroDivisionError("at \ud800"),
}


class Talker:
    """Answers with numbers, `pause` seconds apart. A prompt that names an error raises it, "late" after a piece."""

    def __init__(self, diary: Path, pause: float = 0.0) -> None:
        self._diary = diary
        self._pause = pause
        self.capabilities = Capabilities(context=CONTEXT, embeds=3, structures=("json_schema",))
        self.info = EngineInfo("talker", "numbers", "for tests")
        self.broken: str | None = None

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        prompt = str(request.prompt)
        self._note(f"begin {prompt}")
        try:
            if prompt == "break":
                self.broken = "the talker broke"
            if prompt in ERRORS:
                raise ERRORS[prompt]
            for number in range(request.sampling.max_tokens or 1):
                yield Delta(text=f"{number} ", tokens=1)
                if prompt.startswith("late "):
                    raise ERRORS[prompt.removeprefix("late ")]
                await asyncio.sleep(self._pause)
            yield Delta(finish="length")
            yield Usage(len(prompt), request.sampling.max_tokens or 1, 0)
            self._note(f"end {prompt}")
        except (asyncio.CancelledError, GeneratorExit):
            self._note(f"cancel {prompt}")
            raise

    async def count(self, request: Generate) -> int:
        if request.messages:
            return len(request.messages)
        await asyncio.sleep(self._pause)
        return len(str(request.prompt))

    async def embed(self, texts: list[str] | list[list[int]]) -> tuple[np.ndarray, int]:
        if texts == ["many"]:
            return np.ones((1_000_000, 3), np.float32), 1_000_000
        if texts == ["too many"]:
            return np.ones((6_000_000, 3), np.float32), 6_000_000
        return np.array([[len(text), 0, 1] for text in texts], np.float32), len(texts)

    async def close(self) -> None:
        self._note("close")

    def _note(self, line: str) -> None:
        with self._diary.open("a") as file:
            file.write(line + "\n")


def noted(diary: Path) -> list[str]:
    return diary.read_text().splitlines() if diary.exists() else []


HOST = """
import asyncio, logging, sys
from pathlib import Path
from runtimes.language.talker import Talker
from mainspring.runtimes.language import host
logging.basicConfig()
host._UNREAD_SECONDS = 0.5
asyncio.run(host.serve(Talker(Path(sys.argv[2]), float(sys.argv[3])), Path(sys.argv[1]), grace_seconds=2.0))
"""


def host(socket: Path, diary: Path, pause: float = 0.0) -> subprocess.Popen[bytes]:
    """A process in which a `Talker` answers at `socket`, or soon will."""
    command = [sys.executable, "-c", HOST, str(socket), str(diary), str(pause)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment, preexec_fn=in_child(), stderr=subprocess.PIPE)
