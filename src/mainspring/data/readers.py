"""Where a model's data is, and how it becomes one typed Arrow table.

`data` may be a file, a glob or a folder of files; the address of a SQL database, with a `query`; or `module:function`.
`${NAME}` in it is filled from the environment, so that no password stands in `mainspring.toml`.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
from msgspec.json import encode as json_of

from mainspring.data import databases, functions
from mainspring.data.canonical import canonical
from mainspring.data.formats import FORMATS, format_of, inferred, read_format
from mainspring.data.parsing import FROM_JSON, FROM_TEXT, FROM_TYPED, MISSING, parse_text
from mainspring.errors import DataError, SpecError
from mainspring.functions import is_function
from mainspring.schema import Kind
from mainspring.spec import Project

Mistake: TypeAlias = Callable[[str], SpecError]

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_KNOWN = f"{', '.join(FORMATS)}; the text formats also compressed, as .csv.gz"
_DATABASE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def read(project: Project, model: str, texts: Iterable[str] = (), nested: Collection[str] = ()) -> pa.Table:
    """The data of `model` as a table of canonical types (see `canonical`), all rows and columns of it.

    Strings in the columns `texts` are what they are, unless the spec says otherwise; `nested` as in `read_files`.

    Raises:
        SpecError: `data` or `query` names something that is not there.
        DataError: what is there cannot be read.
    """
    spec = project.of_data(model)
    kinds: dict[str, Kind] = {name: column.kind for name, column in spec.columns.items() if column.kind}
    if spec.time:
        kinds.setdefault(spec.time, "time")
    kinds = {**dict.fromkeys(texts, "text"), **kinds}
    return read_named(project, model, spec.data, spec.query, kinds, spec.missing, nested)


def read_named(
    project: Project,
    model: str,
    named: str,
    query: str | None,
    kinds: Mapping[str, Kind],
    missing: Collection[str] | None = None,
    nested: Collection[str] = (),
    *,
    key: str = "data",
) -> pa.Table:
    """As `read`, of what `key` and `query` of `model` name; the rest as in `read_files`."""
    mistake = partial(project.mistake, ("models", model, key))
    data, secrets = _fill(named, mistake)
    if _DATABASE.match(data):
        if query is None:
            raise project.mistake(("models", model), "`data` is a database, so the key 'query' is needed: a SELECT")
        table = databases.read_query(data, query, project.folder, mistake, secrets)
        return _typed(table, "the query's result", FROM_JSON, kinds, missing)
    if query is not None:
        raise project.mistake(
            ("models", model, "query"), f"goes with a database, as 'sqlite:///data.db'; found data = {named!r}"
        )
    if gives_rows(project.folder, data):
        given = functions.call(data, project.folder, mistake)
        return _typed(_json_texts(given, nested), data, FROM_TYPED, kinds, missing)
    return read_files(named_files(project.folder, data, mistake), kinds, missing, nested)


def gives_rows(folder: Path, data: str) -> bool:
    """Whether `data` is no file, but a database or a function."""
    return bool(_DATABASE.match(data) or (is_function(data) and not (folder / data).exists()))


def read_files(
    paths: Sequence[Path],
    kinds: Mapping[str, Kind] | None = None,
    missing: Collection[str] | None = None,
    nested: Collection[str] = (),
) -> pa.Table:
    """The rows of all `paths`, one file after the other, as one typed table.

    Args:
        paths: files of known formats (see `formats`), all with the same columns in any order.
        kinds: what is known of columns, so that nothing about them is guessed: the spec's `columns`, or for rows to
            predict, each feature's kind.
        missing: the marks for a missing value in place of the usual ones.
        nested: columns that may hold lists and objects, which become their JSON, as text.

    Raises:
        DataError: names the file, and the line or columns that are wrong.
    """
    parts = []
    # Files of one format are joined before their text is parsed: a column is text in all of them or in none.
    for infer, same in groupby(sorted(paths, key=lambda path: -len(inferred(path))), key=inferred):
        files = [(path, _json_texts(read_format(path, nested), nested)) for path in same]
        joined = _concatenate(files)
        parts.append((files[0][0], _typed(joined, str(files[0][0]), infer, kinds or {}, missing)))
    return _concatenate(parts).combine_chunks()


def _typed(
    table: pa.Table, source: str, infer: Collection[Kind], kinds: Mapping[str, Kind], missing: Collection[str] | None
) -> pa.Table:
    if missing is None:
        missing = MISSING if infer is FROM_TEXT else ()
    if infer is not FROM_TEXT:  # whose dictionaries of strings are what parsing works on
        table = canonical(table, source)
    return canonical(parse_text(table, infer, kinds, missing), source)


def _json_texts(table: pa.Table, nested: Collection[str]) -> pa.Table:
    """The lists and structs of the columns `nested` as JSON; a field of a struct that has no value is null in it."""
    for place, name in enumerate(table.column_names):
        if name in nested and pa.types.is_nested(table[name].type):
            texts = [None if value is None else json_of(value).decode() for value in table[name].to_pylist()]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
    return table


def _concatenate(files: Sequence[tuple[Path, pa.Table]]) -> pa.Table:
    """One table of many: the columns of the first, in its order."""
    first_path, first = files[0]
    for path, table in files[1:]:
        missing, extra = (
            [repr(name) for name in one.column_names if name not in other.column_names]
            for one, other in ((first, table), (table, first))
        )
        if missing or extra:
            differences = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(extra)} added"] * bool(
                extra
            )
            raise DataError(
                f"{path}: its columns are not those of {first_path}: {'; '.join(differences)}. "
                "Files that are read together need the same columns"
            )
        for name in first.column_names:
            types = (first.schema.field(name).type, table.schema.field(name).type)
            try:
                pa.unify_schemas([pa.schema([("", type_)]) for type_ in types], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise DataError(
                    f"{path}: column {name!r} is {types[1]}, but {types[0]} in {first_path}. "
                    f'Write both alike, or declare it: columns.{name} = "category"'
                ) from None
    tables = [table.select(first.column_names) for _, table in files]
    return pa.concat_tables(tables, promote_options="permissive")


def _fill(data: str, mistake: Mistake) -> tuple[str, list[str]]:
    """`data` with `${NAME}` filled from the environment, and the values that were filled in."""
    names = _VARIABLE.findall(data)
    for name in names:
        if name not in os.environ:
            raise mistake(f"{data!r} needs the environment variable {name}, which is not set")
    return _VARIABLE.sub(lambda match: os.environ[match[1]], data), [os.environ[name] for name in names]


def named_files(folder: Path, data: str, mistake: Mistake) -> list[Path]:
    """The files of tables that `data` names, in order; SpecError if there is none, or one that is no table."""
    path = folder / data
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = [file for file in path.iterdir() if file.is_file() and format_of(file)]
    else:
        files = [file for name in glob.glob(data, root_dir=folder, recursive=True) if (file := folder / name).is_file()]
    if not files:
        raise mistake(_nothing_at(path, data))
    for file in files:
        if not format_of(file):
            raise mistake(f"{file.name!r} is of no known format; known: {_KNOWN}")
    return sorted(files)


def _nothing_at(path: Path, data: str) -> str:
    """Why there is no file, and what was perhaps meant."""
    if path.is_dir():
        return f"the folder {data!r} holds no file of a known format; known: {_KNOWN}"
    if glob.has_magic(data):
        return f"no file matches {data!r}"
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {data!r}, nor its folder {folder}"
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    close = difflib.get_close_matches(path.name, names, n=3)
    if close:
        return f"there is no file {data!r}; did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:10]) + ", …" * (len(names) > 10)
    return f"there is no file {data!r}; in {folder} there is {shown or 'nothing'}"
