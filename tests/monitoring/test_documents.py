"""Documents that change, go and come, and what is hashed to see it."""

from __future__ import annotations

import os

import pytest
from projects import publish

from mainspring import spec
from mainspring.data.documents.collection import collect
from mainspring.files import sha256
from mainspring.monitoring import documents
from mainspring.monitoring.documents import DocumentWatch, compare

TOML = """
[project]
name = "airdesk"
[models.handbook]
task = "retrieval"
"""


class Watched:
    """A collection, the version that was made of it, and a watch that is never too busy to look."""

    def __init__(self, folder, data):
        folder.mkdir()
        (folder / "mainspring.toml").write_text(TOML + data)
        self.folder = folder

    def made(self, monkeypatch):
        monkeypatch.setattr(documents, "_SHARE", 1e9)
        self.hashed = []
        monkeypatch.setattr(documents, "sha256", lambda path: self.hashed.append(path.name) or sha256(path))
        project = spec.load(self.folder)
        self.version = publish(
            project.state, "handbook", more=lambda staged: documents.save(collect(project, "handbook"), staged)
        )
        self.watch = DocumentWatch(project, "handbook")
        return self

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def look(self):
        self.hashed.clear()
        return self.watch.look(self.version.name)


@pytest.fixture
def handbook(tmp_path, monkeypatch):
    watched = Watched(tmp_path / "airdesk", 'data = "handbook"')
    for name in "abcde":
        watched.write(f"handbook/{name}.md", f"# {name}\n\nAbout {name}.\n")
    watched.write("handbook/empty.md", "")
    return watched.made(monkeypatch)


def test_what_has_not_changed_is_not_stale_and_not_hashed_twice(handbook):
    assert handbook.look() is None
    assert handbook.hashed == [f"{name}.md" for name in "abcde"]
    assert handbook.look() is None
    assert handbook.hashed == []
    assert not handbook.watch.settled


def test_what_changed_is_missing_or_new_is_told_by_name(handbook):
    assert handbook.look() is None
    handbook.write("handbook/b.md", "# b\n\nAbout B.\n")
    handbook.write("handbook/new.md", "# new\n")
    (handbook.folder / "handbook/d.md").unlink()
    stale = handbook.look()
    assert (stale.changed, stale.missing, stale.new) == (("handbook/b.md",), ("handbook/d.md",), ("handbook/new.md",))
    assert sorted(handbook.hashed) == ["b.md", "new.md"]  # of the others a glance is enough
    assert stale.message == (
        "of 7 documents 1 changed (handbook/b.md), 1 missing (handbook/d.md), 1 new (handbook/new.md) since they were "
        "indexed"
    )
    assert stale.finding.effect == 3 / 7
    assert stale.finding.deviates


def test_a_file_that_was_written_anew_with_the_same_words_is_as_it_was(handbook):
    """Negative: a checkout of the same commit is no reason for a fit."""
    assert handbook.look() is None
    path = handbook.folder / "handbook/a.md"
    path.write_text(path.read_text())
    os.utime(path, (1, 1))
    assert handbook.look() is None
    assert handbook.hashed == ["a.md"]


def test_a_change_that_keeps_size_and_time_is_seen(handbook):
    assert handbook.look() is None
    path = handbook.folder / "handbook/a.md"
    before = path.stat()
    path.write_text(path.read_text().upper())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert handbook.look().changed == ("handbook/a.md",)


def test_one_that_could_not_be_read_is_news_when_it_is_mended(handbook):
    handbook.write("handbook/empty.md", "No longer.")
    assert handbook.look().changed == ("handbook/empty.md",)


def test_a_folder_that_is_gone_is_told_and_a_fit_would_not_help(handbook):
    for path in (handbook.folder / "handbook").iterdir():
        path.unlink()
    stale = handbook.look()
    assert stale.problem
    assert "the documents cannot be looked at" in stale.message
    assert stale.finding.effect == 1.0
    assert not handbook.watch.settled


def test_rows_of_a_file_are_documents_too(tmp_path, monkeypatch):
    table = Watched(tmp_path / "airdesk", 'data = "faq.csv"\ntext = ["answer"]\nkey = "id"')
    table.write("faq.csv", "id,answer\n1,Yes.\n2,No.\n")
    table.made(monkeypatch)
    assert table.look() is None
    table.write("faq.csv", "id,answer\n2,No.\n1,Perhaps.\n3,Never.\n")
    stale = table.look()
    assert (stale.changed, stale.missing, stale.new) == (("faq.csv#1",), (), ("faq.csv#3",))


def test_many_names_are_counted():
    known = {f"{number:04}.md": "00" for number in range(1000)}
    told = "of 1,000 documents 1,000 missing (0000.md, 0001.md, 0002.md and 997 more) since they were indexed"
    assert compare(known, {}).message == told
    assert compare(known, dict(known)) is None
