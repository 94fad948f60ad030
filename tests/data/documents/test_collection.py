"""Collections as a project names them: folders, globs, files, tables; and what is wrong with a source, by its name."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from mainspring import spec
from mainspring.data.documents import collection, reading
from mainspring.data.documents.collection import collect
from mainspring.data.documents.document import Document, Unread
from mainspring.data.documents.source import Source
from mainspring.errors import DataError, SpecError

from .made import docx, page, pdf

Collect = Callable[..., list[Source]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def collected(folder: Path) -> Collect:
    """The sources of a project in `folder`, whose model has `data` and further keys as TOML text."""

    def make(data: str, more: str = "") -> list[Source]:
        text = f'[project]\nname = "p"\n[models.m]\ntask = "retrieval"\ndata = "{data}"\n{more}\n'
        return collect(spec.parse(text, folder), "m")

    return make


def write(folder: Path, **files: str | bytes) -> None:
    """`a__b_md="x"` is the file a/b.md."""
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_name(".".join(path.name.rsplit("_", 1)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def names(sources: list[Source]) -> list[str]:
    return [source.name for source in sources]


def test_a_number_is_no_title(folder, collected):
    write(folder, docs__007_txt="a", **{"docs__2024-fares_txt": "b"})
    assert [source.read().title for source in collected("docs")] == ["", "2024-fares"]


def test_a_folder_of_all_formats(folder, collected):
    paragraph = "<w:p><w:r><w:t>of word</w:t></w:r></w:p>"
    write(folder, docs__a_md="# A\n\nof markdown", docs__b_HTML="<h1>B</h1>of html", docs__deep__c_rst="C\n=\n\nof rst")
    write(folder, docs__d_txt="of text", docs__e_pdf=pdf([page("of pdf")]), docs__f_docx=docx(paragraph))
    write(
        folder, docs__skipped_png=b"\x89PNG", docs__table_csv="a,b\n1,2\n", **{"docs__g.rst_txt": "G\n=\n\nof sphinx"}
    )
    sources = collected("docs")
    assert names(sources) == [
        *("docs/a.md", "docs/b.HTML", "docs/d.txt", "docs/deep/c.rst", "docs/e.pdf", "docs/f.docx", "docs/g.rst.txt"),
    ]
    documents = [source.read() for source in sources]
    assert [document.title for document in documents] == ["A", "B", "d", "C", "e", "f", "G"]
    assert [document.blocks[-1].text for document in documents] == [
        *("of markdown", "of html", "of text", "of rst", "of pdf", "of word", "of sphinx"),
    ]
    for source, document in zip(sources, documents, strict=True):
        raw = (folder / source.name).read_bytes()
        assert (document.source, document.digest) == (source.name, hashlib.sha256(raw).hexdigest())
        assert source.digest == document.digest


def test_globs(folder, collected):
    write(folder, a_md="a", docs__b_md="b", docs__c_txt="c", docs__x__y__d_md="d", other__e_md="e")
    assert names(collected("docs/**/*.md")) == ["docs/b.md", "docs/x/y/d.md"]
    assert names(collected("*/*.md")) == ["docs/b.md", "other/e.md"]
    assert names(collected("**/[ab].*")) == ["a.md", "docs/b.md"]
    assert names(collected("docs/**")) == ["docs/b.md", "docs/c.txt", "docs/x/y/d.md"]
    assert names(collected("docs/c.txt")) == ["docs/c.txt"]
    assert names(collected(".")) == ["a.md", "docs/b.md", "docs/c.txt", "docs/x/y/d.md", "other/e.md"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("docs/*.pdf", "no file matches 'docs/\\*.pdf'"),
        ("docs/hanbook.md", "did you mean 'handbook.md'"),
        ("nowhere/a.md", "nor 'nowhere'"),
        ("empty", "the folder 'empty' holds no document"),
        ("../docs", "out of the project's folder"),
        ("/etc/hostname", "out of the project's folder"),
        ("docs/outside.md", "leads out of the project's folder"),
        (".mainspring/a.md", "is hidden"),
        (".mainspring/*.md", "no file matches"),
        ("table.csv", "`text` "),
        ("sqlite:///data.db", "`text` "),
        ("prepare:pages", "`text` "),
    ],
)
def test_what_is_not_there_is_told(folder, collected, data, problem):
    write(folder.parent, secret_md="secret")
    write(folder, docs__handbook_md="a", empty__a_png=b"", table_csv="a\n1\n", prepare_py="")
    write(folder, **{".mainspring__a_md": "state"})
    (folder / "docs/outside.md").symlink_to(folder.parent / "secret.md")
    with pytest.raises(SpecError, match=problem):
        collected(data)


def test_links_stay_inside_and_are_followed_once(folder, collected):
    write(folder.parent, out__secret_md="secret")
    write(folder, docs__a_md="a", **{".mainspring__b_md": "state", "docs__.hidden_md": "h", "docs__.git__c_md": "c"})
    write(folder, shared__d_md="d")
    (folder / "docs/outside").symlink_to(folder.parent / "out")
    (folder / "docs/outside.md").symlink_to(folder.parent / "out/secret.md")
    (folder / "docs/broken.md").symlink_to(folder / "no such file")
    (folder / "docs/state").symlink_to(folder / ".mainspring")
    (folder / "docs/circle").symlink_to(folder / "docs")
    (folder / "docs/shared").symlink_to(folder / "shared")
    assert names(collected("docs")) == ["docs/a.md", "docs/shared/d.md"]
    assert names(collected("**/*.md")) == ["docs/a.md", "shared/d.md"]


def test_whatever_is_wrong_with_a_file_stops_no_other(folder, collected, monkeypatch):
    monkeypatch.setattr(collection, "LARGEST_FILE", 20_000)
    write(
        folder, d__a_md="same", d__b_md="same", d__c_md="", d__d_md=" \n", d__e_txt=b"\x7fELF" + bytes(range(256)) * 9
    )
    write(folder, d__f_pdf=b"%PDF-1.4", d__g_pdf=pdf([page("x")], encrypted=True), d__h_pdf=pdf([[]]), d__i_docx=b"PK")
    write(
        folder, d__j_png=b"\x89PNG", d__k_csv="a\n1\n", d__l_doc=b"\xd0\xcf", d__m_md="x" * 30_000, d__n_md="<!-- c -->"
    )
    write(folder, d__z_md="last")
    found = {source.name[2:]: source.read() for source in collected("d/*")}
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, Unread)}
    expected = {
        "b.md": "is equal to d/a.md",
        "c.md": "is empty",
        "d.md": "is empty",
        "e.txt": "is binary",
        "f.pdf": "is damaged",
        "g.pdf": "is encrypted",
        "h.pdf": "scanned",
        "i.docx": "is damaged",
        "j.png": "has a suffix that no reader knows",
        "k.csv": "is a table",
        "l.doc": "Word before 2007",
        "m.md": "MiB; at most",
        "n.md": "has no text",
    }
    assert reasons.keys() == expected.keys()
    assert all(part in reasons[name] for name, part in expected.items()), reasons
    assert [found["a.md"].text, found["z.md"].text] == ["same", "last"]
    assert {one.source for one in found.values() if isinstance(one, Unread)} == {f"d/{name}" for name in expected}


def test_sources_that_are_not_read_have_no_digest(folder, collected):
    write(folder, a_md="same", b_md="same", c_md="")
    assert [bool(source.digest) for source in collected("*.md")] == [True, False, False]


def test_a_file_is_read_as_it_is_now(folder, collected):
    write(folder, a_md="before", b_md="gone")
    first, second = collected("*.md")
    write(folder, a_md="after")
    (folder / "b.md").unlink()
    document = first.read()
    assert (document.text, document.digest) == ("after", hashlib.sha256(b"after").hexdigest())
    assert "cannot be opened" in second.read().reason


def test_the_encoding_of_the_spec_and_a_guess(folder, collected):
    write(folder, a_txt="Größe".encode("cp1252"))
    [source] = collected("a.txt")
    assert source.read().text == "Größe"
    assert "guess" in source.read().notes[0]
    [source] = collected("a.txt", 'encoding = "cp1251"')
    assert source.read().text == "GrцЯe"
    [source] = collected("a.txt", 'encoding = "utf-8"')
    assert "is not utf-8" in source.read().reason


def test_rows_of_a_table(folder, collected):
    table = pa.table(
        {
            "id": ["A", "B", "A", "D", "E"],
            "title": ["Fares", "Bags", "again", "two\nlines", "Fares"],
            "body": ["What they are.\n\nMore.", "Free.", "x", "y", "What they are.\n\nMore."],
            "year": [2024, 2023, None, 1, 2024],
            "when": pa.array([0, None, None, None, 0], pa.timestamp("us", "UTC")),
        }
    )
    pa.parquet.write_table(table, folder / "faq.parquet")
    sources = collected("faq.parquet", 'text = ["title", "body"]\nkey = "id"')
    assert names(sources) == [
        "faq.parquet#A",
        "faq.parquet#B",
        "faq.parquet#A (row 3)",
        "faq.parquet#D",
        "faq.parquet#E",
    ]
    fares, bags, again, lines, equal = [source.read() for source in sources]
    assert (fares.title, fares.text) == ("Fares", "Fares\n\nWhat they are.\n\nMore.")
    assert [(block.kind, fares.text[block.begin : block.end]) for block in fares.blocks] == [
        ("heading", "Fares"),
        ("paragraph", "What they are."),
        ("paragraph", "More."),
    ]
    assert fares.metadata == {"id": "A", "year": 2024, "when": "1970-01-01T00:00:00+00:00"}
    assert (bags.metadata, bags.digest) == ({"id": "B", "year": 2023}, sources[1].digest)
    assert again.reason == "has the key of row 1, 'A'"
    assert (lines.title, [block.kind for block in lines.blocks]) == ("", ["paragraph", "paragraph"])
    assert equal.reason == "is equal to faq.parquet#A"
    assert len({source.digest for source in sources}) == 4


def test_rows_without_a_key_and_from_elsewhere(folder, collected):
    (folder / "a.csv").write_text("text,n\nfirst,1\n,2\n007,3\n")
    first, empty, third = collected("a.csv", 'text = ["text"]')
    assert [first.name, empty.read(), third.read().text] == ["a.csv#1", Unread("a.csv#2", "is empty"), "007"]
    with sqlite3.connect(folder / "data.db") as database:
        database.execute("create table pages (id integer, body text)")
        database.execute("insert into pages values (7, 'of the database')")
    database.close()
    [source] = collected("sqlite:///data.db", 'query = "select * from pages"\ntext = ["body"]\nkey = "id"')
    assert (source.name, source.read().text) == ("query#7", "of the database")
    (folder / "prepare.py").write_text("def pages():\n    return [{'body': 'of a function'}]\n")
    [source] = collected("prepare:pages", 'text = ["body"]')
    assert (source.name, source.read().text) == ("prepare:pages#1", "of a function")


def test_columns_that_are_not_there_are_told(folder, collected):
    (folder / "a.csv").write_text("text,n\nfirst,1\n")
    with pytest.raises(SpecError, match=r"no column 'body' in the data; it has text, n"):
        collected("a.csv", 'text = ["body"]')
    with pytest.raises(SpecError, match="no column 'id'"):
        collected("a.csv", 'text = ["text"]\nkey = "id"')
    (folder / "a.csv").write_text("")
    with pytest.raises(DataError, match="is empty"):
        collected("a.csv", 'text = ["text"]')


def test_documents_come_back_as_they_were_read(folder, collected):
    write(folder, a_md="---\nn: 1\n---\n# A\n\n| a |\n|---|\n| [b](c) |\n")
    [source] = collected("a.md")
    document = source.read()
    assert isinstance(document, Document)
    assert document.metadata == {"n": 1}
    assert document.blocks[1].rows[1].text == "b"
    assert document.blocks[1].links == ("c",)


def test_texts_and_blocks_have_a_limit(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_text("- x\n" * 100)
    monkeypatch.setattr(reading, "MOST_BLOCKS", 99)
    assert "has 100 blocks; at most 99" in reading.read_file(tmp_path / "a.md", "a.md").reason
    monkeypatch.setattr(reading, "LARGEST_TEXT", 399)
    assert "has 400 characters or more; at most 399" in reading.read_file(tmp_path / "a.md", "a.md").reason
    monkeypatch.setattr(reading, "LARGEST_TEXT", 99)
    assert "at most 99" in reading.read_file(tmp_path / "a.md", "a.md").reason  # before it is decoded
