"""Files are read in a process apart, which may be ended.

A hostile file can keep a parser busy for ever, make it take all memory, or crash it. So one process reads file after
file; each has a limited time of computing, and the process a limited memory. Where it ends, the file is to blame, and
the next one gets a new process. It ends by itself when nobody asks any more.

    → {"path": …, "name": …, "encoding": …}      a line of JSON on its standard input
    ← 8 bytes with a length, and so many of MessagePack
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from mainspring.data.documents.document import Document, Unread
from mainspring.errors import MissingExtraError
from mainspring.processes import ending

SECONDS = 120.0  # of computing, for one file
MEMORY = 2 * 2**30  # bytes

_ASKING = "from mainspring.data.documents.apart import serve; serve()"


class _Asked(msgspec.Struct):
    path: str
    name: str
    encoding: str | None


class _Answer(msgspec.Struct):
    """One of the three."""

    document: Document | None = None
    unread: Unread | None = None
    missing: str | None = None  # what to install


class Apart:
    """Reads files in another process, which begins with the first of them. Any thread may ask.

    Args:
        seconds: the time of computing that a file may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, name: str, encoding: str | None = None) -> Document | Unread:
        """As `reading.read_file`; `Unread` also where the process was ended.

        Raises:
            MissingExtraError: a reader needs a package that is not there.
        """
        asked = _Asked(str(path), name, encoding)
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._process = None  # it was ended from outside, between two files
            process = self._process or self._start()
            try:
                answer = _ask(process, asked)
            except (EOFError, BrokenPipeError):
                self._process = None
                return Unread(name, self._blame(process))
            except BaseException:  # an interrupt: what it would still answer is no answer to the next question
                self._process = None
                process.kill()
                _end(process)
                raise
        if answer.missing is not None:
            raise MissingExtraError(answer.missing)
        return answer.document or answer.unread or Unread(name, "was not read")

    def _start(self) -> subprocess.Popen[bytes]:
        # Its own group: a Ctrl-C is heard here, and ends it by its closed input.
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _ASKING, str(self._seconds)],  # -P: a project may have an html.py
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        self._process = process
        weakref.finalize(self, _end, process)
        return process

    def _blame(self, process: subprocess.Popen[bytes]) -> str:
        _end(process)
        if process.returncode == -signal.SIGPROF:
            return f"took more than {self._seconds:g} s of computing, and was given up"
        return f"crashed its reader ({ending(process.returncode)})"


def _ask(process: subprocess.Popen[bytes], asked: _Asked) -> _Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(asked) + b"\n")
    process.stdin.flush()
    size = int.from_bytes(_exactly(process.stdout, 8), "big")
    return msgspec.msgpack.decode(_exactly(process.stdout, size), type=_Answer)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    process.wait()


def serve() -> None:
    """Answer until the input ends. The first argument is the time that a file may take, in seconds."""
    seconds = float(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit_memory()
    gc.set_threshold(100_000, 50, 50)  # blocks are many, and none of them goes in a circle
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=_Asked)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, whatever it is at
        answer = _answered(asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        encoded = msgspec.msgpack.encode(answer)
        answers.write(len(encoded).to_bytes(8, "big") + encoded)
        answers.flush()


def _answered(asked: _Asked) -> _Answer:
    from mainspring.data.documents.reading import read_file

    try:
        found = read_file(Path(asked.path), asked.name, asked.encoding)
    except MissingExtraError as error:
        return _Answer(missing=str(error))
    except Exception as error:  # no file stops the others, nor does a defect that only it meets
        return _Answer(unread=Unread(asked.name, f"cannot be read: {type(error).__name__}: {error}"))
    return _Answer(document=found) if isinstance(found, Document) else _Answer(unread=found)


def _limit_memory() -> None:
    import resource

    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
