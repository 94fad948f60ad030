"""Keys that come twice: found in any JSON, and never seen where there are none."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import RequestError
from mainspring.runtimes.records import RecordCodec
from mainspring.runtimes.strict_json import structural_colons
from mainspring.schema import Column, Schema, Target

CODEC = RecordCodec(
    Schema((Column("a", "text"), Column("b:", "text", nullable=True), Column("n", "number")), Target("y"))
)
TEXT = st.text(st.sampled_from(list('":\\ {},ab\né日')), min_size=1, max_size=8)
SPACE = st.sampled_from(["", " ", "\n\t", "\r "])
ESCAPE = st.booleans()


@st.composite
def bodies(draw, twice):
    """A body in any notation that JSON allows; with `twice`, some record has a key twice."""
    rows = draw(st.integers(1, 3))
    wrong = draw(st.integers(0, rows - 1)) if twice else -1

    def written(text):
        if draw(ESCAPE):
            return '"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"'
        return json.dumps(text, ensure_ascii=draw(ESCAPE))

    def record(row):
        pairs = [("a", written(draw(TEXT))), ("b:", draw(st.sampled_from(["null", '":"']))), ("n", "1")]
        if row == wrong:
            pairs.append(draw(st.sampled_from(pairs)))
        pairs = draw(st.permutations(pairs))
        body = ",".join(f"{draw(SPACE)}{written(key)}{draw(SPACE)}:{draw(SPACE)}{value}" for key, value in pairs)
        return "{" + body + draw(SPACE) + "}"

    records = ",".join(record(row) for row in range(rows))
    forms = ["[{}]", ' {{"records" : [{}]}}'] + (["{}"] if rows == 1 else [])
    return draw(st.sampled_from(forms)).format(records).encode()


@settings(max_examples=200, deadline=None)
@given(bodies(twice=False))
def test_a_body_without_duplicates_is_taken(body):
    columns, rows = CODEC.decode(body)
    assert rows == len(columns["a"])
    parsed = json.loads(body)
    records = parsed.get("records", [parsed]) if isinstance(parsed, dict) else parsed
    assert columns["a"].tolist() == [record["a"] for record in records]
    assert structural_colons(body) == rows * 3 + (isinstance(parsed, dict) and "records" in parsed)


@settings(max_examples=200, deadline=None)
@given(bodies(twice=True))
def test_a_key_given_twice_is_refused(body):
    with pytest.raises(RequestError, match="is given twice"):
        CODEC.decode(body)
