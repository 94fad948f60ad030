"""Engines that run: asked for answers to token prompts or texts, and measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from asking import ask_all
from gateway import MODEL, gateway, wait_until_up
from peers import HERE, WORK, BenchmarkError
from prompts import Prompt
from serving import Process, family

from mainspring.runtimes.language.tokens import Tokenizer

_ANSWER_SECONDS = 300.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Reply:
    """The answers to prompts that were asked at the same time.

    `first` and `last`: when the first answer's first and last token came, in seconds; `seconds`: when all were there.
    `counts`: how many tokens each answer has, as its engine counts.
    """

    first: float
    last: float
    seconds: float
    counts: list[int]
    texts: list[str]


class Running(Protocol):
    """A started engine."""

    pid: int

    def ask(self, prompts: list[Prompt], new: int) -> Reply:
        """Answer all prompts at the same time, greedily, with `new` tokens each.

        Raises:
            BenchmarkError: it does not answer.
        """


Start = Callable[[], contextlib.AbstractContextManager[Running]]


class _OverHttp:
    """An engine behind OpenAI's API."""

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    def ask(self, prompts: list[Prompt], new: int) -> Reply:
        same = {"model": MODEL, "max_tokens": new, "temperature": 0, "ignore_eos": True}
        bodies = [same | {"prompt": prompt.text} for prompt in prompts]
        began = time.perf_counter()
        answers = asyncio.run(ask_all(self.url, bodies))
        seconds = time.perf_counter() - began
        for answer, prompt in zip(answers, prompts, strict=True):
            if answer.status != 200 or answer.error or not answer.times:
                raise BenchmarkError(f"{self.url} answered {answer.status}: {answer.error or 'nothing'}")
            if (counted := answer.usage["prompt_tokens"]) != len(prompt.ids):
                raise BenchmarkError(f"{self.url} counts {counted} tokens in a prompt of {len(prompt.ids)}")
        counts, texts = [answer.tokens for answer in answers], [answer.text for answer in answers]
        return Reply(answers[0].first, answers[0].seconds, seconds, counts, texts)


class _InProcess:
    """A script that answers lines of JSON: see `answering.py`."""

    def __init__(self, process: subprocess.Popen[str], log: Path, tokenizer: Tokenizer) -> None:
        self._process, self._log, self._tokenizer, self.pid = process, log, tokenizer, process.pid

    def ask(self, prompts: list[Prompt], new: int) -> Reply:
        assert self._process.stdin
        assert self._process.stdout
        job = {"prompts": [prompt.ids for prompt in prompts], "new": new}
        line = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            if select.select([self._process.stdout], [], [], _ANSWER_SECONDS)[0]:
                line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"no answer:\n{self._log.read_text()[-3000:]}")
        found = json.loads(line)
        texts = [self._tokenizer.decode(ids) for ids in found["ids"]]
        return Reply(found["first"], found["last"], found["seconds"], found["counts"], texts)


def in_process(script: str, python: str, settings: dict[str, Any], tokenizer: Tokenizer) -> Start:
    """How a script of `language/` is started with the interpreter that has its engine."""

    @contextlib.contextmanager
    def start() -> Iterator[Running]:
        command = [python, str(HERE / script), json.dumps(settings)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with _started(command, script, {}, **pipes) as (process, log):
            yield _InProcess(process, log, tokenizer)

    return start


def over_http(name: str, command: Callable[[int], list[str]], **environment: str) -> Start:
    """How a server is started; `command` makes its command line for a port. It is ready when `/health` is 200."""

    @contextlib.contextmanager
    def start() -> Iterator[Running]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with _started(command(port), name, environment, stdin=subprocess.DEVNULL) as (process, log):
            wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
            yield _OverHttp(f"http://127.0.0.1:{port}/v1/completions", process.pid)

    return start


@contextlib.contextmanager
def mainspring_gateway() -> Iterator[Running]:
    """`mainspring serve` of the project that `gateway.py` fits."""
    with gateway() as running:
        yield _OverHttp(running.completions, running.pid)


@contextlib.contextmanager
def _started(
    command: list[str], name: str, environment: dict[str, str], **options: Any
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with its output in a log file, ended with all that it started."""
    log = WORK / "logs" / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # as in an activated environment
    quiet = {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PATH": path}
    with log.open("w") as output:
        options = {"stdout": output, **options}
        process = subprocess.Popen(
            command, env=os.environ | quiet | environment, stderr=output, start_new_session=True, **options
        )
    try:
        yield process, log
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    started = family(process.pid)
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    for one in started:
        if (now := Process.read(one.pid)) and now.born == one.born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Memory:
    """Bytes, summed over an engine's processes: the most that each ever had resident, and the proportional share now.

    A page that two processes share counts in both of the former, and half in each of the latter.
    """

    peak_rss: int
    pss: int
    processes: int


def memory(pid: int) -> Memory:
    """Of a process and all that descend from it."""
    processes = family(pid)
    return Memory(
        sum(_peak(process.pid) for process in processes),
        sum(process.memory()[1] for process in processes),
        len(processes),
    )


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
