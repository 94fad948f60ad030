"""Sentences, words and places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.prompts.answering.places import sentence_places
from mainspring.prompts.answering.sentences import Sentences, split
from mainspring.prompts.answering.wording import read
from tests.prompts.answering.passages import BAGS, handbook, passage


def sentences(text):
    return [text[begin:end] for begin, end in split(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It leaves at 8. It lands at 9.", ["It leaves at 8.", "It lands at 9."]),
        ("See Dr. Smith, e.g. at 3.5 km. Now!", ["See Dr. Smith, e.g. at 3.5 km.", "Now!"]),
        ("One. [1] Two [2]. Three.[1, 2]", ["One. [1]", "Two [2].", "Three.[1, 2]"]),
        ("Rules:\n- no skis\n- no dogs", ["Rules:", "- no skis", "- no dogs"]),
        ("1. Check in\n2. Board", ["1. Check in", "2. Board"]),
        ("Bags\nA bag weighs 8 kg.", ["Bags", "A bag weighs 8 kg."]),
        ("So:\n  if x:\n    y()\nThen stop.", ["So:", "if x:\n    y()", "Then stop."]),
        (
            "kind | kg\ncabin | 8\nchecked | 23\nThat is all.",
            ["kind | kg", "cabin | 8", "checked | 23", "That is all."],
        ),
        ("手荷物は8キロです。犬は乗れません。", ["手荷物は8キロです。", "犬は乗れません。"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, found):
    assert sentences(text) == found


@given(st.text(alphabet="Ab 1.!?\n-|[]e", max_size=80), st.integers(1, 7))
def test_nothing_is_lost_or_put_in_by_a_stream(text, size):
    growing = Sentences()
    pieces = [pair for at in range(0, len(text), size) for pair in growing.feed(text[at : at + size])]
    pieces += growing.end()
    assert "".join(gap + sentence for gap, sentence in pieces).rstrip() == text.rstrip()
    assert all(sentence.strip() == sentence != "" for _, sentence in pieces)


def test_a_stream_gives_a_sentence_as_soon_as_the_next_begins():
    growing = Sentences()
    assert growing.feed("It is 8 kg.") == []
    assert growing.feed(" [1]") == []
    assert growing.feed(" It") == [("", "It is 8 kg. [1]")]


def test_numbers_have_units_in_one_spelling_and_signs():
    said = read("It costs €1,000 or 20 to 30 dollars, weighs eight kilograms, at -5 °.")
    assert said.numbers == {"1000", "20", "30", "8", "-5"}
    assert said.measures == {("1000", "€"), ("20", "$"), ("30", "$"), ("8", "kg"), ("-5", "°")}


def test_names_are_capitals_within_a_sentence():
    assert read("Bags go to Oslo. Dogs don't. NATO may.").names == {"oslo", "nato"}


def test_a_sentence_stands_where_the_document_has_it_with_its_markup():
    [bags, *_] = handbook()
    places = {one.text: BAGS[one.begin : one.end] for one in sentence_places(bags)}
    assert places["A cabin bag may weigh 8 kg."] == "A *cabin bag* may weigh **8 kg**."
    assert places["It must not be larger than 55 x 40 x 23 cm."] == "It must not be larger than 55 x 40 x 23 cm."


@given(
    st.lists(st.sampled_from(["A *bag* weighs `8` kg.", "See [fees](a.md).", "No **dogs**!"]), min_size=1, max_size=6)
)
def test_places_are_in_the_document_and_in_order(pieces):
    quote = "\n\n".join(pieces)
    bare = quote.replace("*", "").replace("`", "").replace("[fees](a.md)", "fees")
    places = sentence_places(passage("a.md", quote, bare))
    assert len(places) == len(pieces)
    assert [quote[one.begin : one.end] for one in places] == pieces
