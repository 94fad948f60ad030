"""Citations by span, and answers by what is known of them."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import DataError
from mainspring.evaluation.answers import answer_scores, score_abstention
from mainspring.evaluation.citations import CitedAnswer, says, score_citations
from mainspring.evaluation.judge import judge
from mainspring.runtimes.language.protocol import Citation, Delta, Usage

DOCUMENT = "A cabin bag may weigh 8 kg. Snakes are not allowed on board."
WORDS = st.lists(st.sampled_from(["a", "bag", "of", "snakes", "8", "or", "23", "kg"]), min_size=1, max_size=9).map(
    " ".join
)


def cite(text, claim, place, quote=None):
    begin = text.index(claim)
    shown = DOCUMENT[slice(*place)] if quote is None else quote
    return Citation(
        begin=begin, end=begin + len(claim), number=1, passage="x", source="a", title="A", place=place, quote=shown,
        supported=1.0,
    )  # fmt: skip


def test_precision_is_of_citations_and_recall_of_sentences():
    text = "A cabin bag may weigh 8 kg. [1] Dogs may fly. [1] Snakes are free."
    first, second = "A cabin bag may weigh 8 kg.", "Dogs may fly."
    found = score_citations(
        [CitedAnswer(text, (cite(text, first, (0, 27)), cite(text, second, (28, 60))))], {"a": DOCUMENT}.__getitem__
    )
    assert (found.precision.value, found.citations) == (0.5, 2)
    assert (found.recall.value, found.sentences) == (pytest.approx(1 / 3), 3)


def test_a_quote_that_does_not_stand_at_its_place_is_wrong():
    text = "A cabin bag may weigh 8 kg. [1]"
    made_up = cite(text, text[:27], (1, 28), quote=text[:27])
    assert score_citations([CitedAnswer(text, (made_up,))], {"a": DOCUMENT}.__getitem__).precision.value == 0
    with pytest.raises(DataError, match="nothing to be scored"):
        score_citations([CitedAnswer(text, ())], {"a": DOCUMENT}.__getitem__)


@given(WORDS, WORDS)
def test_a_text_says_its_parts_and_no_other_number(one, other):
    assert says(f"{other} {one} {other}", one)
    assert not says(f"{other} {one}", f"{one} 17")


def test_a_row_says_what_its_header_names():
    row, claim = "| Basic | 8 kg | no |", "Fare: Basic; Bag: 8 kg; Refund: no."
    assert says(row, claim, "| Fare | Bag | Refund |")
    assert not says(row, claim)
    assert not says(row, "Fare: Basic; Bag: 9 kg; Refund: no.", "| Fare | Bag | Refund |")


def test_the_names_of_columns_say_nothing_of_a_row():
    header, row = "Fare | Checked bags included | Refund before departure | Change fee", "Flex | one | yes | none"
    claim = "Fare: Flex; Checked bags included: one; Refund before departure: yes; Change fee: none."
    assert says(row, claim, header)
    assert not says(row, claim.replace("Flex", "Basic").replace("yes", "no"), header)
    assert not says(row, claim.replace("one", "three").replace("yes", "no"), header)
    assert not says(row, "Checked bags included, refund before departure, no change fee.", header)


def test_abstention_is_a_ranking_and_a_decision():
    found = score_abstention(np.array([0.9, 0.8, 0.4, 0.6, 0.1]), np.array([1, 1, 1, 0, 0], bool), 0.5)
    assert found.roc_auc.value == pytest.approx(5 / 6)
    assert found.answered.value == pytest.approx(2 / 3)
    assert found.kept_silent.value == 0.5
    assert score_abstention(np.array([0.1, 0.2]), np.array([True, False]), 0.5).answered.value == 0


def test_answers_are_scored_without_their_marks_and_silence_where_there_is_no_answer():
    said, right = ["8 kg [1]", None, "a bag", None], [["8 kg"], [], ["the bag", "x"], ["y"]]
    assert answer_scores("exact_match", said, right).tolist() == [1, 1, 1, 0]
    assert answer_scores("token_f1", said, right).tolist() == [1, 1, 1, 0]


class Judge:
    """Judges by rule: what has "8 kg" is supported; it fails at what has "broken"."""

    async def generate(self, request):
        text = request.messages[0]["content"]
        said = {"supported": "Answer: 8 kg" in text, "answers": True}
        yield Delta(text="nonsense" if "broken" in text else json.dumps(said), tokens=3)
        yield Usage(9, 3)


def test_a_judges_failures_are_counted_and_shown():
    asked = [("How heavy?", "8 kg", ["8 kg"]), ("How heavy?", "9 kg", ["8 kg"]), ("How heavy?", "broken", [])]
    found = asyncio.run(judge(Judge(), asked))
    assert (found.supported.value, found.answers.value) == (0.5, 1.0)
    assert found.verdicts == ({"supported": True, "answers": True}, {"supported": False, "answers": True}, None)
    assert len(found.failed) == 1
    assert found.failed[0].startswith("answer 2:")
    assert asyncio.run(judge(Judge(), asked[2:])).supported is None
