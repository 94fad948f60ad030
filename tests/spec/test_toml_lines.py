import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.spec.toml_lines import line_numbers

from .written import DELAY, PROJECT, mistake

# what is written after the model `delay` (lines 1 to 6) → the beginning of the message about it
CASES = {
    "quoted key": (
        '[models.delay.columns]\n"dep. delay" = { kind = "number", untit = "min" }',
        "line 8: models.delay.columns.dep. delay.untit: unknown key; allowed: kind, unit, description, "
        "private; did you mean 'unit'?",
    ),
    "quoted key with a quote in it": (
        '[models.delay.columns]\na = "number"\n"the \\"big\\" # one" = 3',
        'line 9: models.delay.columns.the "big" # one: expected a table; found 3',
    ),
    "literal key": (
        "[models.delay.columns.'a \"b\"']\nunit = 1",
        'line 8: models.delay.columns.a "b".unit: expected text in quotes; found 1',
    ),
    "after a text of many lines that looks like keys": (
        'query = """\n[models.other]\nfolds = 1\n# \'\'\'\n"""\nfolds = 1',
        "line 12: models.delay.folds: expected greater than or equal to 2; found 1",
    ),
    "after a literal text of many lines": (
        "query = '''\nfolds = 7 \"\"\"\n'''\nfolds = 1",
        "line 10: models.delay.folds: …",
    ),
    "after a text that ends with quotes of its own": (
        'query = """say "hi"""""\nfolds = 1',
        "line 8: models.delay.folds: …",
    ),
    "after a comment with quotes": ('# """ and [models.x]\n# folds = 9\nfolds = 1', "line 9: models.delay.folds: …"),
    "after a text with escaped quotes": ('query = "\\"\\"\\""\nfolds = 1', "line 8: models.delay.folds: …"),
    "after a list of lines that look like headers": (
        'missing = [\n  "x", # ]\n  "[models.b]"\n]\nfolds = 1',
        "line 11: models.delay.folds: …",
    ),
    "a header with blanks and a comment": (
        "[ models . delay . gate ]  # the gate\nmargin = true",
        "line 8: models.delay.gate.margin: …",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["", "crlf"])
def test_the_line_of_a_mistake(case, line_end):
    wrong, expected = CASES[case]
    found = mistake((PROJECT + DELAY + wrong + "\n").replace("\n", line_end))
    if expected.endswith("…"):
        assert found.startswith(f"mainspring.toml, {expected[:-1]}")
    else:
        assert found == f"mainspring.toml, {expected}"


def test_the_lines_of_keys_and_tables():
    text = 'a = 1\n\n[b]  # a table\nc = [\n  1,\n]\n"d e".f = { g = 1 }\n[[h.i]]\nj = 1\n'
    assert line_numbers(text) == {
        ("a",): 1,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "d e", "f"): 7,
        ("h", "i"): 8,
        ("h", "i", "j"): 9,
    }


FILLING = st.lists(
    st.sampled_from(
        [
            "# a comment",
            "",
            "# [models.delay] '''",
            'description = """\nfolds = 1\n[serving]\n"""',
            "description = '''\n\"\"\"'''",
            "description = \"# ''' \\\" [\"",
        ]
    ),
    max_size=6,
)


@given(FILLING, FILLING)
def test_the_line_is_right_whatever_stands_before(first, second):
    before, kept = [], False
    for line in first:
        if not line.startswith("description") or not kept:
            kept |= line.startswith("description")
            before.append(line)
    between = [line for line in second if not line.startswith("description")]
    text = "\n".join([PROJECT.strip(), *before, DELAY.strip(), *between, "folds = 1"])
    assert mistake(text).startswith(f"mainspring.toml, line {text.count(chr(10)) + 1}: models.delay.folds: ")
