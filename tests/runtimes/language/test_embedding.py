from __future__ import annotations

import asyncio
import json
import shutil
import sys

import numpy as np
import pytest
from weights_at_hand import minilm_folder

from mainspring.errors import (
    ContextError,
    EngineGoneError,
    OverloadedError,
    RequestError,
    RuntimeLoadError,
    UnsupportedError,
)
from mainspring.runtimes.language.embedding import load_embedding
from mainspring.runtimes.language.pooling import Pooling, read_pooling
from mainspring.runtimes.language.protocol import Generate
from mainspring.tasks.export_encoder import export_encoder

TEXTS = [
    "How do I reset my password?",
    "Password",
    "The quick brown fox jumps over the lazy dog. " * 12,
    "Ein Satz auf Deutsch, mit Umlauten: äöü, und 🙂.",
    "",
    "Where can I change the secret word that I log in with?",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("encoder") / "model"
    export_encoder(minilm_folder(), target)
    return target


@pytest.fixture(scope="module")
def engine(folder):
    return load_embedding(folder, properties={"exact": True})


@pytest.fixture(scope="module")
def reference():
    """Sentence vectors by their definition: transformers, the mean of the states, length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    model = AutoModel.from_pretrained(minilm_folder(), dtype=torch.float32).eval()
    rows = []
    with torch.inference_mode():
        for text in TEXTS:
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            rows.append(torch.nn.functional.normalize(states.mean(0), dim=0).numpy())
    return np.array(rows)


def embed(engine, texts):
    return asyncio.run(engine.embed(texts))


def test_vectors_are_those_of_transformers(engine, reference):
    vectors, tokens = embed(engine, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(vectors, reference, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    counts = [asyncio.run(engine.count(Generate(prompt=text))) for text in TEXTS]
    assert tokens == sum(counts)
    assert counts[TEXTS.index("")] == 2
    assert vectors[0] @ vectors[5] > vectors[0] @ vectors[2] + 0.2


def test_a_text_has_the_same_vector_in_whatever_company(engine):
    together, _ = embed(engine, TEXTS * 20)
    for at, text in enumerate(TEXTS):
        alone, _ = embed(engine, [text])
        np.testing.assert_allclose(together[at :: len(TEXTS)], np.repeat(alone, 20, 0), atol=1e-5)


def test_the_fast_way_is_nearly_the_same(folder, reference):
    vectors, _ = embed(load_embedding(folder), TEXTS)
    assert (vectors * reference).sum(1).min() > 0.999


def test_without_openvino_it_runs_on_onnx_runtime(folder, reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = load_embedding(folder)
    assert engine.info.engine == "onnxruntime"
    np.testing.assert_allclose(embed(engine, TEXTS)[0], reference, atol=1e-5)


def test_tokens_may_come_in_place_of_texts(engine):
    ids = engine._tokenizer.encode(TEXTS[0]).ids
    np.testing.assert_allclose(embed(engine, [ids])[0], embed(engine, [TEXTS[0]])[0], atol=1e-6)
    with pytest.raises(RequestError, match="tokens go from 0 to 30521") as refused:
        embed(engine, [ids, [30522]])
    assert refused.value.place == "input[1]"
    with pytest.raises(RequestError, match="there is at least one"):
        embed(engine, [[]])


def test_nothing_has_no_vectors(engine):
    vectors, tokens = embed(engine, [])
    assert vectors.shape == (0, 384)
    assert tokens == 0


def test_a_text_that_is_too_long_is_refused_and_not_cut(engine):
    assert engine.capabilities.context == 256
    with pytest.raises(ContextError, match="the text has 302 tokens, and the model takes 256: split it") as refused:
        embed(engine, ["short", "word " * 300])
    assert refused.value.place == "input[1]"


def test_what_it_cannot_do_is_refused(engine):
    assert (engine.capabilities.generates, engine.capabilities.chat, engine.capabilities.embeds) == (False, False, 384)

    async def write():
        async for _ in engine.generate(Generate(prompt="Hello")):
            pass

    with pytest.raises(UnsupportedError, match="writes no text"):
        asyncio.run(write())
    with pytest.raises(UnsupportedError, match="takes no messages"):
        asyncio.run(engine.count(Generate(messages=[])))


def test_one_question_does_not_wait_for_a_thousand(engine):
    order = []

    async def one(name, texts):
        await engine.embed(texts)
        order.append(name)

    async def crowd():
        many = asyncio.ensure_future(one("many", [f"{text} {at}" for at in range(40) for text in TEXTS]))
        await asyncio.sleep(0.1)
        await asyncio.gather(many, one("one", ["A question?"]))

    asyncio.run(crowd())
    assert order == ["one", "many"]


def test_who_goes_away_stops_costing(engine):
    async def leave():
        task = asyncio.ensure_future(engine.embed(["word " * 200] * 2000))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(20):
            await engine.embed(["next"])

    asyncio.run(leave())
    assert len(engine._asked) <= 1


def test_a_full_queue_refuses(folder):
    engine = load_embedding(folder, properties={"queue": 3})
    with pytest.raises(OverloadedError, match="0 texts wait already, and 3 may: try again later"):
        embed(engine, ["a"] * 4)
    embed(engine, ["a"] * 3)


def test_a_closed_engine_says_so(folder):
    engine = load_embedding(folder)

    async def close():
        task = asyncio.ensure_future(engine.embed(["word " * 200] * 500))
        await asyncio.sleep(0.3)
        await engine.close()
        with pytest.raises(EngineGoneError, match="the engine is closed"):
            await task
        with pytest.raises(EngineGoneError, match="the engine is closed"):
            await engine.embed(["a"])

    asyncio.run(close())


def test_damage_is_told(folder, tmp_path):
    broken = tmp_path / "model"
    shutil.copytree(folder, broken)
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(RuntimeLoadError, match=r"model\.onnx cannot be loaded"):
        load_embedding(broken)
    shutil.copyfile(folder / "model.onnx", broken / "model.onnx")
    (broken / "tokenizer.json").write_text("{}")
    with pytest.raises(RuntimeLoadError, match=r"tokenizer\.json cannot be read"):
        load_embedding(broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(RuntimeLoadError, match=r"config\.json cannot be read"):
        load_embedding(broken)
    with pytest.raises(RuntimeLoadError, match="the properties of the engine are wrong: Object contains unknown field"):
        load_embedding(folder, properties={"fast": True})


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("cls", [1, 0]), ("mean", [2, 1]), ("max", [3, 2]), ("mean_sqrt_len", [2 * 2**0.5, 2**0.5])],
)
def test_pooling_leaves_out_what_is_padded(mode, expected):
    states = np.array([[[1, 0], [3, 2], [99, -99]]], np.float32)
    found = Pooling(mode, 8, 2)(states, np.array([[1, 1, 0]]))
    np.testing.assert_allclose(found[0], np.array(expected) / np.linalg.norm(expected), rtol=1e-6)


def test_pooling_that_is_not_done_here_is_refused(folder, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    assert read_pooling(copy).mode == "mean"
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    with pytest.raises(
        RuntimeLoadError, match=r"pooling is one of pooling_mode_cls_token.*found pooling_mode_lasttoken"
    ):
        read_pooling(copy)
    modules = json.loads((copy / "modules.json").read_text())
    modules.append({"path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(RuntimeLoadError, match="its vectors go through 'Dense', which is not done here"):
        read_pooling(copy)
