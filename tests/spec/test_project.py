import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainspring import spec
from mainspring.data import dataset
from mainspring.errors import SpecError
from mainspring.spec import Budget, ClassificationSpec, RegressionSpec

from .written import DELAY, FARE, PROJECT, mistake, parse


def test_defaults():
    project = parse(PROJECT + DELAY + FARE)
    delay, fare = project.model("delay"), project.model("fare")
    assert isinstance(delay, ClassificationSpec)
    assert isinstance(fare, RegressionSpec)
    assert (delay.metric, fare.metric) == (None, "rmse")
    assert (delay.holdout, delay.folds, delay.seed, delay.budget) == (0.2, 5, 0, Budget(trials=16))
    assert delay.candidates == ("linear", "tree", "forest", "boosting", "blend")
    assert (delay.gate.margin, delay.gate.significance) == (0.0, 0.05)
    assert (delay.time, delay.group, delay.exclude, delay.columns, delay.missing) == (None, None, (), {}, None)
    assert (project.serving.host, project.serving.port, project.serving.workers) == ("127.0.0.1", 8000, 1)
    assert (project.serving.max_body, project.serving.max_rows, project.serving.timeout) == (4_000_000, 10_000, 10.0)
    assert project.tracking.uri is None
    assert project.state == project.folder / ".mainspring"


def test_nothing_changes_after_reading():
    with pytest.raises(ValidationError):
        parse(PROJECT + DELAY).model("delay").folds = 3


@pytest.mark.parametrize(
    "text",
    [
        "[project",
        'name = "x" y',
        PROJECT + "[project]\n",
        "a = " + "9" * 5000,  # more digits than Python turns into a number
    ],
)
def test_what_is_no_toml(text):
    assert mistake(text).startswith("mainspring.toml is not valid TOML: ")


def test_toml_that_is_nested_too_deeply():
    assert "nested too deeply" in mistake("a = " + "[" * 5000)


def test_no_project_says_how_to_get_one(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SpecError, match=r"no mainspring.toml in .*--project.*mainspring init DIR"):
            spec.load(folder)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mainspring.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="cannot be read"):
        spec.load(tmp_path)


def test_a_file_that_begins_with_a_byte_order_mark(tmp_path):
    (tmp_path / "mainspring.toml").write_bytes(b"\xef\xbb\xbf" + PROJECT.encode())
    assert spec.load(tmp_path).name == "airdesk"


@pytest.mark.parametrize(
    ("table", "more", "expected"),
    [
        (None, "", "line 5: models.delay.data: "),
        ("late_,distance\n1,2\n0,3\n", "", "line 6: models.delay.target: "),
        ("late,distance\n1,2\n0,3\n", 'time = "departs"\n', "line 7: models.delay.time: "),
    ],
    ids=["missing file", "missing target column", "missing time column"],
)
def test_what_the_data_shows_to_be_wrong_is_told_in_the_same_way(tmp_path, table, more, expected):
    if table:
        (tmp_path / "flights.csv").write_text(table)
    (tmp_path / "mainspring.toml").write_text(PROJECT + DELAY + more)
    with pytest.raises(SpecError) as caught:
        dataset.load(spec.load(tmp_path), "delay")
    assert str(caught.value).startswith(f"mainspring.toml, {expected}")


KEYS = [
    "project",
    "name",
    "models",
    "models.delay",
    "task",
    "data",
    "target",
    "gate",
    "budget",
    "columns",
    '"a b"',
    "zz",
]
VALUES = ['"x"', "'x'", '"""\n[a]\n"""', "1", "-1", "nan", "true", "[]", "[1, [2]]", "{ a = 1 }", "2020-01-01"]
LINES = st.one_of(
    st.builds("{} = {}".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.builds("[{}]".format, st.sampled_from(KEYS)),
    st.builds("[[{}]]".format, st.sampled_from(KEYS)),
    st.text(max_size=12),
)


@given(st.one_of(st.text(), st.lists(LINES).map("\n".join)))
def test_any_text_is_a_project_or_a_spec_error(text):
    for whole in (text, PROJECT + text, PROJECT + DELAY + text):
        try:
            parse(whole)
        except SpecError as error:
            assert str(error)  # noqa: PT017 - it may be raised, or not
