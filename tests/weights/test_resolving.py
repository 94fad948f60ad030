from __future__ import annotations

import os
import shutil

import pytest
from weights_at_hand import minilm_folder, smollm2_gguf

from mainspring.errors import SpecError, WeightsError
from mainspring.files import sha256
from mainspring.weights import cache, catalogue, resolve

FOLDER = {
    "config.json": b"{}",
    "model.safetensors": b"numbers",
    "tokenizer.json": b"{}",
    "1_Pooling/config.json": b"{ }",
    "README.md": b"# Mine",
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_default_language_model(tmp_path):
    found = resolve("smollm2-135m-instruct", tmp_path)
    assert found.path == smollm2_gguf()
    assert (found.kind, found.licence, found.bytes) == ("gguf", "Apache-2.0", 98_362_432)
    assert found.identity == sha256(found.path) == catalogue.load()[found.name].identity


def test_the_default_embedder(tmp_path):
    found = resolve("all-minilm-l6-v2", tmp_path)
    assert found.path == minilm_folder()
    assert found.kind == "huggingface"
    entry = catalogue.load()[found.name]
    assert {name: sha256(found.path / name) for name in entry.files} == {n: f.sha256 for n, f in entry.files.items()}


def test_equal_weights_are_the_same_wherever_they_come_from(tmp_path, cache_folder):
    own = tmp_path / "mine"
    shutil.copytree(minilm_folder(), own)
    (own / "README.md").write_text("not of the weights")
    found = resolve("mine", tmp_path)
    assert found.identity == catalogue.load()["all-minilm-l6-v2"].identity
    assert (found.kind, found.path, found.source, found.licence) == ("huggingface", own, "this machine", None)
    (own / "tokenizer_config.json").write_text("{}")
    assert resolve("mine", tmp_path).identity != found.identity


def test_a_gguf_file_of_the_project(tmp_path, cache_folder):
    write(tmp_path, {"weights/my.gguf": b"GGUF and more"})
    found = resolve("weights/my.gguf", tmp_path)
    assert (found.kind, found.name, found.path) == ("gguf", "my.gguf", tmp_path / "weights" / "my.gguf")
    assert found.identity == sha256(found.path)
    assert resolve("weights", tmp_path).identity == found.identity
    assert resolve(str(found.path), tmp_path / "elsewhere") == found


def test_a_file_that_changes_is_noticed(tmp_path, cache_folder):
    path = write(tmp_path, {"my.gguf": b"GGUF one"}) / "my.gguf"
    for content in (b"GGUF one", b"GGUF two", b"GGUF three"):
        path.write_bytes(content)
        assert cache.sha256(path) == sha256(path)


def test_a_large_file_is_hashed_once(tmp_path, cache_folder):
    """Seen by what must not be done to a file: other bytes of the same size under the old time."""
    path = write(tmp_path, {"my.gguf": b"GGUF one"}) / "my.gguf"
    os.utime(path, ns=(0, 10**18))
    before = cache.sha256(path)
    path.write_bytes(b"GGUF two")
    os.utime(path, ns=(0, 10**18))
    assert cache.sha256(path) == before
    os.utime(path, ns=(0, 10**18 + 1))
    assert cache.sha256(path) == sha256(path) != before


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSPRING_CACHE", "/proc/none")
    write(tmp_path, {"my.gguf": b"GGUF one"})
    os.utime(tmp_path / "my.gguf", ns=(0, 10**18))
    assert resolve("my.gguf", tmp_path).identity == sha256(tmp_path / "my.gguf")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"a pickle"}, "only as a pickle (pytorch_model.bin), which runs"),
        ({"model.pt": b"a pickle"}, "only as a pickle (model.pt), which runs"),
        ({"model.safetensors": b"numbers"}, "has model.safetensors but no config.json"),
        ({"a.gguf": b"GGUF", "b.gguf": b"GGUF"}, "has 2 GGUF files: name one of them"),
        ({"README.md": b""}, "has no weights: neither config.json with *.safetensors, nor a *.gguf"),
    ],
)
def test_a_folder_without_usable_weights_is_refused_with_the_reason(tmp_path, cache_folder, files, said):
    write(tmp_path / "mine", files)
    with pytest.raises(WeightsError) as told:
        resolve("./mine", tmp_path)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("my.gguf", b"PK\x03\x04", "is no GGUF file: it begins with b'PK"),
        ("my.gguf", b"", "is no GGUF file"),
        ("my.pt", b"a pickle", "only as a pickle"),
        ("model.safetensors", b"numbers", "no config.json"),
        ("notes.txt", b"", "has no weights"),
    ],
)
def test_a_file_that_is_no_gguf_is_refused(tmp_path, cache_folder, name, content, said):
    write(tmp_path, {name: content})
    with pytest.raises(WeightsError) as told:
        resolve(name, tmp_path)
    assert said in str(told.value)


def test_a_pickle_beside_the_weights_is_left_alone(tmp_path, cache_folder):
    with_it = resolve("./mine", write(tmp_path, {f"mine/{name}": content for name, content in FOLDER.items()}))
    (tmp_path / "mine" / "pytorch_model.bin").write_bytes(b"a pickle")
    assert resolve("./mine", tmp_path) == with_it


@pytest.mark.parametrize(
    ("base", "hint"),
    [
        ("smollm2-135m-instuct", "did you mean 'smollm2-135m-instruct'?"),
        ("SmolLM2-135M-Instruct", "did you mean 'smollm2-135m-instruct'?"),
        ("all-minilm-l6", "did you mean 'all-minilm-l6-v2'?"),
        ("zzz", "mainspring pull --list shows the names"),
        ("./zzz.gguf", "mainspring pull --list shows the names"),
        ("", "mainspring pull --list shows the names"),
    ],
)
def test_what_there_is_not_is_told_with_the_nearest_name(tmp_path, base, hint):
    with pytest.raises(SpecError) as told:
        resolve(base, tmp_path)
    assert str(told.value).endswith(hint)
    assert str(tmp_path) in str(told.value)


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"MAINSPRING_CACHE": "/own", "XDG_CACHE_HOME": "/shared"}, "/own"),
        ({"MAINSPRING_CACHE": "", "XDG_CACHE_HOME": "/shared"}, "/shared/mainspring"),
        ({"XDG_CACHE_HOME": "not/absolute", "HOME": "/home/me"}, "/home/me/.cache/mainspring"),
        ({"HOME": "/home/me"}, "/home/me/.cache/mainspring"),
    ],
)
def test_where_the_cache_folder_is(monkeypatch, environment, folder):
    for name in ("MAINSPRING_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache.folder()) == folder
