import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.prompts.template import as_asked, as_text, broken, fill, variables


def test_variables_are_found_with_their_lines():
    assert variables("{{a}} and\n{{ b }}, {{a}}\n\n{{c_1}}") == {"a": 0, "b": 1, "c_1": 3}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{a}}{{ a }}", "11"),
        (r"\{{a}} is {{a}}", "{{a}} is 1"),
        ("{{{a}}}", "{1}"),
        ("{a} {} }} { {", "{a} {} }} { {"),
    ],
)
def test_what_is_a_variable_and_what_is_not(text, filled):
    assert fill(text, {"a": "1"}) == filled
    assert not broken(text)


@pytest.mark.parametrize("text", ["{{", "{{}}", "{{a b}}", "{{a.b}}", "{{1}}", "{{a", "{{{{", "{{ a | upper }}"])
def test_braces_that_begin_no_variable_are_found(text):
    assert broken(f"first\n{text}")[0][0] == 1


@given(st.text())
def test_a_value_is_put_in_as_it_is(value):
    assert fill("<{{a}}{{b}}>", {"a": value, "b": "{{a}}"}) == f"<{value}{{{{a}}}}>"


def test_what_is_not_text_is_put_in_as_json():
    assert as_text("é") == "é"
    assert as_text({"é": [1, True, None]}) == '{"é": [1, true, null]}'


def test_values_that_look_the_same_to_a_model_are_the_same():
    assert as_asked({"a": 3, "b": "x "}) == as_asked({"b": "x", "a": "3"}) == as_asked({"a": 3.0, "b": "x"})
    assert as_asked({"a": 3}) != as_asked({"a": "03"})
    assert as_asked({"a": True}) != as_asked({"a": 1})
