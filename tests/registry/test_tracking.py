from __future__ import annotations

import os
import shutil
import sqlite3
import time
from importlib.util import find_spec

import pytest
from projects import make_project, publish, respecify, wait_until

from mainspring.errors import RegistryError, TrackingError
from mainspring.registry import tracking, versions

pytest.importorskip("mlflow")
from mlflow import MlflowClient


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """A project with an empty MLflow database; making one takes a second."""
    project = make_project(tmp_path_factory.mktemp("empty") / "orders")
    tracking.connect(project)
    return project


@pytest.fixture
def project(empty, copy_of):
    return copy_of(empty)


@pytest.fixture
def store(project):
    return tracking.connect(project)


@pytest.fixture
def client(store):
    return MlflowClient(store.uri, store.uri)


def registered(client, name="late"):
    return list(client.search_model_versions(f"name = '{name}'"))


def test_the_store_is_a_database_of_the_projects_own(project, store):
    assert store.uri == f"sqlite:///{project.state}/mlflow.db"
    assert (project.state / "mlflow.db").is_file()
    assert store.registered_name("late") == "late"


def test_a_version_is_kept_with_its_run_and_its_files(project, store, client):
    store.record(publish(project.state))
    [kept] = registered(client)
    assert kept.tags["mainspring.version"] == "1"
    assert kept.tags["mainspring.verdict"] == "promote"
    assert kept.description == "better than the baseline"
    run = client.get_run(kept.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mainspring.project"] == "orders"
    assert run.data.metrics == {"roc_auc": 0.8, "f1": 0.6, "search.roc_auc": 0.75}
    assert [point.value for point in client.get_metric_history(kept.run_id, "search.roc_auc")] == [0.7, 0.75]
    assert run.data.params["linear.strength"] == "0.5"
    assert run.data.params["lineage.data"] == "d" * 64
    assert len(run.data.params["note"]) == 500
    names = {file.path for file in client.list_artifacts(kept.run_id, "version")}
    assert names == {f"version/{name}" for name in (*publish(project.state).manifest.files, "manifest.json")}
    assert kept.source == f"runs:/{kept.run_id}/version"


def test_recorded_twice_is_recorded_once(project, store, client):
    version = publish(project.state)
    store.record(version)
    tracking.connect(project).record(version)
    assert len(registered(client)) == 1
    assert (
        len(client.search_runs([client.get_experiment_by_name("orders in " + str(project.folder)).experiment_id])) == 1
    )


def test_aliases(project, store, client):
    assert store.champion("late") is None
    for _ in range(3):
        store.record(publish(project.state))
    assert store.champion("late") is None
    store.set_alias("late", tracking.CHAMPION, "2")
    store.set_alias("late", tracking.CHALLENGER, "3")
    assert store.champion("late") == "2"
    store.set_alias("late", tracking.CHAMPION, "1")
    assert store.champion("late") == "1"
    assert client.get_model_version_by_alias("late", "challenger").tags["mainspring.version"] == "3"
    client.delete_registered_model_alias("late", "champion")
    assert store.champion("late") is None


def test_mlflows_own_numbers_are_not_ours(project, store, client):
    client.create_registered_model("late")
    client.create_model_version("late", source="file:///elsewhere")
    store.record(publish(project.state))
    store.set_alias("late", tracking.CHAMPION, "1")
    assert str(client.get_model_version_by_alias("late", "champion").version) == "2"
    assert store.champion("late") == "1"


def test_an_alias_on_a_version_that_is_not_ours_is_told(store, client):
    client.create_registered_model("late")
    client.create_model_version("late", source="file:///elsewhere")
    client.set_registered_model_alias("late", "champion", "1")
    with pytest.raises(RegistryError, match=r"alias 'champion' of 'late' in MLflow is on version 1, which Mainspring"):
        store.champion("late")


def test_a_second_database_by_setting_is_shared_between_projects(project, tmp_path):
    shared = tmp_path / "shared.db"
    shutil.copy(project.state / "mlflow.db", shared)
    theirs = []
    for name in ("orders", "returns"):
        folder = tmp_path / name
        uri = f'[tracking]\nuri = "sqlite:///{os.path.relpath(shared, folder)}"\n'
        mine = respecify(
            make_project(folder), ("[serving]", uri + "[serving]"), ('name = "orders"', f'name = "{name}"')
        )
        store = tracking.connect(mine)
        store.record(publish(mine.state))
        store.set_alias("late", tracking.CHAMPION, "1")
        assert store.champion("late") == "1"
        assert not (mine.state / "mlflow.db").exists()
        assert len(list((mine.state / "mlartifacts").iterdir())) == 1  # and not in the folder that we happen to be in
        theirs.append(store.registered_name("late"))
    assert theirs == ["orders.late", "returns.late"]
    client = MlflowClient(f"sqlite:///{shared}", f"sqlite:///{shared}")
    assert {model.name for model in client.search_registered_models()} == set(theirs)


@pytest.mark.skipif(find_spec("flask") is None, reason="an MLflow server needs all of MLflow, not mlflow-skinny")
@pytest.mark.slow
def test_a_tracking_server(tmp_path, start):
    import socket

    import httpx

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start(
        *("-m", "mlflow", "server", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", str(tmp_path / "files")),
    )

    def healthy():
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health").is_success
        except httpx.TransportError:
            return False

    wait_until(healthy, "the server", 120)
    tracked = f'[tracking]\nuri = "http://127.0.0.1:{port}"\n'
    project = respecify(make_project(tmp_path / "orders"), ("[serving]", tracked + "[serving]"))
    store = tracking.connect(project)
    store.record(publish(project.state))
    store.set_alias("late", tracking.CHAMPION, "1")
    client = MlflowClient(store.uri, store.uri)
    [kept] = registered(client, "orders.late")
    assert client.get_run(kept.run_id).data.metrics["roc_auc"] == 0.8
    assert len(client.list_artifacts(kept.run_id, "version")) == 6
    assert store.champion("late") == "1"


def test_a_copied_project_writes_to_its_own_folder(project, store, client, empty):
    store.record(publish(project.state))
    [kept] = registered(client)
    assert client.get_run(kept.run_id).info.artifact_uri.startswith((project.state / "mlartifacts").as_uri())
    assert (project.state / "mlartifacts").is_dir()
    [run] = [path.name for path in (project.state / "mlartifacts").iterdir()]
    assert run == kept.run_id
    assert not (empty.state / "mlartifacts" / run).exists()


def test_a_database_that_is_none(project):
    (project.state / "mlflow.db").write_bytes(os.urandom(20_000))
    with pytest.raises(TrackingError, match=r"MLflow at sqlite:///.*mlflow.db failed: "):
        tracking.connect(project)


def test_a_database_that_is_gone_is_begun_anew(project):
    (project.state / "mlflow.db").unlink()
    assert tracking.connect(project).champion("late") is None
    assert (project.state / "mlflow.db").is_file()


def test_a_database_that_goes_while_it_is_open_answers_no_more(project, store):
    """MLflow goes on reading the deleted file, and the follower would undo promotions by what it says."""
    store.record(publish(project.state))
    store.set_alias("late", tracking.CHAMPION, "1")
    for _ in range(2):
        assert store.champion("late") == "1"  # negative: a file that is still there answers
        (project.state / "mlflow.db").unlink()
        with pytest.raises(TrackingError, match=r"was deleted or replaced"):
            store.champion("late")
        store = tracking.connect(project)
        assert store.champion("late") is None
        store.record(versions.load(project.state, "late", "1"))
        store.set_alias("late", tracking.CHAMPION, "1")
    assert tracking.connect(project).champion("late") == "1"


def test_a_database_in_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    lost = f'[tracking]\nuri = "sqlite:///{tmp_path}/file/mlflow.db"\n'
    project = respecify(make_project(tmp_path / "orders"), ("[serving]", lost + "[serving]"))
    with pytest.raises(TrackingError, match=r"MLflow at sqlite:///.*/file/mlflow.db failed: "):
        tracking.connect(project)


def test_a_database_that_another_program_holds(empty, tmp_path):
    shared = tmp_path / "shared.db"
    shutil.copy(empty.state / "mlflow.db", shared)
    patience = f'[tracking]\nuri = "sqlite:///{shared}?timeout=0.2"\n'  # of 5 s, which is SQLite's own
    store = tracking.connect(respecify(make_project(tmp_path / "orders"), ("[serving]", patience + "[serving]")))
    holder = sqlite3.connect(shared, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(TrackingError, match=r"shared.db\?timeout=0.2 failed: .*locked"):
            store.champion("late")
    finally:
        holder.close()
    assert store.champion("late") is None


@pytest.mark.slow
def test_a_server_that_is_away_is_told_soon_and_without_its_password(tmp_path):
    away = '[tracking]\nuri = "http://anna:secret@127.0.0.1:9"\n'
    project = respecify(make_project(tmp_path / "orders"), ("[serving]", away + "[serving]"))
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"MLflow at http://127.0.0.1:9 failed: ") as caught:
        tracking.connect(project)
    assert time.monotonic() - began < 60
    assert "secret" not in str(caught.value)
    assert "anna" not in str(caught.value)


def test_a_server_of_variables_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKING_TOKEN", "s3cret")
    uri = '[tracking]\nuri = "https://token:${TRACKING_TOKEN}@mlflow.example"\n'
    project = respecify(make_project(tmp_path / "orders"), ("[serving]", uri + "[serving]"))
    assert tracking.tracking_uri(project) == "https://token:s3cret@mlflow.example"


@pytest.mark.slow
def test_processes_that_begin_together_make_one_database(tmp_path, start):
    """As `mainspring up` does on a new project: the follower and the fit. MLflow's own migration is not safe for it."""
    project = make_project(tmp_path / "new")
    script = "import sys; from mainspring import spec; from mainspring.registry import tracking; "
    script += "print('ready', flush=True); input(); tracking.connect(spec.load(sys.argv[1])).champion('late')"
    processes = [start("-c", script, str(project.folder), stdin=-1, stdout=-1) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(120) for process in processes] == [0, 0, 0]
