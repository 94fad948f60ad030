"""schemathesis, a schema-driven fuzzer, with all its checks, over the real description of the API."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A tensor's shape must agree with its data and with the others, which JSON Schema cannot say; nor can the description
# of `/invocations` say which model's records are meant. So what fits these two descriptions may still be refused.
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 415, 422]

[[operations]]
include-path-regex = "/infer$|^/invocations$"
[operations.checks]
positive_data_acceptance.enabled = false
"""


def without_keys(value):
    """The description less the `keys` beside records, of which there must be as many: JSON Schema cannot say that."""
    if isinstance(value, list):
        return [without_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: without_keys(item) for name, item in value.items() if name != "keys" or "records" not in value}


def fuzz(served, folder, *options):
    (folder / "schemathesis.toml").write_text(CONFIG)
    (folder / "openapi.json").write_text(json.dumps(without_keys(served.client.get("/openapi.json").json())))
    command = Path(sys.executable).with_name("schemathesis")
    arguments = ["--continue-on-failure", "--generation-deterministic", "--warnings=off", *options]
    found = subprocess.run(
        [command, "run", "openapi.json", f"--url={served.url}", *arguments], cwd=folder, capture_output=True, text=True
    )
    return found.returncode, found.stdout + found.stderr


@pytest.mark.slow
def test_no_request_breaks_the_api_or_its_description(serve, tmp_path):
    served = serve()
    # Switching models off is for the second run: what is off is answered 503.
    status, said = fuzz(served, tmp_path, "--max-examples=15", "--exclude-path-regex=/(un)?load$")
    assert status == 0, said
    assert "/models/delay/predict" in served.client.get("/openapi.json").text
    paths = {line["path"] for line in served.log_lines() if line["status"] == 200}
    assert {"/models/delay/predict", "/models/stars/predict", "/models/fare/predict"} <= paths
    status, said = fuzz(served, tmp_path, "--max-examples=5", "--include-path-regex=/(un)?load$")
    assert status == 0, said
    assert not {line["status"] for line in served.log_lines()} & {500}


@pytest.mark.slow
def test_the_fuzzer_would_notice_a_description_that_is_wrong(serve, tmp_path, monkeypatch):
    from mainspring.serving import openapi

    honest = openapi.record_schema

    def lie(schema):
        found = honest(schema)
        for column in found["properties"].values():
            if column["type"] == "number":
                column["type"] = "string"
        return found

    monkeypatch.setattr(openapi, "record_schema", lie)
    status, said = fuzz(serve(), tmp_path, "--max-examples=5", "--include-path=/models/fare/predict")
    assert status == 1, said
    assert "/models/fare/predict" in said
