import json

import pytest
from projects import wait_until

from mainspring.errors import RegistryError
from mainspring.serving import keys
from mainspring.serving.gateway import Gateway

from .conftest import make_project


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path):
    assert keys.names(tmp_path) is None
    secret = keys.create(tmp_path, "app")
    assert secret.startswith("ms_")
    assert len(secret) == 3 + 43
    assert keys.names(tmp_path) == ["app"]
    file = tmp_path / keys.FILE_NAME
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(RegistryError, match="already"):
        keys.create(tmp_path, "app")
    assert keys.KeyRing(tmp_path).holder(secret.encode()) == "app"
    assert keys.KeyRing(tmp_path).holder(secret[:-1].encode()) is None
    assert keys.KeyRing(tmp_path).holder(b"") is None


def test_removing_the_last_key_does_not_open_the_gateway(tmp_path):
    secret = keys.create(tmp_path, "app")
    with pytest.raises(RegistryError, match="there are: app"):
        keys.remove(tmp_path, "other")
    keys.remove(tmp_path, "app")
    assert keys.names(tmp_path) == []
    ring = keys.KeyRing(tmp_path)
    assert not ring.open
    assert ring.holder(secret.encode()) is None


@pytest.mark.parametrize("content", ["{", '{"keys": [{"name": "a", "sha256": "xyz", "created": ""}]}', "[]"])
def test_a_damaged_file_does_not_open_the_gateway(tmp_path, content):
    project = make_project(tmp_path)
    project.state.mkdir()
    (project.state / keys.FILE_NAME).write_text(content)
    with pytest.raises(RegistryError, match="damaged"):
        Gateway(project)


def test_requests_need_a_key_once_there_is_one(serve):
    served = serve()
    assert served.predict().status_code == 200
    secret = keys.create(served.state, "app")
    wait_until(lambda: served.predict().status_code == 401, "the key to be needed")
    answer = served.predict()
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "key_missing"

    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer {secret}"},
        {"x-api-key": secret},
    ):
        assert served.predict(headers=headers).status_code == 200
    for headers in ({"authorization": "Bearer ms_no"}, {"x-api-key": secret + "x"}, {"x-api-key": "ü".encode()}):
        assert served.predict(headers=headers).status_code == 403
    for headers in ({"authorization": f"Basic {secret}"}, {"authorization": secret}, {"authorization": "Bearer"}):
        assert served.predict(headers=headers).status_code == 401

    for path in ("/livez", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"):
        assert served.client.get(path).status_code == 200
    for path in ("/", "/models", "/metrics", "/docs", "/openapi.json", "/v2", "/nowhere"):
        assert served.client.get(path).status_code == 401
    assert served.client.post("/v2/models/delay/infer").json() == {"error": served.predict().json()["error"]["message"]}
    assert served.client.post("/invocations").json()["error_code"] == "UNAUTHENTICATED"
    assert served.client.post("/v2/repository/models/delay/unload").status_code == 401

    # Damage keeps the keys as they are.
    (served.state / keys.FILE_NAME).write_text("{")
    for _ in range(5):
        assert served.predict().status_code == 401
        assert served.predict(headers={"x-api-key": secret}).status_code == 200
    (served.state / keys.FILE_NAME).unlink()
    keys.create(served.state, "other")
    wait_until(lambda: served.predict(headers={"x-api-key": secret}).status_code == 403, "the key to be revoked")

    log = served.log_lines()
    assert {line.get("key", "") for line in log} == {"", "app"}
    assert secret not in json.dumps(log)
