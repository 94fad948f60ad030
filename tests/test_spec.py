from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainspring import spec
from mainspring.data import dataset
from mainspring.errors import SpecError
from mainspring.spec import Budget, ClassificationSpec, RegressionSpec, Window

PROJECT = '[project]\nname = "airdesk"\n'
DELAY = '[models.delay]\ntask = "classification"\ndata = "flights.csv"\ntarget = "late"\n'
FARE = '[models.fare]\ntask = "regression"\ndata = "fares.csv"\ntarget = "fare"\n'


def parse(text: str) -> spec.Project:
    return spec.parse(text, Path("/nowhere"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value).splitlines()


def mistake(text: str) -> str:
    [line] = mistakes(text)
    return line


# what is written after the model `delay` (lines 1 to 6) → the whole message, or with … its beginning
MISTAKES = {
    "unknown key": (
        'targt = "late"',
        "line 7: models.delay.targt: unknown key; allowed: task, data, query, gate, monitor, renew, target, time, "
        "group, exclude, columns, missing, holdout, folds, candidates, budget, seed, metric, class_weight; did you "
        "mean 'target'?",
    ),
    "unknown key of nothing like it": ("zzz = 1", "line 7: models.delay.zzz: unknown key; allowed: task, data, …"),
    "unknown metric": (
        'metric = "roc_uac"',
        "line 7: models.delay.metric: 'roc_uac' is not allowed; allowed: roc_auc, average_precision, log_loss, brier, "
        "accuracy, balanced_accuracy, f1, precision, recall, mcc; did you mean 'roc_auc'?",
    ),
    "a metric of the other task": ('metric = "rmse"', "line 7: models.delay.metric: 'rmse' is not allowed; allowed: …"),
    "text for a number": ('folds = "5"', "line 7: models.delay.folds: expected a whole number; found '5'"),
    "a fraction for a whole number": (
        "folds = 5.5",
        "line 7: models.delay.folds: expected a whole number; found 5.5",
    ),
    "true for a whole number": ("seed = true", "line 7: models.delay.seed: expected a whole number; found True"),
    "number for text": ("time = 3", "line 7: models.delay.time: expected text in quotes; found 3"),
    "text for a list": ('exclude = "a"', "line 7: models.delay.exclude: expected a list; found 'a'"),
    "a number in a list of texts": (
        'exclude = [\n  "a",\n  3,\n]',
        "line 7: models.delay.exclude.1: expected text in quotes; found 3",
    ),
    "text for a table": ('gate = "strict"', "line 7: models.delay.gate: expected a table; found 'strict'"),
    "too large": ("holdout = 0.9", "line 7: models.delay.holdout: expected less than 0.9; found 0.9"),
    "too small": ("folds = 1", "line 7: models.delay.folds: expected greater than or equal to 2; found 1"),
    "not a number": ("[models.delay.gate]\nmargin = nan", "line 8: models.delay.gate.margin: …"),
    "infinite": ("[models.delay.gate]\nmargin = inf", "line 8: models.delay.gate.margin: …"),
    "a seed that no library takes": ("seed = -1", "line 7: models.delay.seed: expected greater than or equal to 0…"),
    "no candidates": ("candidates = []", "line 7: models.delay.candidates: expected at least 1; found none"),
    "unknown candidate": (
        'candidates = ["linear", "forrest"]',
        "line 7: models.delay.candidates.1: 'forrest' is not allowed; allowed: linear, tree, forest, boosting, blend; "
        "did you mean 'forest'?",
    ),
    "unknown class weight": (
        'class_weight = "balance"',
        "line 7: models.delay.class_weight: 'balance' is not allowed; allowed: balanced; did you mean 'balanced'?",
    ),
    "budget": (
        'budget = "soon"',
        'line 7: models.delay.budget: expected a number of trials such as 40, or a duration such as "60s"; '
        "found 'soon'",
    ),
    "no budget": ("budget = 0", "line 7: models.delay.budget: expected a number of trials such as 40, or …"),
    "a budget of no time": ('budget = "0s"', "line 7: models.delay.budget: expected a number of trials such as 40…"),
    "dotted key": (
        "gate.margn = 0.1",
        "line 7: models.delay.gate.margn: unknown key; allowed: margin, …",
    ),
    "key of an inline table": (
        '# a comment\ngate = { margin = "x" }',
        "line 8: models.delay.gate.margin: expected a number; found 'x'",
    ),
    "key of a nested table": (
        '[models.delay.gate]\nmargin = 0.1\nsignificance = "x"',
        "line 9: models.delay.gate.significance: expected a number; found 'x'",
    ),
    "kind of a column": (
        'columns.distance = "numbr"',
        "line 7: models.delay.columns.distance.kind: 'numbr' is not allowed; allowed: number, boolean, category, "
        "time, text, identifier; did you mean 'number'?",
    ),
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
    "unknown task": (
        '[models.x]\ntask = "clasification"',
        "line 8: models.x.task: 'clasification' is not a task; allowed: classification, regression; "
        "did you mean 'classification'?",
    ),
    "a task that is no text": ("[models.x]\ntask = 3", "line 8: models.x.task: 3 is not a task; allowed: …"),
    "no task": (
        '[models.x]\ndata = "a.csv"',
        "line 7: models.x: the key 'task' is missing; allowed: classification, regression",
    ),
    "no target": (
        '[models.x]\ntask = "regression"\ndata = "a.csv"',
        "line 7: models.x: the key 'target' is missing",
    ),
    "name of a model": (
        DELAY.replace("models.delay", 'models."../up"'),
        "line 7: models.../up: expected a name of a-z, 0-9, - and _ that begins with a letter; found '../up'",
    ),
    "a model that is no table": ("[models]\nx = 3", "line 8: models.x: expected a table; found 3"),
    "unknown table": (
        "[servin]\nport = 1",
        "line 7: servin: unknown key; allowed: project, …",
    ),
    "port": ("[serving]\nport = 65536", "line 8: serving.port: expected less than or equal to 65535; found 65536"),
    "duration": (
        "[serving]\ntimeout = 5",
        'line 8: serving.timeout: expected a duration such as "60s", "5m" or "1h"; found 5',
    ),
    "no time at all": ('[serving]\ntimeout = "0s"', "line 8: serving.timeout: expected a duration such as…"),
    "size": (
        '[serving]\nmax_body = "4 megabytes"',
        'line 8: serving.max_body: expected a size such as "500kB" or "4MB"; found \'4 megabytes\'',
    ),
    "default model": (
        '[serving]\ndefault_model = "dealy"',
        "line 8: serving.default_model: 'dealy' is not a model; allowed: delay; did you mean 'delay'?",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["", "crlf"])
def test_a_mistake_is_one_line_with_place_key_what_is_allowed_and_what_was_found(case, line_end):
    wrong, expected = MISTAKES[case]
    found = mistake((PROJECT + DELAY + wrong + "\n").replace("\n", line_end))
    if expected.endswith("…"):
        assert found.startswith(f"mainspring.toml, {expected[:-1]}")
    else:
        assert found == f"mainspring.toml, {expected}"


def test_the_same_file_without_the_mistake_is_read():
    assert parse(PROJECT + DELAY).model("delay").target == "late"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "mainspring.toml: the key 'project' is missing"),
        ("[project]\n", "mainspring.toml, line 1: project: the key 'name' is missing"),
        ("project = 3", "mainspring.toml, line 1: project: expected a table; found 3"),
        ('[project]\nname = "Air Desk"', "mainspring.toml, line 2: project.name: expected a name of a-z, 0-9, - and _"),
        (PROJECT + "models = 3", "mainspring.toml, line 3: project.models: unknown key; allowed: name, description"),
        ("models = 3\n" + PROJECT, "mainspring.toml, line 1: models: expected a table; found 3"),
    ],
)
def test_mistakes_in_what_every_project_has(text, expected):
    assert mistake(text).startswith(expected)


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


