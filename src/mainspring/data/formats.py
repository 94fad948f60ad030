"""One reader a file format. Text formats may be compressed: `.csv.gz`, `.jsonl.zst`, …"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from mainspring.data.canonical import check_names
from mainspring.data.parsing import FROM_JSON, FROM_TEXT, FROM_TYPED
from mainspring.errors import DataError
from mainspring.schema import Kind

COMPRESSIONS = (".gz", ".zst", ".bz2")

_BLOCK = 16 * 2**20  # bytes; no row may be longer


def format_of(path: Path) -> str | None:
    """The suffix that tells the format, as ".csv" for `a.csv.gz`; None if it is none of ours."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    suffix = "".join(suffixes[-2:-1] if compressed else suffixes[-1:])
    return suffix if suffix in FORMATS and not (compressed and FORMATS[suffix][1] is FROM_TYPED) else None


def inferred(path: Path) -> tuple[Kind, ...]:
    """What the strings in a file of this format may turn out to be."""
    return FORMATS[format_of(path) or ""][1]


def read_format(path: Path, nested: Collection[str] = ()) -> pa.Table:
    """The rows of one file, its strings not yet parsed. In JSON lines, lists and objects in the columns `nested` become
    their JSON, as text.

    Raises:
        DataError: names the file, and the line where that is known.
    """
    reader = FORMATS[format_of(path) or ""][0]
    try:
        return _read_json_lines(path, nested) if reader is _read_json_lines else reader(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read: {_first_line(error)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _read_csv(path: Path) -> pa.Table:
    return _read_delimited(path, ",")


def _read_tsv(path: Path) -> pa.Table:
    return _read_delimited(path, "\t")


def _read_delimited(path: Path, delimiter: str) -> pa.Table:
    names = _header(path, delimiter)
    check_names(names, str(path))
    # Every column is read as the text that was written ("001"), in the form that parsing works on.
    text = pa.dictionary(pa.int32(), pa.string())
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, text), strings_can_be_null=False)
    blocks = pa.csv.ReadOptions(block_size=_BLOCK)
    options = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        with _stream(path) as stream:
            return pa.csv.read_csv(stream, blocks, options, convert)
    except pa.ArrowInvalid as error:
        if "invalid UTF8" in str(error):
            _raise_encoding(path)
        if "Expected" in str(error):
            _raise_ragged(path, delimiter)
        raise


def _header(path: Path, delimiter: str) -> list[str]:
    for _, record in _records(path, delimiter):
        return record
    raise DataError(f"{path} is empty; its first line must name the columns")


def _raise_encoding(path: Path) -> None:
    with _stream(path) as stream:
        for number, line in enumerate(io.BufferedReader(stream), start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: the byte 0x{line[error.start]:02x} is not UTF-8; save the file as UTF-8"
                ) from None


def _raise_ragged(path: Path, delimiter: str) -> None:
    records = _records(path, delimiter)
    expected = len(next(records)[1])
    for line, record in records:
        if len(record) != expected:
            raise DataError(
                f"{path}, line {line}: expected {expected} values, as in the first line; found {len(record)}"
            )


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not an empty line, and the line on which it ends. Slow, but it knows the lines."""
    with _stream(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        records = csv.reader(text, delimiter=delimiter)
        try:
            yield from ((records.line_num, record) for record in records if record)
        except UnicodeDecodeError:
            _raise_encoding(path)
        except csv.Error as error:
            raise DataError(f"{path}, line {records.line_num}: {error}") from None


def _read_json_lines(path: Path, nested: Collection[str] = ()) -> pa.Table:
    try:
        with _nested_as_text(path, nested) if nested else _stream(path) as stream:
            table = pa.json.read_json(stream, pa.json.ReadOptions(block_size=_BLOCK))
    except pa.ArrowInvalid as error:
        _raise_json(path)
        # Arrow counts rows from the beginning of a block, which nobody can look up.
        raise DataError(f"{path} cannot be read: {_first_line(error).rsplit(' in row ', 1)[0]}") from None
    for field in table.schema:
        if pa.types.is_nested(field.type):
            raise DataError(
                f"{path}: column {field.name!r} holds lists or objects; give each of their values a column, or write "
                "them as text (JSON in a string)"
            )
    return table


def _nested_as_text(path: Path, names: Collection[str]) -> pa.NativeFile:
    """The lines with the lists and objects of the columns `names` as text: Arrow would give all objects of a column the
    same keys. Where a column has any, its other values but strings are text, too.
    """
    with _stream(path) as stream:
        lines = [line for line in stream.read().removeprefix(codecs.BOM_UTF8).splitlines() if line.strip()]
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    try:
        rows = [decoder.decode(line) for line in lines]
    except msgspec.DecodeError:
        _raise_json(path)
        raise DataError(f"{path} cannot be read: expected one JSON object a line") from None
    for name in names:
        if any(bytes(row.get(name, b""))[:1] in (b"{", b"[") for row in rows):
            for row in rows:
                value = bytes(row.get(name, b"null"))
                if value != b"null" and not value.startswith(b'"'):
                    row[name] = msgspec.Raw(msgspec.json.encode(value.decode()))
    return pa.BufferReader(b"\n".join(map(msgspec.json.encode, rows)))


def _raise_json(path: Path) -> None:
    empty = True
    with _stream(path) as stream:
        for number, line in enumerate(io.BufferedReader(stream), start=1):
            if not (line := line.strip()):
                continue
            empty = False
            try:
                value = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8; save the file as UTF-8") from None
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON: {error}; expected one object a line") from None
            if not isinstance(value, dict):
                raise DataError(f"{path}, line {number}: expected a JSON object; found {line[:40].decode()}")
    if empty:
        raise DataError(f"{path} is empty; expected one JSON object a line")


def _read_parquet(path: Path) -> pa.Table:
    with pa.parquet.ParquetFile(path) as file:
        return file.read()


def _read_arrow(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()


def _stream(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="detect")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


FORMATS: dict[str, tuple[Callable[[Path], pa.Table], tuple[Kind, ...]]] = {
    ".csv": (_read_csv, FROM_TEXT),
    ".tsv": (_read_tsv, FROM_TEXT),
    ".jsonl": (_read_json_lines, FROM_JSON),
    ".ndjson": (_read_json_lines, FROM_JSON),
    ".parquet": (_read_parquet, FROM_TYPED),
    ".pq": (_read_parquet, FROM_TYPED),
    ".arrow": (_read_arrow, FROM_TYPED),
    ".feather": (_read_arrow, FROM_TYPED),
    ".ipc": (_read_arrow, FROM_TYPED),
}
