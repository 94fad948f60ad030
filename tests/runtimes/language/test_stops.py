from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mainspring.runtimes.language.stops import StopFinder

TEXT = st.text("abc", max_size=20)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple)


@given(pieces=st.lists(TEXT, max_size=8), stops=STOPS)
def test_text_ends_before_the_first_stop_string_however_it_is_cut(pieces, stops):
    finder = StopFinder(stops)
    told = "".join(map(finder.feed, pieces))
    told += "" if finder.found else finder.end()
    whole = "".join(pieces)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    assert finder.found == bool(ends)
    if not ends:
        assert told == whole
    else:
        assert whole.startswith(told)
        assert not any(stop in told for stop in stops)
        assert any(whole[len(told) :].startswith(stop) for stop in stops)


@given(pieces=st.lists(TEXT, max_size=8), stops=STOPS)
def test_no_more_is_held_back_than_may_begin_a_stop_string(pieces, stops):
    finder = StopFinder(stops)
    told = read = ""
    for piece in pieces:
        told += finder.feed(piece)
        read += piece
        if finder.found:
            break
        held = read[len(told) :]
        assert not held or any(stop.startswith(held) for stop in stops)


def test_without_stop_strings_nothing_is_held_back():
    finder = StopFinder(())
    assert finder.feed("anything") == "anything"
    assert finder.end() == ""
    assert not finder.found
