import numpy as np
import pytest

from mainspring.evaluation.language import LIMITS, compare, parity_texts

VOCABULARY = 50


def model(texts, seed=0, sharpness=3.0):
    """Distributions of a made-up model: for each text (t, vocabulary)."""
    draw = np.random.default_rng(seed)
    return [normalised(sharpness * draw.normal(size=(len(text), VOCABULARY))) for text in texts]


def normalised(logits):
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def disturbed(reference, by, seed=1):
    draw = np.random.default_rng(seed)
    return [normalised(each + by * draw.normal(size=each.shape)) for each in reference]


@pytest.fixture(scope="module")
def texts():
    draw = np.random.default_rng(2)
    return [draw.integers(0, VOCABULARY, size).tolist() for size in (200, 150, 300, 120, 230)]


@pytest.fixture(scope="module")
def reference(texts):
    return model(texts)


def test_a_model_agrees_with_itself(texts, reference):
    found = compare(texts, reference, reference)
    assert found.passed
    assert (found.perplexity_ratio.value, found.mean_divergence.value, found.agreement.value) == (1.0, 0.0, 1.0)
    assert (found.texts, found.tokens) == (5, 1000)


def test_figures_are_those_of_their_definitions(texts, reference):
    served = disturbed(reference, 0.3)
    found = compare(texts, reference, served)
    p, q = (np.concatenate(side).astype(np.float64) for side in (reference, served))
    divergence = (np.exp(p) * (p - q)).sum(-1)
    assert found.mean_divergence.value == pytest.approx(divergence.mean(), rel=1e-4)
    assert found.tail_divergence.value == pytest.approx(np.quantile(divergence, 0.99), rel=1e-3)
    assert found.greatest_divergence == pytest.approx(divergence.max(), rel=1e-3)
    assert found.agreement.value == pytest.approx((p.argmax(-1) == q.argmax(-1)).mean())
    places = [(text, place) for text in range(5) for place in range(len(texts[text]) - 1)]
    lost = [reference[t][i][texts[t][i + 1]] - served[t][i][texts[t][i + 1]] for t, i in places]
    assert found.perplexity_ratio.value == pytest.approx(np.exp(np.mean(lost)), rel=1e-4)
    for figure in (found.mean_divergence, found.tail_divergence, found.agreement, found.perplexity_ratio):
        assert figure.low <= figure.value <= figure.high


def test_a_small_disturbance_passes_and_a_greater_one_fails_by_every_measure(texts, reference):
    assert compare(texts, reference, disturbed(reference, 0.01)).passed
    found = compare(texts, reference, disturbed(reference, 1.0))
    assert not found.passed
    assert len(found.failures) == 4
    assert f"{LIMITS['agreement']} is allowed" in found.failures[0]


def test_a_model_that_is_right_on_average_and_lost_in_places_fails(texts, reference):
    served = [each.copy() for each in reference]
    for each in served:
        each[::60] = normalised(-each[::60])
    assert any("99th percentile" in failure for failure in compare(texts, reference, served).failures)


def test_no_number_does_not_pass(texts, reference):
    broken = [each.copy() for each in reference]
    broken[2][7] = np.nan
    assert not compare(texts, reference, broken).passed


def test_both_sides_have_all_texts(texts, reference):
    with pytest.raises(ValueError, match="shorter"):
        compare(texts, reference, reference[:-1])


def test_the_texts_are_there_and_of_many_kinds():
    found = parity_texts()
    assert len(found.texts) >= 10
    assert len(found.chats) >= 10
    assert all(turn["role"] in ("system", "user", "assistant") and turn["content"] for c in found.chats for turn in c)
    assert any("def " in text for text in found.texts)
    assert any(turn["role"] == "system" for chat in found.chats for turn in chat)
