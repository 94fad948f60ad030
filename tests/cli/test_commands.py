"""Each command on a project that was fitted: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from projects import CHEAP, make_project, make_rows, publish, respecify, write_rows

from mainspring import spec
from mainspring.registry import desired, versions

from .conftest import in_folder

COMMANDS = [
    "init",
    "pull",
    "fit",
    "evaluate",
    "promote",
    "rollback",
    "replay",
    "serve",
    "up",
    "renew",
    "drift",
    "predict",
    "status",
    "history",
    "keys",
    "doctor",
]
HEAVY = {"numpy", "mlflow", "sklearn", "pyarrow", "onnxruntime", "fastapi"}
RECORD = {"size": 2.0, "heat": 0.5, "plan": "a"}


def test_help_lists_every_command_and_loads_no_library():
    """What makes it quick: nothing is imported but click."""
    script = (
        "import sys\nfrom mainspring.cli import cli\n"
        "try: cli.main(['--help'], prog_name='mainspring')\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for name in [
        "init",
        "pull",
        "fit",
        "evaluate",
        "promote",
        "rollback",
        "serve",
        "up",
        "predict",
        "status",
        "keys",
        "doctor",
    ]:
        assert f"\n  {name} " in done.stdout
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert "click" in loaded
    assert not loaded & {
        "numpy",
        "mlflow",
        "sklearn",
        "pyarrow",
        "onnxruntime",
        "pydantic",
        "msgspec",
        "rich",
        "fastapi",
    }


def test_every_command_has_help_that_loads_no_training_library():
    script = (
        "import sys\nfrom mainspring.cli import cli\nfor name in sys.argv[1:]:\n"
        "    try: cli.main([name, '--help'], prog_name='mainspring')\n    except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert f"Usage: mainspring {name} " in done.stdout
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert not loaded & HEAVY


def test_version(mainspring):
    assert mainspring("--version").out.startswith("mainspring, version ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fitt"], "No command 'fitt'. Did you mean 'fit'?"),
        (["fit", "--frce"], "No such option"),
        (["promote", "late"], "Missing argument 'VERSION'"),
        (["serve", "--port", "65536"], "65536 is not in the range"),
    ],
)
def test_misuse_ends_with_2(mainspring, template, arguments, said):
    found = mainspring(*arguments, cwd=template.folder)
    assert found.code == 2
    assert said in found.err


@pytest.mark.parametrize(
    "arguments", [["fit"], ["predict", "late", "{}"], ["status"], ["serve"]], ids=lambda given: given[0]
)
def test_no_project_ends_with_2(mainspring, tmp_path, arguments):
    found = mainspring(*arguments, cwd=tmp_path)
    assert found.code == 2
    assert found.out == ""
    assert found.err.startswith(f"mainspring: no mainspring.toml in {tmp_path}: ")
    assert "mainspring init DIR" in found.err


def test_a_mistake_in_the_spec_ends_with_2_and_names_its_line(mainspring, tmp_path):
    (tmp_path / "mainspring.toml").write_text('[project]\nname = "x"\n[models.late]\ntask = "chess"\n')
    found = mainspring("status", "--project", tmp_path)
    assert (found.code, found.out) == (2, "")
    assert "mainspring.toml, line 4: models.late.task: 'chess' is not a task" in found.err


@pytest.mark.parametrize("command", [["fit"], ["predict", "{}"], ["promote", "1"]])
def test_a_model_that_is_not_there_ends_with_2(mainspring, template, command):
    found = mainspring(command[0], "lat", *command[1:], *in_folder(template))
    assert found.code == 2
    assert "no model 'lat' in" in found.err
    assert "did you mean 'late'?" in found.err


def test_a_project_without_models(mainspring, tmp_path):
    (tmp_path / "mainspring.toml").write_text('[project]\nname = "x"\n')
    found = mainspring("fit", cwd=tmp_path)
    assert found.code == 2
    assert "declares no models: add a table [models.NAME]" in found.err
    assert mainspring("status", "--json", cwd=tmp_path).json == {"project": "x", "models": []}


def test_status(mainspring, template):
    found = mainspring("status", "--json", *in_folder(template))
    assert found.code == 0
    [model] = found.json["models"]
    assert (found.json["project"], model["model"], model["champion"], model["versions"]) == (
        "orders",
        "late",
        "1",
        ["1"],
    )
    assert model["score"].keys() >= {"value", "low", "high"}
    assert model["evidence"].startswith("roc_auc ")
    assert "better" in model["evidence"]
    assert model["since"].startswith("20")
    shown = mainspring("status", cwd=template.folder)
    assert shown.code == 0
    assert "late" in shown.out


def test_status_before_the_first_fit(mainspring, tmp_path):
    project = make_project(tmp_path / "new")
    [model] = mainspring("status", "--json", *in_folder(project)).json["models"]
    assert (model["champion"], model["score"], model["versions"]) == (None, None, [])
    assert "mainspring fit" in mainspring("status", *in_folder(project)).out.replace("\n", " ")
    assert not project.state.exists()  # to look is to change nothing


def test_evaluate(mainspring, template):
    found = mainspring("evaluate", "late", "--json", *in_folder(template))
    assert found.code == 0
    assert (found.json["model"], found.json["version"], found.json["champion"]) == ("late", "1", "1")
    assert set(found.json["metrics"]) >= {"roc_auc", "log_loss", "accuracy", "f1"}
    for estimate in found.json["metrics"].values():
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    shown = mainspring("evaluate", "late", *in_folder(template))
    assert "late version 1 (the champion), 55 held-out rows" in shown.out
    assert f"report: {template.state}/models/late/1/report.html" in shown.out


def test_evaluate_what_is_not_there(mainspring, template):
    found = mainspring("evaluate", "late", "--version", "8", *in_folder(template))
    assert (found.code, found.out) == (1, "")
    assert found.err == "mainspring: no version '8' of late; there are: 1\n"


@pytest.mark.parametrize("kind", ["argument", "list", "stdin", "json file", "csv"])
def test_predict(mainspring, template, tmp_path, kind):
    records = [RECORD, {"size": -2.0, "heat": -0.5, "plan": "b"}]
    (tmp_path / "records.json").write_text(json.dumps(records))
    write_rows(tmp_path / "records.csv", records)
    given = {
        "argument": json.dumps(records[0]),
        "list": json.dumps(records),
        "stdin": "-",
        "json file": tmp_path / "records.json",
        "csv": tmp_path / "records.csv",
    }[kind]
    found = mainspring("predict", "late", given, "--json", *in_folder(template), given=json.dumps(records))
    assert found.code == 0, found.err
    assert (found.json["model"], found.json["version"]) == ("late", "1")
    answers = found.json["predictions"]
    assert [answer["label"] for answer in answers] == [True, False][: 1 if kind == "argument" else 2]
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_predict_shows_a_table(mainspring, template):
    found = mainspring("predict", "late", json.dumps(RECORD), *in_folder(template))
    assert found.code == 0
    assert "p(true)" in found.out


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ('{"size": "big", "heat": 1, "plan": "a"}', 1, "$.size"),
        ('[{"size": 1, "heat": 1, "plan": "a"}, {"size": [], "heat": 1, "plan": "a"}]', 1, "$[1].size"),
        ("{", 1, "is not valid JSON"),
        ("[]", 1, "$"),
        ("nothing.json", 2, "nothing.json cannot be read"),
        ("nothing.csv", 1, "nothing.csv"),
    ],
)
def test_predict_what_cannot_be_answered(mainspring, template, given, code, said):
    found = mainspring("predict", "late", given, *in_folder(template))
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_predict_before_the_first_fit(mainspring, tmp_path):
    found = mainspring("predict", "late", "{}", *in_folder(make_project(tmp_path / "new")))
    assert found.code == 1
    assert "late has no champion yet: mainspring fit late" in found.err


def test_promote_and_rollback(mainspring, fitted):
    publish(fitted.state)
    found = mainspring("promote", "late", "2", "--json", *in_folder(fitted))
    assert (found.code, found.json) == (0, {"model": "late", "champion": "2"})
    assert desired.read(fitted.state).champion("late") == "2"
    found = mainspring("rollback", "late", *in_folder(fitted))
    assert found.code == 0
    assert "late: version 1 is the champion" in found.out
    assert desired.read(fitted.state).champion("late") == "1"
    found = mainspring("promote", "late", "3", *in_folder(fitted))
    assert (found.code, found.err) == (1, "mainspring: no version '3' of late; there are: 1, 2\n")


def test_fit_ends_with_0_where_there_is_nothing_to_do(mainspring, template):
    found = mainspring("fit", "--json", *in_folder(template))
    assert found.code == 0
    [model] = found.json["models"]
    assert (model["model"], model["outcome"], model["version"]) == ("late", "unchanged", "1")
    assert "nothing to do" in model["message"]


def test_fit_ends_with_3_where_the_gate_says_no(mainspring, fitted):
    project = respecify(fitted, *CHEAP)
    found = mainspring("fit", "--json", cwd=project.folder)
    assert found.code == 3
    [model] = found.json["models"]
    assert (model["outcome"], model["verdict"]["decision"]) == ("kept", "insufficient evidence")
    assert model["metrics"]["roc_auc"].keys() >= {"value", "low", "high"}
    assert "trying candidates on 245 rows" in found.err  # progress is no part of the output


def test_fit_ends_with_1_where_a_model_fails(mainspring, fitted):
    project = respecify(fitted, ('target = "late"', 'target = "lat"'))
    found = mainspring("fit", cwd=project.folder)
    assert found.code == 1
    assert "failed" in found.out
    assert "models.late.target" in found.out


@pytest.mark.slow
def test_words_that_look_like_markup_are_printed_as_they_are(mainspring, tmp_path):
    """Names of columns, labels and folders may hold brackets, which the terminal library takes for styles."""
    rows = make_rows()
    for row in rows:
        row["[/size]"] = row.pop("size")
        row["late"] = {True: "[/yes]", False: "[red]no"}[row["late"]]
        row["[/told]"] = row["late"]
    project = respecify(make_project(tmp_path / "[/x]", rows=rows), *CHEAP)
    found = mainspring("fit", cwd=project.folder)
    assert found.code == 0, found.err
    assert "[/told] gives the target away" in found.err
    record = {"[/size]": 1, "heat": 0, "plan": "a", "[/told]": "[/yes]"}
    found = mainspring("predict", "late", json.dumps(record), *in_folder(project))
    assert found.code == 0, found.err
    assert "p([red]no)" in found.out
    assert mainspring("status", cwd=project.folder).code == 0
    shutil.rmtree(project.state / "models" / "late" / "1")
    assert mainspring("status", cwd=project.folder).code == 0  # the evidence is now a message with the folder's name


def test_doctor(mainspring, fitted):
    found = mainspring("doctor", "--json", *in_folder(fitted))
    checks = {check["what"]: check for check in found.json["checks"]}
    assert found.code == 0, found.out
    assert all(check["well"] for check in checks.values())
    assert checks["data of late"]["found"] == "300 rows, 4 columns"
    assert checks["champion of late"]["found"] == "version 1, every file as it was written"
    (versions.load(fitted.state, "late", "1").folder / "model.onnx").unlink()
    (fitted.folder / "orders.csv").unlink()
    found = mainspring("doctor", "--json", *in_folder(fitted))
    assert found.code == 1
    wrong = {check["what"]: check["remedy"] for check in found.json["checks"] if not check["well"]}
    assert set(wrong) == {"data of late", "champion of late"}
    assert "model.onnx is missing: restore it" in wrong["champion of late"]


def test_doctor_outside_a_project(mainspring, tmp_path):
    found = mainspring("doctor", "--json", cwd=tmp_path)
    assert found.code == 1
    assert [check["what"] for check in found.json["checks"] if not check["well"]] == ["project"]
    shown = mainspring("doctor", cwd=tmp_path)
    assert shown.code == 1
    assert "✗ project" in shown.out
    assert "→ mend mainspring.toml" in shown.out


def test_keys(mainspring, fitted):
    assert mainspring("keys", "list", "--json", *in_folder(fitted)).json == {"keys": None}
    secret = mainspring("keys", "create", "shop", *in_folder(fitted)).out.strip()
    assert secret.startswith("ms_")
    assert secret not in (fitted.state / "keys.json").read_text()
    assert mainspring("keys", "create", "shop", *in_folder(fitted)).code == 1
    assert mainspring("keys", "list", "--json", *in_folder(fitted)).json == {"keys": ["shop"]}
    assert mainspring("keys", "remove", "shop", *in_folder(fitted)).code == 0
    assert mainspring("keys", "remove", "shop", *in_folder(fitted)).code == 1
    assert mainspring("keys", "list", *in_folder(fitted)).out == "no keys are left: the gateway answers nobody\n"


def test_a_file_that_cannot_be_written_is_a_message_and_no_traceback(mainspring, tmp_path):
    project = make_project(tmp_path)
    project.state.write_text("a file where the folder of the state should be")
    ended = mainspring("keys", "create", "shop", *in_folder(project))
    assert ended.code == 1
    assert ended.err.startswith("mainspring: [Errno ")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Shop 2", "my-shop-2"), ("2nd", "project-2nd"), ("x" * 90, "x" * 63)],
)
def test_init_writes_a_project(mainspring, tmp_path, folder, name):
    found = mainspring("init", folder, cwd=tmp_path)
    assert found.code == 0
    project = spec.load(tmp_path / folder)
    assert project.name == name
    assert list(project.models) == ["returns"]
    assert (tmp_path / folder / ".gitignore").read_text() == ".mainspring/\n"
    again = mainspring("init", folder, cwd=tmp_path)
    assert again.code == 1
    assert "is there already: choose another folder" in again.err
