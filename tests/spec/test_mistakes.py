import pytest

from mainspring.errors import SpecError

from .written import DELAY, FARE, PROJECT, mistake, mistakes, parse

# what is written after the model `delay` (lines 1 to 6) → the whole message, or with … its beginning
MISTAKES = {
    "unknown key": (
        'targt = "late"',
        "line 7: models.delay.targt: unknown key; allowed: task, gate, monitor, renew, data, query, target, time, "
        "group, columns, missing, holdout, seed, exclude, folds, candidates, budget, metric, class_weight; did you "
        "mean 'target'?",
    ),
    "unknown key of nothing like it": (
        "zzz = 1",
        "line 7: models.delay.zzz: unknown key; allowed: task, gate, monitor, …",
    ),
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
    "unknown task": (
        '[models.x]\ntask = "clasification"',
        "line 8: models.x.task: 'clasification' is not a task; allowed: classification, regression, chat, completion, "
        "embedding, prompt, retrieval; did you mean 'classification'?",
    ),
    "a task that is no text": ("[models.x]\ntask = 3", "line 8: models.x.task: 3 is not a task; allowed: …"),
    "no task": (
        '[models.x]\ndata = "a.csv"',
        "line 7: models.x: the key 'task' is missing; allowed: classification, regression, chat, completion, "
        "embedding, prompt, retrieval",
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
def test_a_mistake_is_one_line_with_place_key_what_is_allowed_and_what_was_found(case):
    wrong, expected = MISTAKES[case]
    found = mistake(PROJECT + DELAY + wrong + "\n")
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


def test_a_model_that_is_not_there():
    with pytest.raises(SpecError, match=r"no model 'dely' in .*; allowed: delay, fare; did you mean 'delay'\?"):
        parse(PROJECT + DELAY + FARE).model("dely")


def test_a_mistake_in_a_key_that_is_not_written_is_told_at_its_table():
    project = parse(PROJECT + DELAY)
    assert str(project.mistake(("models", "delay", "time"), "no")) == "mainspring.toml, line 3: models.delay.time: no"
