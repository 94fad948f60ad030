"""OpenAI's client for Node.js, installed once into the user's cache."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "6.49.0"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mainspring" / "tests" / f"openai-{VERSION}"
SCRIPT = Path(__file__).with_name("client.mjs")


@pytest.fixture(scope="session")
def node():
    """The folder in which the client is installed, and `node`."""
    for program in ("node", "npm"):
        assert shutil.which(program), f"{program} is not there: install Node.js 20 or later, or deselect test_node.py"
    if not (FOLDER / "node_modules" / "openai" / "index.mjs").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"openai@{VERSION}"]
        found = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
        assert found.returncode == 0, f"npm cannot install openai@{VERSION}: {found.stderr}"
    script = FOLDER / SCRIPT.name  # a module is looked for from where the script is
    shutil.copyfile(SCRIPT, script)
    return script


def test_the_node_client(languages, node):
    found = subprocess.run(["node", node, f"{languages.url}/v1"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == {
        "whole": "one two",
        "streamed": "one two",
        "usage": 4,
        "calls": [{"a": 1}, {"a": 2}],
        "helper": "one two",
        "parsed": {"name": "Ann", "age": 31},
        "completion": "one two",
        "width": 4,
        "length": 1,
        "models": ["desk", "vectors", "writer"],
        "refused": ["BadRequestError", "temperature", "invalid_value"],
        "long": "context_length_exceeded",
        "missing": "NotFoundError",
        "full": "RateLimitError",
        "broken": "512 answers wait already",
    }
    languages.noted("cancel " + ("slowly 0.05 node " + "word " * 300)[:40])
