"""The header of a GGUF file, against the reader of the `gguf` package; and what is no sound file is refused."""

import struct
import tracemalloc

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import WeightsError
from mainspring.weights import gguf


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_block_count(1)
    writer.add_embedding_length(32)
    writer.add_float32("a.float", 0.5)
    writer.add_bool("a.boolean", True)
    writer.add_int64("a.negative", -(2**40))
    writer.add_token_list(["a", "é", "<|end|>", ""])
    writer.add_token_types([1, 1, 3, 1])
    writer.add_array("scores", [0.5, -1.0])
    writer.add_tensor("token_embd.weight", np.arange(128, dtype=np.float32).reshape(4, 32))
    writer.add_tensor("half", np.arange(32, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_it_reads_what_the_package_reads(written):
    header, reference = gguf.read_header(written), GGUFReader(written)
    expected = {name: field.contents() for name, field in reference.fields.items() if not name.startswith("GGUF.")}
    assert header.values.keys() == expected.keys()
    for key, value in expected.items():
        assert np.array_equal(header.values[key], value), key
    for tensor, other in zip(header.tensors, reference.tensors, strict=True):
        assert (tensor.name, tensor.type) == (other.name, other.tensor_type.name)
        assert tensor.shape == tuple(reversed(other.shape.tolist()))
        assert (tensor.offset, tensor.size) == (other.data_offset, other.n_bytes)


def test_a_summary(written):
    found = gguf.summary(written)
    assert (found.architecture, found.context, found.layers, found.width, found.vocabulary) == ("llama", 2048, 1, 32, 4)
    assert found.parameters == 160
    assert found.types == {"F32": 512, "F16": 64}
    assert found.size == written.stat().st_size


def test_a_value_of_another_kind_is_refused(written):
    header = gguf.read_header(written)
    assert header.text("none") is None
    assert header.integer("llama.block_count") == 1
    assert header.texts("none") == []
    with pytest.raises(WeightsError, match=r"a\.float must be a whole number, found 0\.5"):
        header.integer("a.float")
    with pytest.raises(WeightsError, match="must be text"):
        header.text("llama.block_count")
    with pytest.raises(WeightsError, match="must be an array of text"):
        header.texts("scores")


def test_every_cut_is_refused(written, tmp_path):
    content = written.read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in range(0, len(content) - 64, 7):
        cut.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            gguf.read_header(cut)


@given(place=st.integers(0, 600), value=st.integers(0, 255))
@settings(max_examples=500, deadline=None)
def test_a_changed_byte_is_read_or_refused(written, tmp_path_factory, place, value):
    content = bytearray(written.read_bytes())
    content[place] = value
    changed = written.with_name("changed.gguf")
    changed.write_bytes(content)
    try:
        gguf.read_header(changed)
        gguf.summary(changed)
    except WeightsError:
        pass


def text(content):
    return struct.pack("<Q", len(content)) + content


HUGE = 2**63
START = b"GGUF" + struct.pack("<I", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with the bytes GGUF"),
        (b"GGML" + bytes(100), "does not begin with the bytes GGUF"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(100), "versions 2 and 3"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "little-endian"),
        (START + struct.pack("<QQ", HUGE, 0), "tensors, more than"),
        (START + struct.pack("<QQ", 0, HUGE), "keys, more than"),
        (START + struct.pack("<QQQ", 0, 1, HUGE) + bytes(100), "goes on after byte"),
        (START + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 8, HUGE) + bytes(100), "elements"),
        (START + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 4, 2**21) + bytes(100), "goes on"),
        (START + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 9, 1) + bytes(100), "numbers or text"),
        (START + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<I", 99) + bytes(100), "no type of value 99"),
        (START + struct.pack("<QQ", 0, 1) + text(b"\xff") + bytes(100), "not UTF-8"),
        (START + struct.pack("<QQ", 0, 2) + (text(b"a") + struct.pack("<IB", 0, 1)) * 2 + bytes(100), "twice"),
        (START + struct.pack("<QQ", 1, 0) + text(b"t") + struct.pack("<I", 5) + bytes(100), "dimensions"),
        (START + struct.pack("<QQ", 1, 0) + text(b"t") + struct.pack("<IQQIQ", 2, HUGE, HUGE, 0, 0), "beyond the end"),
        (START + struct.pack("<QQ", 1, 0) + text(b"t") + struct.pack("<IQIQ", 1, 33, 2, 0) + bytes(99), "whole blocks"),
        (START + struct.pack("<QQ", 1, 0) + text(b"t") + struct.pack("<IQIQ", 1, 1, 77, 0) + bytes(99), "not known"),
    ],
    ids=range(17),
)
def test_a_hostile_header_is_refused_and_takes_no_memory(tmp_path, content, message):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=message):
        gguf.read_header(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(WeightsError, match="cannot be read"):
            gguf.read_header(path)
