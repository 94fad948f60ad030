"""schemathesis over the description of `/v1`, with a gateway behind it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What a schema cannot say may still be refused: a model that is not there, parameters that exclude each other.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 404, 405, 415]
"""


def fuzz(languages, folder, description):
    (folder / "schemathesis.toml").write_text(CONFIG)
    (folder / "openapi.json").write_text(json.dumps(description))
    command = [Path(sys.executable).with_name("schemathesis"), "run", "openapi.json", f"--url={languages.url}"]
    options = ["--include-path-regex=^/v1", "--continue-on-failure", "--generation-deterministic", "--warnings=off"]
    found = subprocess.run(
        [*command, *options, "--max-examples=10"], cwd=folder, capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout + found.stderr


def asked_for_ours(description):
    """The description with the names of models that there are, which only the gateway knows."""
    schemas = description["components"]["schemas"]
    for name, model in (("ChatRequest", "desk"), ("CompletionRequest", "writer"), ("EmbeddingRequest", "vectors")):
        schemas[name]["properties"]["model"] = {"const": model}
    return description


@pytest.mark.slow
def test_no_request_breaks_the_api_or_its_description(languages, tmp_path):
    description = languages.client.get("/openapi.json").json()
    assert {path for path in description["paths"] if path.startswith("/v1")} == {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{name}",
    }
    status, said = fuzz(languages, tmp_path, asked_for_ours(description))
    assert status == 0, said
    answered = {(line["path"], line["status"]) for line in languages.log_lines()}
    assert {(f"/v1/{path}", 200) for path in ("chat/completions", "completions", "embeddings")} <= answered
    assert 500 not in {status for _, status in answered}


def test_without_language_models_they_are_not_described(serve):
    paths = serve().client.get("/openapi.json").json()["paths"]
    assert "/v1/chat/completions" not in paths
