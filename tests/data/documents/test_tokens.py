"""Counting tokens: as the tokenizer itself does, for every text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.data.documents.tokens import EstimatedTokens, TokenizerTokens

from .tokenizers_here import bert, bytes_of_gpt

BERT, BYTES = bert(), bytes_of_gpt()
both = pytest.mark.parametrize("tokens", [BERT, BYTES], ids=["bert", "bytes"])
texts = st.text(
    st.sampled_from("abcdet ngT.,_-ÄéßİΣ\u0301\u00a0\u2028\u3000\x1c\x85\x00\r\n\t漢字[]")
    | st.characters(codec="utf-8"),
    max_size=60,
) | st.lists(st.sampled_from(["[SEP]", "x[MASK]y", "[mask]", "the", "foo.bar_baz()", "a" * 101]), max_size=8).map(
    " ".join
)


@both
@given(text=texts)
def test_ids_are_those_of_the_tokenizer(tokens: TokenizerTokens, text: str) -> None:
    expected = tokens._tokenizer.encode(text).ids
    [found] = tokens.ids([text])
    assert found.tolist() == expected
    assert tokens.counts([text]) == [len(expected) - tokens.special]


def test_only_a_tokenizer_that_cuts_at_white_space_is_looked_up() -> None:
    assert BERT.additive
    assert BERT.special == 2
    assert not BYTES.additive
    assert BYTES.counts(["ab", " ab", "ab ab"]) == [1, 1, 2]


@both
@given(text=st.text("ab漢é-", min_size=1, max_size=80), most=st.integers(1, 7))
def test_a_word_is_cut_into_pieces_that_fit(tokens: TokenizerTokens, text: str, most: int) -> None:
    places = [0, *tokens.cuts(text, most), len(text)]
    assert places == sorted(set(places))
    for begin, end in pairwise(places):
        assert tokens.counts([text[begin:end]])[0] <= most or end - begin == 1


@given(text=texts)
def test_an_estimate_is_no_less_than_a_third_of_the_bytes(text: str) -> None:
    [count] = EstimatedTokens().counts([text])
    assert 3 * count >= len("".join(text.split()).encode("utf-8", "replace")) - 3 * text.count("\x00")
