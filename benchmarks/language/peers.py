"""What the benchmark of engines compares with: an environment of its own for each, and llama.cpp's server as a binary.

All lies under `.benchmarks/language/` and is kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = (HERE.parents[1] / ".benchmarks/language").resolve()
LLAMACPP = "llamacpp"
LLAMA_SERVER = WORK / LLAMACPP / "build/bin/llama-server"


class BenchmarkError(Exception):
    """The comparison would not be a fair one, or cannot be made here."""


def say(what: str) -> None:
    """Tell on standard error what is done now."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def run(*command: str | Path, **environment: str) -> None:
    """Run to the end; BenchmarkError with the end of the output if it fails."""
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BenchmarkError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}")


def python_of(peer: str) -> str:
    """The interpreter that has the peer."""
    return str(WORK / peer / "venv/bin/python")


def prepare(peer: str) -> None:
    """Install the peer, unless it is there already for these requirements."""
    stamp, wanted = WORK / peer / "requirements.sha256", _digest(peer)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {peer} (minutes)")
    (WORK / peer).mkdir(parents=True, exist_ok=True)
    _INSTALL.get(peer, _install)(peer)
    stamp.write_text(wanted)


def pins() -> list[str]:
    """All that is installed for the peers, as their requirements name it."""
    lines = (line for path in sorted(HERE.glob("requirements-*.txt")) for line in path.read_text().splitlines())
    return sorted({line for line in lines if "==" in line})


def _requirements(peer: str) -> list[Path]:
    """What pip installs, and what it installs without what that asks for in turn."""
    names = (f"requirements-{peer}.txt", f"requirements-{peer}-bare.txt")
    return [HERE / name for name in names if (HERE / name).exists()]


def _digest(peer: str) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in _requirements(peer))).hexdigest()


def _install(peer: str) -> None:
    run(sys.executable, "-m", "venv", "--clear", WORK / peer / "venv")
    for path in _requirements(peer):
        options = ["--no-deps"] if path.stem.endswith("-bare") else []
        run(python_of(peer), "-m", "pip", "install", "--quiet", *options, "--requirement", path)


def _build_llama_server(peer: str) -> None:
    """Build the server for this processor, of the sources that llama-cpp-python's source distribution brings along."""
    for tool, package in (("cmake", "cmake"), ("c++", "g++")):
        if shutil.which(tool) is None:
            raise BenchmarkError(f"there is no {tool} to build llama.cpp with: apt-get install {package}")
    folder = WORK / peer
    source, build = folder / "source", folder / "build"
    with tempfile.TemporaryDirectory(dir=folder) as work:
        only = ("--no-deps", "--no-binary", ":all:")
        (path,) = _requirements(peer)
        run(sys.executable, "-m", "pip", "download", "--quiet", *only, "--dest", work, "--requirement", path)
        (archive,) = Path(work).glob("*.tar.gz")
        with tarfile.open(archive) as unpacked:
            unpacked.extractall(work, filter="data")
        shutil.rmtree(source, ignore_errors=True)
        (vendored,) = Path(work).glob("*/vendor/llama.cpp")
        vendored.rename(source)
    off = ("BUILD_SHARED_LIBS", *(f"LLAMA_{name}" for name in ("BUILD_UI", "USE_PREBUILT_UI", "OPENSSL")))
    off += tuple(f"LLAMA_BUILD_{name}" for name in ("TESTS", "EXAMPLES", "APP"))
    options = [f"-D{name}=OFF" for name in off]
    run("cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", *options)
    run("cmake", "--build", build, "--target", "llama-server", "--parallel", str(os.cpu_count()))


_INSTALL: dict[str, Callable[[str], None]] = {LLAMACPP: _build_llama_server}