def test_several_mistakes_are_told_together_each_with_its_line():
    text = (
        PROJECT
        + '[serving]\nport = "x"\n'
        + DELAY
        + 'metric = "auc"\nfolds = 1\n'
        + FARE
        + 'class_weight = "balanced"\n'
        + '[models.third]\ntask = "chess"\n'
    )
    assert [line.split(": ")[:2] for line in mistakes(text)] == [
        ["mainspring.toml, line 4", "serving.port"],
        ["mainspring.toml, line 10", "models.delay.folds"],
        ["mainspring.toml, line 9", "models.delay.metric"],
        ["mainspring.toml, line 15", "models.fare.class_weight"],
        ["mainspring.toml, line 17", "models.third.task"],
    ]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("40", Budget(trials=40)),
        ('"60s"', Budget(seconds=60)),
        ('"1.5m"', Budget(seconds=90)),
        ('"2h"', Budget(seconds=7200)),
        ('" 250 ms "', Budget(seconds=0.25)),
        ('"1d"', Budget(seconds=86_400)),
    ],
)
def test_budgets(budget, expected):
    assert parse(PROJECT + DELAY + f"budget = {budget}").model("delay").budget == expected


@pytest.mark.parametrize("budget", ["-1", "true", "2.5", '"60"', '"-60s"', '"1y"', "[1]", "{ trials = 3 }", '""'])
def test_what_is_no_budget(budget):
    assert "line 7: models.delay.budget: expected a number of trials such as 40, or a duration" in mistake(
        PROJECT + DELAY + f"budget = {budget}"
    )


