from __future__ import annotations

import gzip
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from mainspring.data.canonical import TIME
from mainspring.data.readers import read, read_files
from mainspring.errors import DataError, SpecError

CSV = 'code,n,when,note,y\n001,1,2024-01-01,"two\nlines",true\n7,,2024-01-02 10:00,NA,False\n'
EXPECTED = {
    "code": ["001", "7"],
    "n": [1, None],
    "when": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, 10, tzinfo=UTC)],
    "note": ["two\nlines", None],
    "y": [True, False],
}


def test_csv(project, tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    table = read(project("a.csv"), "m")
    assert table.to_pydict() == EXPECTED
    assert table.schema.types == [pa.string(), pa.int64(), TIME, pa.string(), pa.bool_()]


def test_csv_with_a_byte_order_mark_windows_lines_and_blank_lines(project, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa,y\r\n1,2\r\n\r\n3,4\r\n")
    assert read(project("a.csv"), "m").to_pydict() == {"a": [1, 3], "y": [2, 4]}


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2"])
def test_compressed_text(project, tmp_path, suffix):
    with pa.output_stream(str(tmp_path / f"a.csv{suffix}"), compression="detect") as stream:
        stream.write(CSV.encode())
    assert read(project(f"a.csv{suffix}"), "m").to_pydict() == EXPECTED


def test_tsv(project, tmp_path):
    (tmp_path / "a.tsv").write_text("a\ty\n1,5\tx\n")
    assert read(project("a.tsv"), "m").to_pydict() == {"a": ["1,5"], "y": ["x"]}


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz"])
def test_json_lines(project, tmp_path, name):
    lines = (
        '{"code": "001", "n": 1, "when": "2024-01-01T00:00:00.5Z", "b": true, "x": 1}\n\n'
        '{"code": "7", "n": null, "when": "2024-01-02", "x": 2.5}\n'
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith("gz") else lines.encode())
    assert read(project(name), "m").to_pydict() == {
        "code": ["001", "7"],
        "n": [1, None],
        "when": [datetime(2024, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
        "b": [True, None],
        "x": [1.0, 2.5],
    }


def typed_table() -> pa.Table:
    return pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "huge": pa.array([2**64 - 1, 0], pa.uint64()),
            "single": pa.array([0.5, float("nan")], pa.float32()),
            "money": pa.array(["1.50", None]).cast(pa.decimal128(10, 2)),
            "label": pa.array(["a", ""]).dictionary_encode(),
            "large": pa.array(["001", None], pa.large_string()),
            "day": pa.array([1, None], pa.date32()),
            "nano": pa.array([1_500, None], pa.timestamp("ns")),
            "zoned": pa.array([0, None], pa.timestamp("ms", "Europe/Berlin")),
            "nothing": pa.nulls(2),
            "list": pa.array([[1], None]),
        }
    )


CANONICAL = {
    "small": (pa.int64(), [1, None]),
    "huge": (pa.float64(), [2.0**64, 0.0]),
    "single": (pa.float64(), [0.5, None]),
    "money": (pa.float64(), [1.5, None]),
    "label": (pa.string(), ["a", None]),
    "large": (pa.string(), ["001", None]),
    "day": (TIME, [datetime(1970, 1, 2, tzinfo=UTC), None]),
    "nano": (TIME, [datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None]),
    "zoned": (TIME, [datetime(1970, 1, 1, tzinfo=UTC), None]),
    "nothing": (pa.string(), [None, None]),
    "list": (pa.list_(pa.int64()), [[1], None]),
}


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.feather", "a.arrow", "a.ipc"])
def test_typed_formats_keep_their_types(project, tmp_path, name):
    path = tmp_path / name
    if name.endswith((".parquet", ".pq")):
        pa.parquet.write_table(typed_table(), path)
    elif name.endswith(".feather"):
        pa.feather.write_feather(typed_table(), str(path), compression="zstd")
    else:
        new = pa.ipc.new_file if name.endswith(".arrow") else pa.ipc.new_stream
        with new(str(path), typed_table().schema) as writer:
            writer.write_table(typed_table())
    table = read(project(name), "m")
    assert {key: (table[key].type, table[key].to_pylist()) for key in table.column_names} == CANONICAL


def test_strings_of_parquet_are_not_guessed_but_can_be_declared(project, tmp_path):
    pa.parquet.write_table(pa.table({"a": ["1", "?"], "b": ["1", "2"], "y": ["NA", ""]}), tmp_path / "a.parquet")
    assert read(project("a.parquet"), "m").to_pydict() == {"a": ["1", "?"], "b": ["1", "2"], "y": ["NA", None]}
    declared = project("a.parquet", more='missing = ["?"]\ncolumns = { a = "number" }')
    assert read(declared, "m").to_pydict() == {"a": [1, None], "b": ["1", "2"], "y": ["NA", None]}


def test_a_glob_and_a_folder_are_read_in_order_of_name_with_columns_in_any_order(project, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "b.csv").write_text("y,a\n2,002\n")
    (folder / "a.csv").write_text("a,y\n1,1\n")
    (folder / "notes.txt").write_text("nothing")
    for data in ("parts/*.csv", "parts", "**/*.csv", str(folder / "*.csv")):
        table = read(project(data), "m")
        assert table.to_pydict() == {"a": ["1", "002"], "y": [1, 2]}, data  # "002" makes the column text in both
    pa.parquet.write_table(pa.table({"a": ["x"], "y": [1.5]}), folder / "c.parquet")
    assert read(project("parts"), "m").to_pydict() == {"a": ["1", "002", "x"], "y": [1, 2, 1.5]}


def test_files_that_do_not_fit_together_are_named(project, tmp_path):
    (tmp_path / "1.csv").write_text("a,b,y\n1,2,3\n")
    (tmp_path / "2.csv").write_text("a,c,y\n1,2,3\n")
    with pytest.raises(DataError, match=r"2\.csv: its columns are not those of .*1\.csv: 'b' missing; 'c' added"):
        read(project("*.csv"), "m")
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    pa.parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: column 'a' is string, but int64 in .*1\.parquet"):
        read(project("*.parquet"), "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv is empty"),
        (b"\n\n", r"a\.csv is empty"),
        (b"a,y\n", r"a\.csv: there are no rows"),
        (b"a,y,a\n1,2,3\n", r"a\.csv: more than one column is called 'a'"),
        (b"a,,y\n1,2,3\n", r"a\.csv: column 2 has no name"),
        (b'a,y\n"1\n1",2\n1,2,3\n', r"a\.csv, line 4: expected 2 values, as in the first line; found 3"),
        (b"a,y\n1,2\n1\n", r"a\.csv, line 3: expected 2 values, as in the first line; found 1"),
        (b"a,y\n1,2\ncaf\xe9,3\n", r"a\.csv, line 3: the byte 0xe9 is not UTF-8"),
        (b"caf\xe9,y\n1,2\n", r"a\.csv, line 1: the byte 0xe9 is not UTF-8"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named_with_its_line(project, tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(project("a.csv"), "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"a\.jsonl is empty"),
        ('{"a": 1}\n{"a": }\n', r"a\.jsonl, line 2: not JSON"),
        ('{"a": 1}\n[1]\n', r"a\.jsonl, line 2: expected a JSON object; found \[1\]"),
        ('{"a": 1}\n{"a": "x"}\n', r"a\.jsonl cannot be read: .*/a.* changed from number to string$"),
        ('{"a": {"b": 1}}\n', r"a\.jsonl: column 'a' holds lists or objects"),
    ],
)
def test_what_is_wrong_in_json_lines_is_named(project, tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read(project("a.jsonl"), "m")


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.csv.gz"])
def test_a_damaged_file_is_named(project, tmp_path, name):
    (tmp_path / name).write_bytes(b"not what it says it is")
    with pytest.raises(DataError, match=name):
        read(project(name), "m")


def test_a_file_that_is_not_there(project, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "customers.csv").write_text("a\n1\n")
    line = r"mainspring\.toml, line 5: models\.m\.data: "
    with pytest.raises(
        SpecError, match=line + r"there is no file 'data/customer\.csv'; did you mean 'customers\.csv'\?"
    ):
        read(project("data/customer.csv"), "m")
    with pytest.raises(SpecError, match=line + "there is no file .*; in .*data there is customers.csv"):
        read(project("data/x.parquet"), "m")
    with pytest.raises(SpecError, match=line + "there is no file 'date/x.csv', nor its folder"):
        read(project("date/x.csv"), "m")
    with pytest.raises(SpecError, match=line + r"no file matches 'data/\*\.tsv'"):
        read(project("data/*.tsv"), "m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match=line + "the folder 'empty' holds no file of a known format; known: .csv"):
        read(project("empty"), "m")
    (tmp_path / "data" / "a.xlsx").write_text("")
    with pytest.raises(SpecError, match=line + r"'a\.xlsx' is of no known format; known: \.csv"):
        read(project("data/a.xlsx"), "m")


def test_variables_of_the_environment_are_filled_in(project, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(CSV)
    monkeypatch.setenv("PART", "a")
    assert read(project("${PART}.csv"), "m").to_pydict() == EXPECTED
    monkeypatch.delenv("PART")
    with pytest.raises(SpecError, match=r"line 5.*'\$\{PART\}\.csv' needs the environment variable PART"):
        read(project("${PART}.csv"), "m")


def test_rows_to_predict_are_read_as_the_kinds_that_are_known(tmp_path):
    (tmp_path / "a.csv").write_text("code,n\n1,001\n")
    table = read_files([tmp_path / "a.csv"], {"code": "category", "n": "number"})
    assert table.to_pydict() == {"code": ["1"], "n": [1]}


def test_a_function_of_the_project(project, tmp_path):
    (tmp_path / "helper_of_prepare.py").write_text("ROWS = [{'a': 1, 'y': 'x'}, {'y': 'z', 'b': True}]\n")
    (tmp_path / "prepare.py").write_text(
        "import pyarrow as pa\nfrom helper_of_prepare import ROWS\n"
        "def rows(): return ROWS\n"
        "def table(): return pa.table({'a': pa.array([1, None], pa.int16())})\n"
        "def stream(): return table().to_reader()\n"
        "def number(): return 3\n"
        "def fail(): return 1 / 0\n"
        "def none(): return []\n"
    )
    path = list(sys.path)
    assert read(project("prepare:rows"), "m").to_pydict() == {"a": [1, None], "y": ["x", "z"], "b": [None, True]}
    assert read(project("prepare:table"), "m").schema.types == [pa.int64()]
    assert read(project("prepare:stream"), "m").to_pydict() == {"a": [1, None]}
    assert sys.path == path
    assert not {"prepare", "helper_of_prepare"} & set(sys.modules)
    with pytest.raises(DataError, match="prepare:number gave int; expected a pandas or polars DataFrame"):
        read(project("prepare:number"), "m")
    with pytest.raises(DataError, match="prepare:fail raised ZeroDivisionError: division by zero"):
        read(project("prepare:fail"), "m")
    with pytest.raises(DataError, match="prepare:none: there are no columns"):
        read(project("prepare:none"), "m")
    with pytest.raises(SpecError, match=r"line 5.*no function 'row' in .*prepare\.py; did you mean 'rows'\?"):
        read(project("prepare:row"), "m")
    with pytest.raises(SpecError, match=r"line 5.*there is no module 'prepar'"):
        read(project("prepar:rows"), "m")
    assert sys.path == path


def test_two_projects_may_have_modules_of_one_name(project, tmp_path):
    for number in (1, 2):
        (tmp_path / "same.py").write_text(f"def rows(): return [{{'a': {'1' * number}}}]\n")
        assert read(project("same:rows"), "m")["a"].to_pylist() == [int("1" * number)]


def test_what_is_installed_in_the_project_stays_imported(project, tmp_path, monkeypatch):
    library = tmp_path / ".venv" / "site-packages"
    library.mkdir(parents=True)
    (library / "library_of_project.py").write_text("")
    (tmp_path / "prepare.py").write_text("import library_of_project\ndef rows(): return [{'a': 1}]\n")
    monkeypatch.syspath_prepend(library)
    read(project("prepare:rows"), "m")
    assert "prepare" not in sys.modules
    assert sys.modules.pop("library_of_project")


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customer (code TEXT, n INTEGER, x REAL, at TEXT, b BLOB, y TEXT)")
    rows = [("001", 1, 0.5, "2024-01-01 10:00:00", b"x", "a:b"), ("7", None, 2, "2024-01-02", None, "50%")]
    connection.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.mark.usefixtures("sqlite")
def test_sqlite(project):
    query = "SELECT code, n, x, at, b, y, y LIKE '%:b' AS found FROM customer"
    table = read(project("sqlite:///shop.db", more=f'query = "{query}"'), "m")
    assert table.drop_columns(["b"]).to_pydict() == {
        "code": ["001", "7"],
        "n": [1, None],
        "x": [0.5, 2.0],
        "at": [datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
        "y": ["a:b", "50%"],
        "found": [1, 0],
    }
    assert table["n"].type == pa.int64()
    assert table["b"].type == pa.binary()


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM custome", "the database sqlite said: no such table: custome"),
        ("SELECT * FROM customer WHERE n > 5", "the query gives no rows"),
        ("DELETE FROM customer", "the query gives no rows: expected a SELECT"),
        ("SELECT n, n FROM customer", "more than one column is called 'n'"),
        ("SELECT 1 AS a UNION ALL SELECT 'x'", "mixes types in column 'a': int and str; CAST it"),
    ],
)
def test_what_is_wrong_with_a_query(project, query, message):
    with pytest.raises(DataError, match=message):
        read(project("sqlite:///shop.db", more=f'query = "{query}"'), "m")


def test_a_database_needs_a_query_and_a_query_a_database(project, tmp_path):
    with pytest.raises(SpecError, match=r"line 3: models\.m: .*the key 'query' is needed"):
        read(project("sqlite:///shop.db"), "m")
    with pytest.raises(SpecError, match=r"line 7: models\.m\.query: goes with a database"):
        read(project("a.csv", more='query = "SELECT 1"'), "m")
    with pytest.raises(SpecError, match=r"line 5.*there is no SQLite database .*shop.db"):
        read(project("sqlite:///shop.db", more='query = "SELECT 1"'), "m")
    assert not (tmp_path / "shop.db").exists()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:s3cr%40t@127.0.0.1:1/db",
        "postgresql://user:${SECRET}@127.0.0.1:1/db",
        "postgresql://127.0.0.1:1/db?user=u&password=s3cr%40t",
        "postgresql://user:${SECRET}@127.0.0.1:port/db",
        "nosuch://user:s3cr@t@127.0.0.1:1/db",
        "sqlite:///${SECRET}/x.db",
    ],
)
def test_secrets_are_not_shown(project, monkeypatch, address):
    monkeypatch.setenv("SECRET", "s3cr@t")
    with pytest.raises((DataError, SpecError)) as caught:
        read(project(address, more='query = "SELECT 1"'), "m")
    assert "s3cr" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # no traceback shows it either


def test_a_query_that_shows_the_secret_does_not_show_it(project, tmp_path, monkeypatch):
    sqlite3.connect(tmp_path / "hush.db").close()
    monkeypatch.setenv("SECRET", "hush")
    with pytest.raises(DataError, match=r"no such table: \*\*\*"):
        read(project("sqlite:///${SECRET}.db", more='query = "SELECT * FROM hush"'), "m")
