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


def test_a_canary_takes_its_share_from_the_champion(state):
    since = desired.set_champion(state, "late", "1").models["late"].since
    found = desired.set_canary(state, "late", "2", 0.25).models["late"]
    assert found.routes == (Route("1", 0.75), Route("2", 0.25))
    assert (found.champion, found.since, found.shadow) == ("1", since, None)
    assert desired.set_canary(state, "late", "3", 0.5).models["late"].routes == (Route("1", 0.5), Route("3", 0.5))


def test_a_shadow_takes_no_traffic(state):
    desired.set_champion(state, "late", "1")
    found = desired.set_shadow(state, "late", "2").models["late"]
    assert found.routes == (Route("1"),)
    assert found.shadow == "2"
    assert desired.read(state).models["late"] == found


def test_a_version_is_canary_or_shadow_but_not_both(state):
    desired.set_champion(state, "late", "1")
    desired.set_shadow(state, "late", "2")
    desired.set_shadow(state, "late", "3")
    found = desired.set_canary(state, "late", "2", 0.1).models["late"]
    assert (found.routes[1].version, found.shadow) == ("2", "3"), "another version's shadow stays"
    found = desired.set_canary(state, "late", "3", 0.1).models["late"]
    assert (found.routes[1].version, found.shadow) == ("3", None)
    found = desired.set_shadow(state, "late", "3").models["late"]
    assert (found.routes, found.shadow) == ((Route("1"),), "3")


def test_a_rollout_ends_and_a_promotion_ends_it_too(state):
    since = desired.set_champion(state, "late", "1").models["late"].since
    for end in (lambda: desired.end_rollout(state, "late"), lambda: desired.set_champion(state, "late", "1")):
        desired.set_canary(state, "late", "2", 0.1)
        desired.set_shadow(state, "late", "3")
        found = end().models["late"]
        assert (found.routes, found.shadow, found.since) == ((Route("1"),), None, since)
        assert end().revision == desired.read(state).revision, "once is enough"
    desired.set_canary(state, "late", "2", 0.1)
    found = desired.set_champion(state, "late", "2").models["late"]
    assert (found.routes, found.shadow) == ((Route("2"),), None)
    assert desired.end_rollout(state, "nobody").models.keys() == {"late"}


def test_what_cannot_be_rolled_out_changes_nothing(state):
    for begin in (lambda: desired.set_canary(state, "late", "2", 0.1), lambda: desired.set_shadow(state, "late", "2")):
        with pytest.raises(RegistryError, match=r"late has no champion .*: promote one first"):
            begin()
    before = desired.set_champion(state, "late", "2")
    with pytest.raises(RegistryError, match="version 2 of late is the champion"):
        desired.set_canary(state, "late", "2", 0.1)
    with pytest.raises(RegistryError, match="version 2 of late is the champion"):
        desired.set_shadow(state, "late", "2")
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(RegistryError, match="a share between 0 and 1; found"):
            desired.set_canary(state, "late", "1", share)
    assert desired.read(state) == before


def test_a_file_from_before_shadows_is_read(state):
    state.mkdir()
    desired.path(state).write_text('{"revision": 3, "models": {"late": {"routes": [{"version": "2"}], "since": "x"}}}')
    found = desired.read(state)
    assert (found.champion("late"), found.models["late"].shadow) == ("2", None)


def test_a_rollout_on_a_damaged_file_finds_the_champions_in_the_history(state):
    history.append(state, "late", "promote", "1")
    history.append(state, "late", "alarm", "1")
    history.append(state, "late", "rollout", "2")
    state.joinpath(desired.FILE_NAME).write_text("{")
    assert desired.set_shadow(state, "late", "2").models["late"].routes == (Route("1"),)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b'{"mod\xff'), lambda path: path.unlink()])
def test_what_is_damaged_or_gone_is_restored_from_the_history(state, spoil):
    for version in ("1", "2"):
        desired.set_champion(state, "delay", version)
        history.append(state, "delay", "promote", version)
    assert not desired.restore(state)  # negative: nothing is wrong
    spoil(desired.path(state))
    assert desired.restore(state)
    assert desired.read(state).champion("delay") == "2"


def test_before_the_first_promotion_nothing_is_restored(state):
    assert not desired.restore(state)
    assert not desired.path(state).exists()
