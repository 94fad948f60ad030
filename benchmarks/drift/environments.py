"""An environment of its own for each peer, under `.benchmarks/drift/`, from `requirements-PEER.txt`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / ".benchmarks/drift"
OURS = "mainspring"
# One thread a process, so that each has its core, and nobody calls home.
ENVIRONMENT = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ENVIRONMENT |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONWARNINGS": "ignore"}


def python_of(peer: str) -> Path:
    """The interpreter that has the peer; ours is this one."""
    return Path(sys.executable) if peer == OURS else WORK / peer / "bin/python"


def install(peer: str) -> None:
    """Make the peer's environment, unless it is there already for these requirements."""
    requirements, stamp = HERE / f"requirements-{peer}.txt", WORK / peer / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"installing {requirements.name} into {WORK / peer}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", WORK / peer], check=True)
    subprocess.run([python_of(peer), "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    stamp.write_text(digest)


def versions(peer: str, packages: tuple[str, ...]) -> dict[str, str]:
    """What is installed beside the peer."""
    ask = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    said = subprocess.run([python_of(peer), "-c", ask, *packages], check=True, capture_output=True, text=True).stdout
    return dict(zip(packages, said.split(), strict=True))
