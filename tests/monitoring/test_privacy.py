import re
import subprocess
import sys

import numpy as np
import pytest

from mainspring.errors import RegistryError
from mainspring.monitoring.privacy import Private, conceal, concealed_schema
from mainspring.schema import MISSING_TIME

from .logged import SCHEMA, make_project

HASH_ONE = """
import sys
from pathlib import Path
from mainspring.monitoring.privacy import Private
print(Private(Path(sys.argv[1]), {}).hash("Ada"))
"""
COLUMNS = {
    "distance": np.array([1.5, np.nan, 1.5, -0.0, 0.0]),
    "carrier": np.array(["UA", "", "AA", "UA", "x"], object),
    "departs_at": np.array([5, MISSING_TIME, 5, 6, 7]),
}


def test_dropped_columns_vanish_and_hashed_ones_can_be_compared(tmp_path):
    private = Private(tmp_path, {"distance": "hash", "departs_at": "hash", "carrier": "drop", "absent": "drop"})
    found = conceal(COLUMNS, private)
    assert set(found) == {"distance", "departs_at"}
    distance = found["distance"].tolist()
    assert distance[0] == distance[2] != distance[3] == distance[4]
    assert distance[1] == ""
    assert all(re.fullmatch("[0-9a-f]{16}", text) for text in distance if text)
    assert found["departs_at"][0] == found["departs_at"][2] != found["departs_at"][3]
    assert found["departs_at"][1] == ""


def test_what_is_not_private_stays_and_needs_no_secret(tmp_path):
    assert conceal(COLUMNS, Private(tmp_path, {})) is COLUMNS
    assert conceal(COLUMNS, Private(tmp_path, {"carrier": "drop"}))["distance"] is COLUMNS["distance"]
    assert not list(tmp_path.iterdir())


def test_long_texts_are_hashed_and_not_remembered(tmp_path):
    private = Private(tmp_path, {"prompt": "hash"})
    text = "long " * 1000
    [first] = conceal({"prompt": np.array([text], object)}, private)["prompt"]
    assert first == private.hash(text) != private.hash(text + "!")
    assert not private._hashes


def test_the_schema_says_what_the_columns_became(tmp_path):
    private = Private(tmp_path, {"distance": "hash", "carrier": "hash", "night": "drop"})
    found = concealed_schema(SCHEMA, private)
    assert [column.name for column in found.features] == ["distance", "carrier", "departs_at"]
    assert found.feature("distance").kind == found.feature("carrier").kind == "category"
    assert found.feature("carrier").levels[0] == conceal(COLUMNS, private)["carrier"][0]
    assert found.target == SCHEMA.target


def test_the_secret_is_made_once_and_for_the_owner_only(tmp_path):
    state = tmp_path / "state"
    first = Private(state, {}).hash("Ada")
    assert Private(state, {}).hash("Ada") == first
    assert Private(tmp_path / "other", {}).hash("Ada") != first
    assert (state / "log-secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state.iterdir()] == ["log-secret"]


def test_workers_that_start_at_once_agree(tmp_path):
    children = [subprocess.Popen([sys.executable, "-c", HASH_ONE, tmp_path], stdout=subprocess.PIPE) for _ in range(3)]
    assert len({child.communicate()[0] for child in children}) == 1
    assert not any(child.returncode for child in children)


def test_a_damaged_secret_is_told(tmp_path):
    (tmp_path / "log-secret").write_text("abc")
    with pytest.raises(RegistryError, match="log-secret is damaged"):
        Private(tmp_path, {}).hash("Ada")


def test_the_rules_are_the_specs(tmp_path):
    columns = (
        '[models.delay.columns]\ncarrier = { private = "hash" }\nnight = "boolean"\ndistance = { private = "drop" }'
    )
    project = make_project(tmp_path, columns=columns)
    assert Private.of(project, "delay").rules == {"carrier": "hash", "distance": "drop"}
    assert Private.of(project, "another").rules == {}
