from collections import Counter

import pytest

from mainspring.registry import desired
from mainspring.registry.desired import DesiredModel, Route
from mainspring.serving.loading import load
from mainspring.serving.problems import Problem
from mainspring.serving.slots import Slot, Slots

from .graphs import FARE, FARE_RECORD, publish


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Three loaded versions, by name."""
    state = tmp_path_factory.mktemp("state")
    names = [publish(state, "fare", FARE, FARE_RECORD, bias=float(turn)).name for turn in range(3)]
    assert desired.read(state).models == {}
    return {name: load(state, "fare", name, Slots(())) for name in names}


def wanting(*routes, shadow=None, loaded=True):
    return DesiredModel(routes=tuple(Route(*route) for route in routes), since="", shadow=shadow, loaded=loaded)


def filled(versions, wanted, *arrived):
    slot = Slot("fare", wanted)
    for name in arrived:
        slot.arrange(versions[name])
    return slot


def drawn(slot, keys):
    found = {}
    for key in keys:
        loaded = slot.lease(key=key)
        loaded.release()
        found[key] = loaded.name
    return found


KEYS = [f"order-{number}" for number in range(4000)]


def test_a_key_meets_the_same_version_each_time_and_shares_are_kept(versions):
    slot = filled(versions, wanting(("1", 0.8), ("2", 0.2)), "1", "2")
    found = drawn(slot, KEYS)
    assert drawn(slot, KEYS) == found
    assert Counter(found.values())["2"] / len(KEYS) == pytest.approx(0.2, abs=0.03)
    # As it is in every other process, today and tomorrow.
    assert [key for key in KEYS[:20] if found[key] == "2"] == [f"order-{number}" for number in (9, 10, 11, 14, 15)]
    slot.desired = wanting(("1", 0.5), ("2", 0.5))
    more = drawn(slot, KEYS)
    assert all(more[key] == "2" for key in KEYS if found[key] == "2"), "who is with the canary stays with it"
    assert Counter(more.values())["2"] / len(KEYS) == pytest.approx(0.5, abs=0.03)


def test_models_draw_their_keys_apart(versions):
    one = filled(versions, wanting(("1", 0.5), ("2", 0.5)), "1", "2")
    other = filled(versions, one.desired, "1", "2")
    other.name = "delay"
    both, here = drawn(other, KEYS), drawn(one, KEYS)
    assert sum(both[key] == here[key] for key in KEYS) / len(KEYS) == pytest.approx(0.5, abs=0.05)


def test_without_a_key_it_is_by_chance(versions):
    slot = filled(versions, wanting(("1", 0.5), ("2", 0.5)), "1", "2")
    found = []
    for _ in range(1000):
        loaded = slot.lease()
        loaded.release()
        found.append(loaded.name)
    assert 400 < found.count("2") < 600


def test_until_the_canary_is_there_the_champion_has_all(versions):
    slot = filled(versions, wanting(("1", 0.5), ("2", 0.5)), "1")
    assert set(drawn(slot, KEYS[:100]).values()) == {"1"}
    assert slot.state == "loading"
    assert slot.shares == {"1": 1.0}
    slot.errors["2"] = "it is damaged"
    assert (slot.state, slot.error) == ("failed", "version 2: it is damaged")


def test_a_shadow_answers_nobody_but_who_insists(versions):
    slot = filled(versions, wanting(("1",), shadow="2"), "1", "2")
    assert slot.shadow is versions["2"]
    assert slot.shares == {"1": 1.0, "2": 0.0}
    assert slot.state == "live"
    assert set(drawn(slot, KEYS[:100]).values()) == {"1"}
    assert slot.current("2") is versions["2"]
    with pytest.raises(Problem, match="no live version of fare '3'; there are: 1, 2"):
        slot.current("3")


def test_a_promoted_canary_becomes_the_champion_as_it_is(versions):
    slot = filled(versions, wanting(("1", 0.9), ("2", 0.1)), "1", "2")
    slot.desired = wanting(("2",))
    assert slot.arrange() == [versions["1"]]
    assert (slot.live, slot.beside, slot.reached) == (versions["2"], {}, True)


def test_the_champion_before_may_become_the_shadow(versions):
    slot = filled(versions, wanting(("1",)), "1")
    slot.desired = wanting(("2",), shadow="1")
    assert slot.arrange() == []
    assert (slot.live, slot.shadow, slot.reached) == (versions["1"], None, False)
    assert slot.arrange(versions["2"]) == []
    assert (slot.live, slot.shadow, slot.reached) == (versions["2"], versions["1"], True)


def test_what_nobody_wants_comes_back(versions):
    slot = filled(versions, wanting(("1", 0.9), ("2", 0.1), shadow="3"), "1", "2", "3")
    assert slot.versions == ("1", "2", "3")
    slot.desired = wanting(("1",))
    assert slot.arrange() == [versions["2"], versions["3"]]
    assert slot.arrange(versions["3"]) == [versions["3"]]
    slot.desired = wanting(("1",), loaded=False)
    assert slot.arrange() == [versions["1"]]
    assert slot.reached
