from __future__ import annotations

import pytest

from mainspring.errors import RegistryError
from mainspring.registry import desired, history
from mainspring.registry.desired import Route

UPDATER = """
import sys
from pathlib import Path
from mainspring.registry import desired
state, name = Path(sys.argv[1]), sys.argv[2]
for turn in range(25):
    desired.set_champion(state, f"{name}-{turn}", str(turn + 1))
"""


@pytest.fixture
def state(tmp_path):
    return tmp_path / ".mainspring"


def test_before_the_first_promotion_there_is_nothing(state):
    assert desired.read(state).revision == 0
    assert desired.read(state).champion("late") is None


def test_a_champion_takes_all_traffic_and_the_revision_grows(state):
    first = desired.set_champion(state, "late", "1")
    second = desired.set_champion(state, "late", "2")
    assert (first.revision, second.revision) == (1, 2)
    assert desired.read(state) == second
    assert second.models["late"].routes == (Route("2", 1.0),)


def test_the_same_champion_again_changes_nothing(state):
    first = desired.set_champion(state, "late", "1")
    stamp = desired.path(state).stat().st_mtime_ns
    assert desired.set_champion(state, "late", "1") == first
    assert desired.path(state).stat().st_mtime_ns == stamp


def test_a_model_that_is_off_stays_the_champion_and_a_promotion_switches_it_on(state):
    desired.set_champion(state, "late", "1")
    desired.set_loaded(state, "late", False)
    assert desired.read(state).champion("late") == "1"
    assert not desired.read(state).models["late"].loaded
    assert desired.set_champion(state, "late", "1").models["late"].loaded


def test_updates_from_several_processes_lose_nothing(state, start):
    processes = [start("-c", UPDATER, str(state), name) for name in ("a", "b", "c")]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = desired.read(state)
    assert found.revision == 75
    assert {name: entry.champion for name, entry in found.models.items()} == {
        f"{name}-{turn}": str(turn + 1) for name in "abc" for turn in range(25)
    }


DAMAGE = [
    b"",
    b"{",
    b'{"revision": "x"}',
    b'{"models": {"late": {"routes": [], "since": ""}}}',
    b'{"models": {"\xff": 3}}',
]


@pytest.mark.parametrize("content", DAMAGE)
def test_damage_is_told(state, content):
    desired.set_champion(state, "late", "1")
    desired.path(state).write_bytes(content)
    with pytest.raises(RegistryError, match=r"desired.json is damaged .* promote a version again to write it anew"):
        desired.read(state)


@pytest.mark.parametrize("content", DAMAGE)
def test_a_promotion_makes_a_damaged_file_anew_and_no_model_loses_its_champion(state, content):
    for model, version in (("late", "1"), ("fare", "1"), ("fare", "2")):
        desired.set_champion(state, model, version)
        history.append(state, model, "promote", version)
    history.append(state, "fare", "fit", "3")
    desired.path(state).write_bytes(content)
    desired.set_champion(state, "late", "1")
    assert {name: entry.champion for name, entry in desired.read(state).models.items()} == {"late": "1", "fare": "2"}
