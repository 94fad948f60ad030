"""The graph that OpenVINO GenAI makes of a GGUF file, mended so that it computes what the file says.

OpenVINO GenAI 2026.4 changes two things on the way, and says nothing of it (measured with SmolLM2-135M against
transformers on the same file):

* A weight of Q4_1 or Q4_K is scale * q + least. OpenVINO keeps it as scale * (q - zero), with `zero` rounded to a whole
  number from 0 to 15, which moves whole blocks of 32 weights by up to half a step and more. The perplexity rises by a
  seventh, and three of ten likeliest tokens are others. Here `zero` becomes the fraction that it is, in 32 bits; the
  weights still take four, and are still unpacked inside the multiplication.
* The frequencies of rotary positions are rounded to 16 bits where the weights are F16, an error that grows with the
  position; and those that Llama 3 scales (`rope_freqs.weight`) are not scaled at all. Here they are computed anew.

Types that keep no least value (F16, Q8_0, Q4_0, Q6_K) are read exactly as it is.

A third thing is mended that is the sampler's: presence and frequency penalties are taken from a logit that is positive,
and added to one that is negative (`logit_transformers.hpp`). So the graph's logits are positive: as much is added to
all, which no probability notices.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mainspring.errors import RuntimeLoadError, require
from mainspring.weights.gguf import Header, Tensor, read_header
from mainspring.weights.gguf_weights import read_tensor
from mainspring.weights.llama_family import ROPE_FACTORS, rotary_heads, to_halves

GRAPH = "openvino_model.xml"
_BLOCK = 32  # weights with one scale
_LEAST_LOGIT = 4.0  # more than a presence penalty takes: the frequency penalty looks at the sign after it
_ENOUGH = 128.0  # no token with a logit as far below zero is ever chosen
_KEYS_AND_VALUES = 2  # blocks of the cache: as few as the pipeline takes, for nothing is generated


@dataclass(frozen=True)
class _Offsets:
    """The scales of a matrix's blocks and their least values, (rows, blocks) each, in the file's order of rows.

    `rounded`: the scales in float16, as OpenVINO keeps them.
    """

    name: str
    scales: np.ndarray
    least: np.ndarray

    @property
    def rounded(self) -> np.ndarray:
        return self.scales.astype(np.float16)


def write_graph(gguf: Path, folder: Path) -> Path:
    """Write the mended graph of a GGUF file into `folder`, as `openvino_model.xml` and `.bin`; gives the former.

    Raises:
        RuntimeLoadError: OpenVINO cannot read the file, or its graph is not one that can be mended.
    """
    genai, openvino = require("openvino_genai", "language"), require("openvino", "language")
    header = read_header(gguf)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        link = Path(work) / "model.gguf"
        os.symlink(gguf.resolve(), link)
        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = _KEYS_AND_VALUES
        try:
            genai.ContinuousBatchingPipeline(str(link), scheduler, "CPU", {"enable_save_ov_model": True})
        except (RuntimeError, IndexError) as error:
            raise RuntimeLoadError(f"OpenVINO cannot read {gguf}: {error}") from None
        graph = openvino.Core().read_model(str(link.with_name(GRAPH)))
        _mend_offsets(graph, header)
        _mend_frequencies(graph, header)
        _lift_logits(graph)
        openvino.save_model(graph, str(folder / GRAPH), compress_to_fp16=False)
    return folder / GRAPH


def _mend_offsets(graph: Any, header: Header) -> None:
    """Put the exact zero points in. The graph has no names for its matrices: they are known by their scales."""
    known: dict[tuple[int, int, bytes], _Offsets] = {}
    for offsets in _offsets(header):
        first = known.setdefault(_key(offsets.rounded), offsets)
        if not np.array_equal(first.least, offsets.least):
            raise RuntimeLoadError(f"{header.path}: {offsets.name} has the scales of another matrix, and other weights")
    from openvino import opset13

    mended = set()
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "Subtract":
            continue
        (consumer,) = node.output(0).get_target_inputs()
        scales = consumer.get_node().input_value(1).get_node()
        if scales.get_type_name() != "Constant" or scales.get_element_type().get_type_name() != "f16":
            continue
        found = np.asarray(scales.get_data())[..., 0]
        matrix = known.get(_key(found)) if found.ndim == 2 else None
        if matrix is None:  # of a type without least values
            continue
        scale, zero = _scales_and_zeros(matrix, found, header)
        steps = opset13.convert(node.input_value(0).get_node().input_value(0), "f32")
        exact = opset13.multiply(
            opset13.subtract(steps, opset13.constant(zero[..., None])),
            opset13.constant(scale[..., None]),
        )
        for target in list(consumer.get_node().output(0).get_target_inputs()):
            target.replace_source_output(exact.output(0))
        mended.add(matrix.name)
    missed = {offsets.name for offsets in known.values()} - mended - {"token_embd.weight"}
    if missed:
        raise RuntimeLoadError(
            f"OpenVINO's graph of {header.path} lacks {sorted(missed)[0]} and {len(missed) - 1} more matrices: "
            "serve it with engine = 'llamacpp'"
        )


def _offsets(header: Header) -> Iterator[_Offsets]:
    """Of each matrix whose type has least values."""
    for tensor in header.tensors:
        if tensor.type == "Q4_1":
            blocks = _blocks(header.path, tensor, 20)
            yield _Offsets(tensor.name, *(_halves(blocks, place).astype(np.float32) for place in (0, 2)))
        elif tensor.type == "Q4_K":
            quants = require("gguf.quants", "language")
            blocks = _blocks(header.path, tensor, 144)
            scale, least = (_halves(blocks, place).astype(np.float32)[..., None] for place in (0, 2))
            scales, leasts = quants.Q4_K.get_scale_min(blocks[..., 4:16].reshape(-1, 12))
            shape = (tensor.shape[0], -1, 8)
            found = (scale * scales.reshape(shape), -least * leasts.reshape(shape))
            yield _Offsets(tensor.name, *(part.reshape(tensor.shape[0], -1) for part in found))


def _blocks(path: Path, tensor: Tensor, size: int) -> np.ndarray:
    """(rows, blocks, bytes)."""
    return np.memmap(path, np.uint8, "r", tensor.offset, (tensor.size,)).reshape(tensor.shape[0], -1, size)


def _halves(blocks: np.ndarray, place: int) -> np.ndarray:
    return np.ascontiguousarray(blocks[..., place : place + 2]).view(np.float16)[..., 0]


def _key(scales: np.ndarray) -> tuple[int, int, bytes]:
    """The same for any order of rows: OpenVINO has those of queries and keys in Hugging Face's."""
    return (*scales.shape, np.sort(scales, axis=0).tobytes())


