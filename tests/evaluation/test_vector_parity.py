"""The gate of a faster encoder: it lets through what is as good as the same, and stops what finds other texts."""

from __future__ import annotations

import numpy as np
import pytest

from mainspring.evaluation.vector_parity import VectorParity


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def vectors() -> np.ndarray:
    """In clusters of which none is as large as what is looked at."""
    draw = np.random.default_rng(1)
    return unit(np.repeat(draw.standard_normal((40, 64)), 5, axis=0) + 0.5 * draw.standard_normal((200, 64)))


def test_the_same_vectors_pass(vectors: np.ndarray) -> None:
    parity = VectorParity.of(vectors, vectors.copy())
    assert parity.passed
    assert parity.same == 1
    np.testing.assert_allclose(parity.cosines, 1)


def test_noise_as_of_eight_bits_of_mantissa_passes_and_more_does_not(vectors: np.ndarray) -> None:
    noise = np.random.default_rng(2).standard_normal(vectors.shape)
    assert VectorParity.of(vectors, unit(vectors + 1e-4 * noise)).passed
    far = VectorParity.of(vectors, unit(vectors + 0.02 * noise))
    assert not far.passed
    assert 0.9 < far.cosines.min() < 0.999


def test_one_text_that_is_off_is_enough(vectors: np.ndarray) -> None:
    found = vectors.copy()
    found[7] = vectors[100]
    parity = VectorParity.of(vectors, found)
    assert parity.same > 0.95
    assert not parity.passed


def test_near_cosines_do_not_help_where_other_texts_are_found() -> None:
    """Texts so alike that a small turn changes who is near."""
    draw = np.random.default_rng(3)
    centre = np.zeros(64)
    centre[0] = 1
    vectors = unit(centre + 0.05 * draw.standard_normal((200, 64)))
    found = unit(vectors + 0.004 * draw.standard_normal((200, 64)))
    parity = VectorParity.of(vectors, found)
    assert parity.cosines.min() > 0.999
    assert parity.same < 0.95
    assert not parity.passed


def test_texts_that_are_equally_near_may_change_places() -> None:
    draw = np.random.default_rng(4)
    vectors = unit(np.ones((100, 64)) + 1e-4 * draw.standard_normal((100, 64)))
    assert VectorParity.of(vectors, unit(vectors + 1e-5 * draw.standard_normal((100, 64)))).passed


def test_no_number_is_not_near() -> None:
    vectors = np.eye(3)
    found = vectors.copy()
    found[1] = np.nan
    assert not VectorParity.of(vectors, found).passed


def test_two_texts_are_enough() -> None:
    assert VectorParity.of(np.eye(2), np.eye(2)).passed
