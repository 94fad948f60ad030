import pytest

from mainspring.prompts.reading import Choice, Json, LastLine, Number, Text

REASONED = "2 apples and 3.\nSo the answer is 5.\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  Paris\nis it. ", "Paris\nis it."),
        ("Long.\nAnswer: Paris\nyes", "Paris\nyes"),
        ("**Answer:** Paris", "Paris"),
        ("Answer: a\nAnswer: b", "b"),
        ("I have no answer: none", "I have no answer: none"),
        (" ", None),
        ("Answer:", None),
    ],
)
def test_text(text, value):
    assert Text().read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("a\nb\n\n", "b"), ("a\nThe answer is b.\nc", "b."), ("Answer: b\nc", "b"), ("\n", None)],
)
def test_last_line(text, value):
    assert LastLine().read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (REASONED, 5),
        ("1 + 2 = 3", 3),
        ("Answer: $1,234.50 (of 2,000)", 1234.5),
        ("Final answer: -7", -7),
        ("it is .5", 0.5),
        ("1,23", 23),
        ("10-4", 4),
        ("x2 and 3rd", None),
        ("none", None),
        ("9" * 400, None),
    ],
)
def test_number(text, value):
    assert Number().read(text) == value
    assert isinstance(Number().read(text), type(value))


@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        (("yes", "no"), "Yes.", "yes"),
        (("yes", "no"), "No, it is not a yes", "no"),
        (("yes", "no"), "I think yes", "yes"),
        (("yes", "no"), "yes or no", "yes"),
        (("yes", "no"), "either yes or no", None),
        (("yes", "no"), "yesterday", None),
        (("yes", "no"), "It is not no at first. The answer is: yes", "yes"),
        (("A", "B"), "(B) because A fails", "B"),
        (("A", "B"), "a dog: B", "B"),
        (("A", "B"), "a dog", None),
        (("A", "B"), "A dog", None),
        (("A", "B"), "A dog: it is B of these", "B"),
        (("A", "B"), "A. It is a dog", "A"),
        (("A", "B"), "Answer: b", "B"),
        (("new", "new york"), "New York", "new york"),
        (("new", "new york"), "new york it is", "new york"),
        (("C++", "C"), "C++", "C++"),
    ],
)
def test_choice(options, text, value):
    assert Choice(options).read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"n": 1}', {"n": 1}),
        ('First {"n": 1}, then\n```json\n{"n": 2}\n``` as [1, 2]', {"n": 2}),
        ('{"n": "one"}', None),
        ('{"n": 1', None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_json(text, value):
    assert Json({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}).read(text) == value
