"""A real PostgreSQL server: `export MAINSPRING_TEST_POSTGRESQL="$(tests/postgresql.sh start)"`."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import sqlalchemy

from mainspring.data.readers import read
from mainspring.errors import DataError

pytestmark = pytest.mark.postgresql
VARIABLE = "MAINSPRING_TEST_POSTGRESQL"


@pytest.fixture(scope="module")
def server() -> str:
    if VARIABLE not in os.environ:
        pytest.fail(f'start a server: export {VARIABLE}="$(tests/postgresql.sh start)"')
    return os.environ[VARIABLE]


def rows_of(project, query: str) -> pa.Table:
    return read(project("${MAINSPRING_TEST_POSTGRESQL}", more=f"query = '''{query}'''"), "m")


@pytest.mark.usefixtures("server")
def test_every_type_that_a_model_takes(project):
    table = rows_of(
        project,
        """SELECT * FROM (VALUES
            (1, 1.5::numeric, 0.5::real, true, '001'::text, DATE '2024-01-01',
             TIMESTAMP '2024-01-01 10:00', TIMESTAMPTZ '2024-01-01 10:00+02', '10.0.0.1'::inet,
             'c56a4180-65aa-42ec-a945-5fd21dec0538'::uuid, '{"a": 1}'::jsonb, ARRAY[1]),
            (NULL, 2, NULL, NULL, '50%', NULL, NULL, NULL, NULL, NULL, NULL, NULL)
        ) AS t (n, money, x, b, code, day, at, zoned, address, id, document, list)""",
    )
    assert table.drop_columns(["document", "list"]).to_pydict() == {
        "n": [1, None],
        "money": [1.5, 2.0],
        "x": [0.5, None],
        "b": [True, None],
        "code": ["001", "50%"],
        "day": [datetime(2024, 1, 1, tzinfo=UTC), None],
        "at": [datetime(2024, 1, 1, 10, tzinfo=UTC), None],
        "zoned": [datetime(2024, 1, 1, 8, tzinfo=UTC), None],
        "address": ["10.0.0.1", None],
        "id": ["c56a4180-65aa-42ec-a945-5fd21dec0538", None],
    }
    assert table["n"].type == pa.int64()


@pytest.mark.usefixtures("server")
def test_more_rows_than_one_part_keep_their_types(project):
    # The first part holds nothing but nulls in `late`, the second one whole numbers in `x`.
    table = rows_of(
        project,
        """SELECT i, CASE WHEN i > 60000 THEN i END AS late, CASE WHEN i > 60000 THEN 1 ELSE 0.5 END AS x
        FROM generate_series(1, 70000) AS i""",
    )
    assert table.num_rows == 70_000
    assert table.schema.types == [pa.int64(), pa.int64(), pa.float64()]
    assert table["late"].null_count == 60_000


@pytest.mark.usefixtures("server")
def test_what_is_wrong_is_said_in_the_words_of_the_database(project):
    with pytest.raises(DataError, match='the database postgresql said: relation "custome" does not exist'):
        rows_of(project, "SELECT * FROM custome")


def test_a_wrong_password_is_not_shown(project, server, monkeypatch):
    wrong = sqlalchemy.engine.make_url(server).set(password="wr0ng")
    monkeypatch.setenv(VARIABLE, wrong.render_as_string(hide_password=False))
    with pytest.raises(DataError, match="password authentication failed") as caught:
        rows_of(project, "SELECT 1")
    assert "wr0ng" not in str(caught.value)