def _scales_and_zeros(offsets: _Offsets, found: np.ndarray, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """Each block's scale and -least / scale, (rows, blocks) float32, ordered as the graph's scales `found`."""
    scales, least = offsets.scales, offsets.least
    if not np.array_equal(offsets.rounded, found):
        architecture = header.text("general.architecture") or ""
        heads = header.integer(f"{architecture}.attention.head_count") or 0
        key_heads = header.integer(f"{architecture}.attention.head_count_kv") or heads
        rotary = rotary_heads(architecture, offsets.name, heads, key_heads)
        if (
            not rotary
            or scales.shape[0] % (2 * rotary)
            or not np.array_equal(to_halves(offsets.rounded, rotary), found)
        ):
            raise RuntimeLoadError(f"OpenVINO's graph of {header.path} has the rows of {offsets.name} in another order")
        scales, least = to_halves(scales, rotary), to_halves(least, rotary)
    flat = scales == 0  # all 32 weights are equal: q is 0, and (0 - -1) * least is what they are
    scales = np.where(flat, least, scales)
    return scales, np.where(flat, -1, -least / np.where(scales == 0, 1, scales)).astype(np.float32)


def _mend_frequencies(graph: Any, header: Header) -> None:
    from openvino import opset13

    frequencies = _frequencies(header)
    for node in graph.get_ordered_ops():
        if node.get_type_name() not in {"Cos", "Sin"}:
            continue
        while node.get_type_name() != "Broadcast":
            node = node.input_value(0).get_node()
        shape = tuple(node.input_value(0).get_shape())
        if shape != (1, len(frequencies), 1):
            raise RuntimeLoadError(f"OpenVINO's graph of {header.path} turns positions by {shape} frequencies")
        node.input(0).replace_source_output(opset13.constant(frequencies.reshape(shape)).output(0))
        return


def _lift_logits(graph: Any) -> None:
    """Make them positive, without rounding them any further than OpenVINO does by itself.

    In 8-bit and 16-bit arithmetic a head of quantised weights gives 16 bits, to which a constant would be added before
    they are rounded; so there it is one that depends on them, and comes after. A head of floats gives 32 bits, but to
    an output alone, or to a constant.
    """
    from openvino import opset13

    result = graph.output("logits").get_node()
    logits = result.input_value(0)
    if _is_quantised(logits.get_node()):
        least = opset13.reduce_min(logits, opset13.constant(np.array([-1])), keep_dims=True)
        lift = opset13.subtract(opset13.constant(np.float32(_LEAST_LOGIT)), least)
    else:
        lift = opset13.constant(np.array([_ENOUGH], np.float32))
    lifted = opset13.add(logits, lift)
    logits.get_tensor().set_names(set())
    lifted.output(0).get_tensor().set_names({"logits"})
    result.input(0).replace_source_output(lifted.output(0))


def _is_quantised(head: Any) -> bool:
    """Whether the weights of this multiplication are whole numbers with scales."""
    weights = head.input_value(1).get_node()
    while weights.get_type_name() in {"Convert", "Reshape"}:
        weights = weights.input_value(0).get_node()
    return bool(weights.get_type_name() == "Multiply")


def _frequencies(header: Header) -> np.ndarray:
    """By how much each pair of dimensions turns from one position to the next, (pairs,) float32."""
    architecture = header.text("general.architecture")
    heads, width = (header.integer(f"{architecture}.{name}") for name in ("attention.head_count", "embedding_length"))
    dimensions = header.integer(f"{architecture}.attention.key_length") or (width or 0) // (heads or 1)
    theta = float(header.values.get(f"{architecture}.rope.freq_base", 10_000.0))
    found = theta ** (-np.arange(0, dimensions, 2, dtype=np.float64) / dimensions)
    kind = header.text(f"{architecture}.rope.scaling.type", "none")
    if kind == "linear":
        found = found / float(header.values[f"{architecture}.rope.scaling.factor"])
    elif kind != "none":
        raise RuntimeLoadError(f"{header.path} scales positions by {kind!r}, as OpenVINO does not: use llama.cpp")
    for tensor in header.tensors:
        if tensor.name == ROPE_FACTORS:
            found = found / read_tensor(header.path, tensor)
    return found.astype(np.float32)
