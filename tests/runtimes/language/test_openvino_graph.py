"""OpenVINO computes what the file says, once its graph is mended; and without, it does not."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from weights import small_models
from weights_at_hand import smollm2_gguf

from mainspring.errors import RuntimeLoadError
from mainspring.evaluation.language import compare, parity_texts
from mainspring.runtimes.language.openvino import PROPERTIES
from mainspring.runtimes.language.openvino_graph import write_graph
from mainspring.runtimes.language.scoring import Scorer
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.weights import to_gguf, to_huggingface
from mainspring.weights.gguf_weights import requantize


def scored(graph, texts, precision="32-bit"):
    """For each text the log-probabilities of every next token, (length, vocabulary)."""
    logits = (torch.from_numpy(logits_of(graph, text, precision)) for text in texts)
    return [torch.log_softmax(each, -1).numpy() for each in logits]


def logits_of(graph, text, precision):
    """(length, vocabulary)."""
    import openvino

    request = openvino.Core().compile_model(str(graph), "CPU", PROPERTIES[precision]).create_infer_request()
    ids = np.array([text], np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "beam_idx": np.zeros(1, np.int32)}
    request.infer(feeds | {"position_ids": np.arange(len(text))[None]})
    return request.get_tensor("logits").data[0].copy()


def unmended(gguf, folder):
    """The graph as OpenVINO itself reads the file."""
    import openvino_genai

    folder.mkdir()
    (folder / "model.gguf").symlink_to(gguf)
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = 2
    saved = {"enable_save_ov_model": True}
    openvino_genai.ContinuousBatchingPipeline(str(folder / "model.gguf"), scheduler, "CPU", saved)
    return folder / "openvino_model.xml"


@pytest.mark.parametrize(
    ("kind", "type_", "as_read"),
    [
        ("smollm 2", "Q8_0", "right"),
        ("smollm 2", "Q4_0", "right"),
        ("smollm 2", "Q4_1", "wrong"),
        ("llama 3", "F16", "wrong"),
        ("llama 3", "Q4_1", "wrong"),
        ("qwen 2", "Q4_1", "wrong"),
        ("qwen 3", "F16", "wrong"),
    ],
)
def test_each_kind_in_each_type_is_what_transformers_computes(kind, type_, as_read, tmp_path):
    made = small_models.make(kind, tmp_path)
    gguf = tmp_path / "model.gguf"
    to_gguf.convert(made.folder, gguf, type_)
    to_huggingface.convert(gguf, tmp_path / "back")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "back").eval()
    ids = np.random.default_rng(0).integers(5, made.model.config.vocab_size - 5, (1, 150))
    expected = small_models.logprobs(reference, ids)[0]
    [found] = scored(write_graph(gguf, tmp_path), ids.tolist())
    assert np.abs(found - expected).max() < 5e-4
    [left] = scored(unmended(gguf, tmp_path / "unmended"), ids.tolist())
    assert ("right" if np.abs(left - expected).max() < 5e-4 else "wrong") == as_read


@pytest.fixture(scope="module")
def texts():
    tokenizer = Tokenizer.from_gguf(smollm2_gguf())
    return [tokenizer.encode(text)[:80] for text in parity_texts().texts[:4]]


@pytest.fixture(scope="module")
def reference(texts, tmp_path_factory):
    """SmolLM2 by transformers, in float32."""
    folder = tmp_path_factory.mktemp("smollm2")
    to_huggingface.convert(smollm2_gguf(), folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return [small_models.logprobs(model, np.array([text]))[0] for text in texts]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return write_graph(smollm2_gguf(), tmp_path_factory.mktemp("graph"))


def test_smollm2_is_what_transformers_computes(texts, reference):
    with Scorer(smollm2_gguf()) as scorer:
        for found, expected in zip(scorer.logprobs(texts, "32-bit"), reference, strict=True):
            assert np.abs(found - expected).max() < 1e-3


def test_as_openvino_reads_it_smollm2_is_another_model(texts, reference, tmp_path):
    """The trap that the gate must see: only a reference that OpenVINO has not read shows it."""
    found = compare(texts, reference, scored(unmended(smollm2_gguf(), tmp_path / "unmended"), texts))
    assert not found.passed
    assert found.mean_divergence.value > 0.1
    assert found.agreement.value < 0.85


def test_what_coarser_arithmetic_costs(graph, texts, reference):
    found = {precision: compare(texts, reference, scored(graph, texts, precision)) for precision in PROPERTIES}
    assert found["32-bit"].mean_divergence.value < 1e-6
    assert found["32-bit"].agreement.value == 1
    for precision in ("16-bit", "8-bit"):
        assert 1e-5 < found[precision].mean_divergence.value < 0.02
        assert found[precision].agreement.value > 0.9


def test_what_four_bits_without_least_values_cost(texts, reference, tmp_path):
    requantize(smollm2_gguf(), tmp_path / "model.gguf", "Q4_0")
    found = compare(texts, reference, scored(write_graph(tmp_path / "model.gguf", tmp_path), texts))
    assert not found.passed
    assert found.mean_divergence.value > 0.05


def test_what_openvino_cannot_read_is_refused_and_leaves_nothing(tmp_path):
    made = small_models.make("llama 2", tmp_path / "llama")
    to_gguf.convert(made.folder, tmp_path / "model.gguf", "F16")  # OpenVINO reads no SentencePiece
    (tmp_path / "graph").mkdir()
    with pytest.raises(RuntimeLoadError, match="OpenVINO cannot read"):
        write_graph(tmp_path / "model.gguf", tmp_path / "graph")
    assert list((tmp_path / "graph").iterdir()) == []


def test_positions_that_openvino_does_not_scale_are_refused(tmp_path):
    scaling = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 128, "rope_theta": 10_000.0}
    made = small_models.make("smollm 2", tmp_path, rope_parameters=scaling)
    to_gguf.convert(made.folder, tmp_path / "model.gguf", "F16")
    with pytest.raises(RuntimeLoadError, match="'yarn'"):
        write_graph(tmp_path / "model.gguf", tmp_path)


@pytest.mark.parametrize("type_", ["F16", "Q8_0"])
def test_positive_logits_are_rounded_no_further_than_openvino_does(type_, tmp_path):
    """And they are all positive, which its own are not. The text is short: later positions are mended, too."""
    made = small_models.make("smollm 2", tmp_path)
    to_gguf.convert(made.folder, tmp_path / "model.gguf", type_)
    text = np.random.default_rng(0).integers(5, made.model.config.vocab_size - 5, 3).tolist()
    own, lifted = unmended(tmp_path / "model.gguf", tmp_path / "own"), write_graph(tmp_path / "model.gguf", tmp_path)
    for precision in ("8-bit", "16-bit"):
        before, after = logits_of(own, text, precision), logits_of(lifted, text, precision)
        assert before.min() < 0 < after.min()
        moved = (after - before).reshape(len(text), -1)
        assert np.ptp(moved, axis=-1).max() < 1e-4