def test_how_a_model_is_watched_and_renewed():
    model = parse(
        PROJECT
        + DELAY
        + """
monitor = { window = "7d", persistence = 3 }
renew = { data = "window", window = "26w", budget = 1, rollout = "canary" }
columns = { name = { private = "hash" } }

[log]
keep = "30d"
store = "s3://bucket/log"
"""
    ).model("delay")
    assert model.monitor.window == Window(seconds=7 * 86_400)
    assert (model.monitor.persistence, model.monitor.effect) == (3, 0.1)
    assert (model.renew.data, model.renew.window, model.renew.budget) == ("window", 26 * 7 * 86_400, Budget(trials=1))
    assert model.columns["name"].private == "hash"


@pytest.mark.parametrize("renew", ['{ data = "window" }', '{ window = "90d" }'])
def test_a_window_of_data_goes_with_its_policy(renew):
    found = mistake(PROJECT + DELAY + f"renew = {renew}")
    assert 'line 7: models.delay.renew: expected `window` (such as "90d") together with data = "window"' in found


@pytest.mark.parametrize("window", ["0", "-5", '"soon"', "true"])
def test_what_is_no_window(window):
    found = mistake(PROJECT + DELAY + f"monitor.window = {window}")
    assert "line 7: models.delay.monitor.window: expected a number of rows such as 5000, or a duration" in found


@pytest.mark.parametrize(("size", "expected"), [("1B", 1), ("500kB", 500_000), ("2 KB", 2000), ("1GB", 10**9)])
def test_sizes(size, expected):
    assert parse(PROJECT + f'[serving]\nmax_body = "{size}"').serving.max_body == expected


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


def test_a_column_is_a_kind_or_a_table():
    columns = (
        parse(PROJECT + DELAY + 'columns.a = "text"\ncolumns.b = { kind = "time", unit = "s" }').model("delay").columns
    )
    assert (columns["a"].kind, columns["a"].unit) == ("text", None)
    assert (columns["b"].kind, columns["b"].unit) == ("time", "s")


def test_nothing_changes_after_reading():
    with pytest.raises(ValidationError):
        parse(PROJECT + DELAY).model("delay").folds = 3


def test_a_model_that_is_not_there():
    with pytest.raises(SpecError, match=r"no model 'dely' in .*; allowed: delay, fare; did you mean 'delay'\?"):
        parse(PROJECT + DELAY + FARE).model("dely")


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


def test_a_mistake_in_a_key_that_is_not_written_is_told_at_its_table():
    project = parse(PROJECT + DELAY)
    assert str(project.mistake(("models", "delay", "time"), "no")) == "mainspring.toml, line 3: models.delay.time: no"


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
