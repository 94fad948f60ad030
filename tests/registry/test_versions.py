from __future__ import annotations

import os
import stat
import sys
import time

import msgspec
import pytest
from projects import publish, wait_until

from mainspring.errors import RegistryError
from mainspring.files import sha256
from mainspring.registry import versions

PUBLISHER = """
import sys
from pathlib import Path
from projects import publish
while True:
    publish(Path(sys.argv[1]), graph=b"a graph" * 300_000)
"""
FILES = ["golden.json", "model.onnx", "profile.json", "report.html", "report.json"]


def hidden(state):
    return [path for path in versions.models_folder(state, "late").iterdir() if path.name.startswith(".")]


def test_a_version_comes_back_as_it_was_published(state):
    made = publish(state)
    found = versions.load(state, "late", "1")
    assert found == made
    assert found.name == "1"
    assert found.folder == state / "models" / "late" / "1"
    assert found.manifest.files == {name: sha256(found.folder / name) for name in FILES}
    assert found.golden().answers == [{"label": True}]
    found.verify()
    assert not hidden(state)
    assert stat.S_IMODE(found.folder.stat().st_mode) == 0o755  # another user's gateway can read it


def test_versions_are_counted_and_named_in_order(state):
    assert versions.names(state, "late") == []
    for _ in range(11):
        publish(state)
    assert versions.names(state, "late") == [str(number) for number in range(1, 12)]
    assert versions.next_name(state, "late") == "12"
    assert [version.name for version in versions.load_all(state, "late")] == versions.names(state, "late")


def test_a_version_is_never_written_over(state):
    publish(state)
    before = versions.load(state, "late", "1")
    with pytest.raises(RegistryError, match="version 1 of late cannot be written"):
        publish(state, version="1", candidate="tree")
    assert versions.load(state, "late", "1") == before
    before.verify()
    assert not hidden(state)


@pytest.mark.parametrize("name", FILES)
def test_damage_of_any_file_is_found(state, name):
    version = publish(state)
    path = version.folder / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(RegistryError, match=rf"{name} is damaged: its sha256 is .*restore it, or fit late again"):
        version.verify()
    path.unlink()
    with pytest.raises(RegistryError, match=f"{name} is missing: restore it, or fit late again"):
        version.verify()
    path.write_bytes(whole)
    version.verify()


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b'{"model": "\xff"}'])
def test_a_damaged_manifest_is_told_and_hides_no_other_version(state, content):
    publish(state)
    publish(state)
    (state / "models" / "late" / "1" / versions.MANIFEST).write_bytes(content)
    with pytest.raises(RegistryError, match=r"1/manifest.json is damaged .*restore it, or fit late again"):
        versions.load(state, "late", "1")
    assert [version.name for version in versions.load_all(state, "late")] == ["2"]


def test_a_folder_copied_by_hand_is_no_version(state):
    folder = publish(state).folder
    folder.rename(folder.with_name("5"))
    with pytest.raises(RegistryError, match=r"5/manifest.json is that of version 1 of late"):
        versions.load(state, "late", "5")


def test_a_version_whose_manifest_is_lost_is_none_and_keeps_its_number(state):
    publish(state)
    (publish(state).folder / versions.MANIFEST).unlink()
    assert versions.names(state, "late") == ["1"]
    with pytest.raises(RegistryError, match="no version '2' of late; there are: 1"):
        versions.load(state, "late", "2")
    assert publish(state).name == "3"


@pytest.mark.parametrize(
    "name", ["../fare/1", "..", ".", "", "1/", "/1", "1/../1", "-1", "1.0", " 1", "²", "٣", "latest"]
)
def test_a_name_cannot_leave_the_folder(state, name):
    publish(state)
    publish(state, "fare")
    with pytest.raises(RegistryError, match=r"no version .* of late; there are: 1"):
        versions.load(state, "late", name)


def test_folders_of_other_names_are_no_versions(state):
    folder = publish(state).folder
    for name in ("²", "1.old", "-1", ".staging-x", "backup"):
        (folder.parent / name).mkdir()
        (folder.parent / name / versions.MANIFEST).write_bytes((folder / versions.MANIFEST).read_bytes())
    assert versions.names(state, "late") == ["1"]
    assert versions.next_name(state, "late") == "2"


def test_only_files_of_the_manifest_are_given_out(state):
    version = publish(state)
    (version.folder / "extra.txt").write_text("x")
    for name in ("extra.txt", "../../../desired.json", versions.MANIFEST):
        with pytest.raises(RegistryError, match="version 1 of late has no file"):
            version.file(name)
    assert version.file("model.onnx").read_bytes() == b"a graph"


def test_what_a_failed_fit_staged_is_gone(state):
    def fail():
        with versions.staging(state, "late") as staged:
            (staged / "model.onnx").write_bytes(b"half")
            assert hidden(state)
            assert versions.names(state, "late") == []
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not hidden(state)


def test_watched_or_killed_at_any_point_a_publication_shows_whole_versions_only(state, start):
    for seconds in (0.1, 0.23, 0.36):
        before = len(versions.names(state, "late"))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        process = start("-c", PUBLISHER, str(state), env=environment)
        wait_until(lambda before=before: len(versions.names(state, "late")) > before, "a version", 30)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            versions.load(state, "late", versions.names(state, "late")[-1]).verify()
        process.kill()
        process.wait()
        there = versions.names(state, "late")
        assert there == [str(number + 1) for number in range(len(there))]
        for name in there:
            versions.load(state, "late", name).verify()
    publish(state)  # clears what the killed ones left
    assert not hidden(state)


def test_the_manifest_is_plain_json_that_names_all_the_issue_asks_for(state):
    written = msgspec.json.decode((publish(state).folder / versions.MANIFEST).read_bytes())
    assert written["format"] == 1
    assert {"schema", "lineage", "metrics", "verdict", "files", "parity", "threshold", "task"} <= set(written)
    assert {"data", "spec", "code", "libraries", "rows", "fit_rows", "holdout_rows", "split"} <= set(written["lineage"])
