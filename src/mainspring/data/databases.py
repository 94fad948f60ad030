"""Rows from a SQL database, streamed, typed by the values that come."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pyarrow as pa

from mainspring.data.canonical import check_names
from mainspring.errors import DataError, MissingExtraError, SpecError, require

_ROWS = 50_000  # held as Python objects at a time


def read_query(
    address: str, query: str, folder: Path, mistake: Callable[[str], SpecError], secrets: Sequence[str] = ()
) -> pa.Table:
    """The rows that `query` gives.

    Args:
        address: `sqlite:///data.db` (relative to `folder`), `postgresql://user:password@host/database`, or another
            that SQLAlchemy knows.
        query: one SQL statement, sent as it is.
        mistake: makes the error for an address that is wrong.
        secrets: texts that no error may show, besides the password in `address`.

    Raises:
        SpecError: there is no such database.
        DataError: what the database said, without secrets.
    """
    sqlalchemy = require("sqlalchemy", "sql")
    try:
        url = sqlalchemy.engine.make_url(address)
        secrets = [*secrets, *_secrets(url)]
        url = _resolve(url, folder, mistake, secrets)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # Neither the address nor what SQLAlchemy says of it is shown: both may hold a password.
        raise mistake(
            "the database's address cannot be understood; expected one such as 'sqlite:///data.db' or "
            "'postgresql://user:${PASSWORD}@host/database' (special characters in a password are written as %40)"
        ) from None
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"reading {url.get_backend_name()} needs the package {error.name!r}, which is not installed: "
            "pip install 'mainspring[sql]'"
        ) from None
    try:
        with engine.connect() as connection:
            # Without parameters, a "%" or a ":" in the query means itself.
            connection = connection.execution_options(stream_results=True, yield_per=_ROWS, no_parameters=True)
            result = connection.exec_driver_sql(query)
            if not result.returns_rows:
                raise DataError("the query gives no rows: expected a SELECT")
            names = list(result.keys())
            check_names(names, "the query's result")
            parts = [_table(names, rows) for rows in result.partitions(_ROWS)]
    except sqlalchemy.exc.SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise DataError(_redact(f"the database {url.get_backend_name()} said: {said}", secrets)) from None
    finally:
        engine.dispose()
    if not parts:
        raise DataError("the query gives no rows")
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the query's result mixes types in a column: {error}; CAST it in the query") from None


def _resolve(url: Any, folder: Path, mistake: Callable[[str], SpecError], secrets: Sequence[str]) -> Any:
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and not str(url.database).startswith("file:"):
        path = folder / (url.database or "")
        if not path.is_file():  # SQLite would make an empty database
            raise mistake(_redact(f"there is no SQLite database {path}", secrets))
        return url.set(database=str(path))
    return url


def _secrets(url: Any) -> list[str]:
    """Every text in an address that may be a password."""
    arguments = [value for values in url.normalized_query.values() for value in values]
    return [str(secret) for secret in (url.password, *arguments) if secret]


def _redact(message: str, secrets: Sequence[str]) -> str:
    forms = {form for secret in secrets for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))}
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True) if form)
    return re.sub(pattern, "***", message) if pattern else message


def _table(names: list[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([_column(name, values) for name, values in zip(names, columns, strict=True)], names=names)


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    types = set(map(type, values)) - {type(None)}
    if Decimal in types and types <= {Decimal, float, int}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if types == {date, datetime}:
        return pa.array([_moment(value) for value in values])
    if types == {UUID}:
        return _as_text(values)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        if len(types) == 1:  # a type of the database's own, as an IP address: what it looks like is what it is
            return _as_text(values)
        found = " and ".join(sorted(type_.__name__ for type_ in types))
        raise DataError(f"the query's result mixes types in column {name!r}: {found}; CAST it in the query") from None


def _moment(value: date | None) -> datetime | None:
    return value if value is None or isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _as_text(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())
