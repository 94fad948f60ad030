"""Small models of each kind, there and back; what llama.cpp and OpenVINO read is what transformers computes."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mainspring.errors import WeightsError
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights import gguf_weights, llama_family, to_gguf, to_huggingface
from mainspring.weights.gguf import read_header, summary
from mainspring.weights.gguf_weights import read_tensor, requantize
from weights import small_models

TEXTS = ["Hello <|im_end|> 12 34  x\n café 漢", "</s> it isn't\n\n\n  the 🙂", ""]


@pytest.fixture(scope="module", params=small_models.KINDS)
def small(request, tmp_path_factory):
    """A model, and what it is as a GGUF file (F32)."""
    made = small_models.make(request.param, tmp_path_factory.mktemp("small"))
    to_gguf.convert(made.folder, made.folder.parent / f"{made.folder.name}.gguf", "F32")
    return made


@pytest.fixture(scope="module")
def file(small):
    return small.folder.parent / f"{small.folder.name}.gguf"


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return small_models.make("qwen 2", tmp_path_factory.mktemp("qwen"))


def test_llamacpp_computes_what_transformers_does(small, file):
    size = small.model.config.vocab_size
    ids = np.random.default_rng(0).integers(5, size - 5, (3, 100))
    expected = small.logprobs(ids)[:, -1]
    with small_models.in_llamacpp(file) as client:
        plain = small.words.reference.convert_tokens_to_ids("a")
        found = np.stack([small_models.next_in_llamacpp(client, row.tolist(), size, plain) for row in ids])
        asked = {"add_special": True, "parse_special": True}
        tokens = [client.post("/tokenize", json={"content": text, **asked}).json()["tokens"] for text in TEXTS]
    if small.model.config.model_type == "qwen2":  # llama.cpp composes no characters
        tokens[0], tokens[1] = (small.words.reference(text).input_ids for text in TEXTS[:2])
    assert tokens == [small.words.reference(text).input_ids for text in TEXTS]
    # llama.cpp sums in another order, and partly in half precision; one wrong dimension makes this 0.5 and more.
    assert np.abs(np.exp(found) - np.exp(expected)).max() < 0.01
    assert np.abs(found - expected).max() < 0.05


def test_a_folder_comes_back_as_it_was(small, file, tmp_path):
    to_huggingface.convert(file, tmp_path)
    back = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert back.config.model_type == small.model.config.model_type.replace("mistral", "llama")
    weights = back.state_dict()
    assert weights.keys() == small.model.state_dict().keys()
    for name, expected in small.model.state_dict().items():
        assert torch.equal(weights[name], expected), name
    ids = np.random.default_rng(1).integers(0, small.model.config.vocab_size, (2, 60))
    assert np.array_equal(small_models.logprobs(back, ids), small.logprobs(ids))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tokenizer(text).input_ids == small.words.reference(text).input_ids
    for read in (Tokenizer.from_gguf(file), Tokenizer.from_folder(tmp_path), Tokenizer.from_folder(small.folder)):
        assert read.bos_id == small.words.reference.bos_token_id
        assert small.words.reference.eos_token_id in read.end_ids
        assert read.adds_bos == (small.words.reference("x").input_ids[0] == read.bos_id)
        for text in TEXTS:
            assert read.encode(text) == small.words.reference.encode(text, add_special_tokens=False)
    for template in (ChatTemplate.from_gguf(file), ChatTemplate.from_folder(tmp_path)):
        assert template.render([{"role": "user", "content": "Hello"}]) == "Hello!"


@pytest.mark.parametrize("type_", ["F16", "BF16", "Q8_0", "Q5_1", "Q4_1", "Q4_0"])
def test_each_type_is_as_near_as_it_has_bits(qwen, tmp_path, type_):
    to_gguf.convert(qwen.folder, tmp_path / "model.gguf", type_)
    to_huggingface.convert(tmp_path / "model.gguf", tmp_path)
    weights, expected = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict(), qwen.model.state_dict()
    most = {"F16": 0, "BF16": 2**-8, "Q8_0": 0.005, "Q5_1": 0.03, "Q4_1": 0.06, "Q4_0": 0.125}[type_]
    errors = [
        float((weights[name] - values).abs().max() / values.abs().max())
        for name, values in expected.items()
        if "proj.weight" in name
    ]
    assert max(errors) <= most
    assert max(errors) >= most / 10
    kinds = {tensor.name: tensor.type for tensor in read_header(tmp_path / "model.gguf").tensors}
    assert kinds["blk.0.ffn_up.weight"] == type_
    assert kinds["blk.0.attn_norm.weight"] == kinds["blk.0.attn_q.bias"] == "F32"
    assert kinds["token_embd.weight"] == ("Q8_0" if type_[:2] in {"Q4", "Q5"} else type_)  # it makes the logits, too


def test_a_file_in_another_type_says_the_same_of_itself(qwen, tmp_path):
    to_gguf.convert(qwen.folder, tmp_path / "f32.gguf", "F32")
    requantize(tmp_path / "f32.gguf", tmp_path / "q8.gguf", "Q8_0")
    to_gguf.convert(qwen.folder, tmp_path / "at once.gguf", "Q8_0")
    first, again, at_once = (read_header(tmp_path / name) for name in ("f32.gguf", "q8.gguf", "at once.gguf"))
    assert again.values["general.file_type"] == 7
    for header in (again, at_once):
        assert header.values.keys() == first.values.keys()
        assert header.types == first.types
        for key in first.values.keys() - {"general.file_type"}:
            assert np.array_equal(header.values[key], first.values[key]), key
    for one, other in zip(again.tensors, at_once.tensors, strict=True):
        assert (one.name, one.type, one.shape) == (other.name, other.type, other.shape)
        assert np.array_equal(read_tensor(again.path, one), read_tensor(at_once.path, other))
    assert summary(tmp_path / "q8.gguf").types["Q8_0"] < summary(tmp_path / "f32.gguf").types["F32"] / 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at once.gguf", "f32.gguf", "q8.gguf"]


def test_rows_that_are_not_whole_blocks_stay_floats():
    assert gguf_weights.stored_type("blk.0.attn_q.weight", (8, 33), "Q4_0", "output.weight") == "F16"
    assert gguf_weights.stored_type("blk.0.attn_q.weight", (8, 64), "Q4_0", "output.weight") == "Q4_0"


def test_several_files_and_bfloat16_are_read(qwen, tmp_path):
    model = qwen.model.to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="50KB")
    qwen.model.float()
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(qwen.folder / name, tmp_path)
    to_gguf.convert(tmp_path, tmp_path / "model.gguf", "BF16")
    to_huggingface.convert(tmp_path / "model.gguf", tmp_path / "back", "BF16")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    assert back.dtype == torch.bfloat16
    expected = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).state_dict()
    assert all(torch.equal(weights, expected[name]) for name, weights in back.state_dict().items())


@pytest.mark.parametrize("scaling", [{"rope_type": "linear", "factor": 4.0}, {"rope_type": "yarn", "factor": 2.0}])
def test_other_scalings_of_positions_come_back(tmp_path, scaling):
    if scaling["rope_type"] == "yarn":
        scaling = scaling | {"original_max_position_embeddings": 128}
    made = small_models.make("smollm 2", tmp_path, rope_parameters={"rope_theta": 10_000.0, **scaling})
    to_gguf.convert(tmp_path, tmp_path / "model.gguf", "F32")
    to_huggingface.convert(tmp_path / "model.gguf", tmp_path / "back")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "back").eval()
    ids = np.random.default_rng(1).integers(0, made.model.config.vocab_size, (1, 60))
    assert np.array_equal(small_models.logprobs(back, ids), made.logprobs(ids))


def test_a_window_of_attention_ends_the_context(tmp_path):
    small_models.make("mistral", tmp_path, sliding_window=100)
    to_gguf.convert(tmp_path, tmp_path / "model.gguf", "F32")
    assert summary(tmp_path / "model.gguf").context == 100


def test_factors_that_no_llama_has_are_refused():
    factors = llama_family.llama3_factors(5e5, 64, small_models.LLAMA_3_ROPE)
    assert llama_family.llama3_scaling(5e5, 64, factors)["factor"] == 8.0
    factors[20] *= 1.01
    with pytest.raises(WeightsError, match="no scaling of Llama 3's"):
        llama_family.llama3_scaling(5e5, 64, factors)


def _change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "are converted here, found .'GPT2LMHeadModel'."),
        ({"num_hidden_layers": 3}, r"3 layers by its config.json, but no tensor for blk\.2"),
        ({"num_attention_heads": 0}, "must be a whole number from 1, found 0"),
        ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, "'longrope' are not converted"),
    ],
)
def test_a_folder_of_something_else_is_refused(qwen, tmp_path, changes, message):
    folder = shutil.copytree(qwen.folder, tmp_path / "model")
    _change(folder / "config.json", **changes)
    with pytest.raises(WeightsError, match=message):
        to_gguf.convert(folder, tmp_path / "model.gguf", "F16")
    assert not (tmp_path / "model.gguf").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_damaged_weights_are_refused(qwen, tmp_path):
    folder = shutil.copytree(qwen.folder, tmp_path / "model")
    with pytest.raises(WeightsError, match="not as 'Q2_K'"):
        to_gguf.convert(folder, tmp_path / "model.gguf", "Q2_K")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    for content in (b"", b"\xff" * 100, whole[:-1], whole[:8] + b"[" + whole[9:], whole.replace(b"F32", b"I32", 1)):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            to_gguf.convert(folder, tmp_path / "model.gguf", "F16")
    file.write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(WeightsError, match="not finite"):
        to_gguf.convert(folder, tmp_path / "model.gguf", "F16")
    file.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match="no safetensors file"):
        to_gguf.convert(folder, tmp_path / "model.gguf", "F16")


def test_a_gguf_file_of_something_else_is_refused(tmp_path):
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "model.gguf", "bert")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(WeightsError, match="converted here, found 'bert'"):
        to_huggingface.convert(tmp_path / "model.gguf", tmp_path / "back")
    assert not (tmp_path / "back").exists()
