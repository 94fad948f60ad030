from __future__ import annotations

import pytest
from weights_at_hand import smollm2_gguf

from mainspring.errors import RuntimeLoadError
from mainspring.runtimes.language.settings import Settings, read_settings
from mainspring.runtimes.language.sizes import available_memory, sizes
from mainspring.weights.gguf import read_header


def test_settings_have_defaults_and_are_checked():
    assert read_settings({}) == Settings()
    assert read_settings({"threads": 2, "precision": "32-bit"}) == Settings(threads=2, precision="32-bit")
    for wrong, message in [
        ({"thread": 2}, "unknown field `thread`"),
        ({"threads": "two"}, "Expected `int [|] null`, got `str`"),
        ({"sequences": 0}, "sequences is 0; it is 1 or more"),
        ({"precision": "4-bit"}, "Invalid enum value '4-bit'"),
    ]:
        with pytest.raises(RuntimeLoadError, match=f"the properties of the engine are wrong: .*{message}"):
            read_settings(wrong)


def test_the_cache_fits_the_model_and_the_memory():
    found = sizes(read_header(smollm2_gguf()))
    assert (found.architecture, found.context, found.layers, found.key_heads, found.head_width) == (
        "llama",
        8192,
        30,
        3,
        64,
    )
    tokens = found.cache_tokens(bytes_each=2)
    assert 0 < tokens <= 8 * 8192
    assert tokens * 2 * 30 * 3 * 64 * 2 <= available_memory() / 3
