"""Is there an 8-bit encoder that says the same, and is faster? int8.py DOCS [--passages 150] [--only NAME...]

all-MiniLM-L6-v2 in the ways in which ONNX Runtime and OpenVINO multiply in 8 bits, all from the float32 graph that a
fit writes, each on one core, on passages of Python's documentation:

static      ONNX Runtime's QDQ, weights by channel, activations by tensor, calibrated on 64 other passages; of all
            products, and of fewer and fewer of them
dynamic     ONNX Runtime's MatMulInteger, weights by channel, activations by tensor as they come
blocks      ONNX Runtime's MatMulNBits, weights and activations in blocks of 32
groups      OpenVINO, weights by channel, activations by groups of a row

The gate is that which a fit's encoder has to pass: each vector's cosine with that of 32-bit arithmetic is at least
0.999, and of each passage's ten nearest nine and a half are the same on average. One pays if it is faster than what
runs otherwise: OpenVINO, in bfloat16 where the processor has it.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from mainspring.data.documents.document import Document
from mainspring.data.documents.reading import read_file
from mainspring.data.documents.splitting import Splitter
from mainspring.data.documents.tokens import read_tokenizer
from mainspring.evaluation.vector_parity import VectorParity
from mainspring.runtimes.language.pooling import Pooling, read_pooling
from mainspring.tasks.export_encoder import FILE_NAME, INPUTS, OUTPUT, export_encoder
from mainspring.weights import resolve

_CALIBRATED_ON = 64
_FILES = 12
_BLOCK = 32  # weights
_BATCH = 1024  # tokens

Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], np.ndarray]


# The ways ----------------------------------------------------------------------------------------------------------


def by_openvino(graph: Path, **properties: Any) -> Run:
    given = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1} | properties
    compiled = openvino.Core().compile_model(str(graph), "CPU", given)
    request = compiled.create_infer_request()
    return lambda feeds: np.asarray(request.infer(feeds)[compiled.output(OUTPUT)])


def by_onnxruntime(graph: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    return lambda feeds: session.run([OUTPUT], feeds)[0]


def static(graph: Path, calibrated: list[np.ndarray], excluded: list[str]) -> Path:
    class Calibration(CalibrationDataReader):
        def __init__(self) -> None:
            self._feeds: Iterator[Feeds] = iter([feeds_of([text]) for text in calibrated])

        def get_next(self) -> Feeds | None:
            return next(self._feeds, None)

    target = graph.with_name("static.onnx")
    quantize_static(
        graph, target, Calibration(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"], nodes_to_exclude=excluded,
    )  # fmt: skip
    return target


def dynamic(graph: Path) -> Path:
    target = graph.with_name("dynamic.onnx")
    quantize_dynamic(graph, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    return target


def blocks(graph: Path) -> Path:
    def node(node: Any, weights: np.ndarray) -> tuple[list[Any], list[np.ndarray]]:
        """Each column in blocks with a scale; 128 is zero."""
        parts = weights.T.reshape(weights.shape[1], -1, _BLOCK)
        scales = np.abs(parts).max(2) / 127
        stored = (np.rint(parts / scales[..., None]) + 128).astype(np.uint8)
        names = [f"{node.input[1]}.{part}" for part in ("uint8", "scale")]
        sizes = {"K": weights.shape[0], "N": weights.shape[1], "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}
        made = onnx.helper.make_node(
            "MatMulNBits", [node.input[0], *names], list(node.output), domain="com.microsoft", **sizes
        )
        return [made], [stored, scales.astype(np.float32)]

    return _replaced(graph, "blocks", node)


def compressed(graph: Path) -> Path:
    def node(node: Any, weights: np.ndarray) -> tuple[list[Any], list[np.ndarray]]:
        """A scale for each channel; how they are multiplied is told to the engine."""
        scales = (np.abs(weights).max(0) / 127).astype(np.float32)
        names = [f"{node.input[1]}.{part}" for part in ("int8", "scale", "float")]
        wide = onnx.helper.make_node("DequantizeLinear", names[:2], names[2:], axis=1)
        product = onnx.helper.make_node("MatMul", [node.input[0], names[2]], list(node.output))
        return [wide, product], [np.rint(weights / scales).astype(np.int8), scales]

    return _replaced(graph, "compressed", node)


def _replaced(graph: Path, name: str, make: Callable[[Any, np.ndarray], tuple[list[Any], list[np.ndarray]]]) -> Path:
    """The graph with other nodes for each product by weights; the last inputs of the first are the arrays."""
    model = onnx.load(graph)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in tensors:
            nodes.append(node)
            continue
        tensor = tensors[node.input[1]]
        made, arrays = make(node, onnx.numpy_helper.to_array(tensor))
        nodes += made
        model.graph.initializer.remove(tensor)
        for array, given in zip(arrays, made[0].input[-len(arrays) :], strict=True):
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, given))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    if name == "blocks":
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    target = graph.with_name(f"{name}.onnx")
    onnx.save(model, target)
    return target


def left_out(graph: Path) -> dict[str, list[str]]:
    """Which products stay in 32 bits, by a name of what is quantised. The nodes of `graph` get names for that."""
    model = onnx.load(graph)
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    for number, node in enumerate(products):
        node.name = f"product_{number}"
    onnx.save(model, graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    attention = [node.name for node in products if not weights & set(node.input)]
    of_weights = [node.name for node in products if weights & set(node.input)]  # query, key, value, output, two more
    return {
        "static, all products": [],
        "static, without attention's own": attention,
        "static, and without the feed-forward layers' second": attention + of_weights[5::6],
        "static, and without attention's output": attention + of_weights[5::6] + of_weights[3::6],
    }


# What is measured --------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--passages", type=int, default=150)
    parser.add_argument("--only", nargs="*", help="beginnings of the names of what is to be tried")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        export_encoder(resolve("all-minilm-l6-v2", Path()).path, folder)
        graph, pooling = folder / FILE_NAME, read_pooling(folder)
        texts = passages(options.docs, folder, options.passages + _CALIBRATED_ON)
        calibrated, tried = texts[:_CALIBRATED_ON], texts[_CALIBRATED_ON:]
        wholes = {"INFERENCE_PRECISION_HINT": "f32"}
        ways: dict[str, Callable[[], Run]] = {
            "32-bit, OpenVINO": lambda: by_openvino(graph, **wholes),
            "32-bit, ONNX Runtime": lambda: by_onnxruntime(graph),
            "what runs otherwise": lambda: by_openvino(graph),
        }
        for name, excluded in left_out(graph).items():
            ways[name] = lambda excluded=excluded: by_openvino(static(graph, calibrated, excluded))
        ways["dynamic"] = lambda: by_onnxruntime(dynamic(graph))
        ways["blocks"] = lambda: by_onnxruntime(blocks(graph))
        for size in (0, 32, 64, 128, 384):
            grouped = wholes | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": size}
            ways[f"groups of {size}"] = lambda grouped=grouped: by_openvino(compressed(graph), **grouped)
        print("| | passages/s of a core | least cosine | mean | same of ten nearest | |\n" + "| --- " * 6 + "|")
        reference: np.ndarray | None = None
        for name, make in ways.items():
            if reference is None or not options.only or name.startswith(tuple(options.only)):
                found, rate = computed(make(), pooling, tried)
                reference = found if reference is None else reference
                row(name, rate, found, reference)


def passages(docs: Path, folder: Path, count: int) -> list[np.ndarray]:
    """The tokens of passages of some files, in no order."""
    tokens = read_tokenizer(folder / "tokenizer.json")
    splitter = Splitter(tokens, most=200)
    paths = sorted(docs.rglob("*.rst.txt"))
    found: list[str] = []
    for path in paths[:: max(1, len(paths) // _FILES)]:
        document = read_file(path, path.name.removesuffix(".txt"))
        if isinstance(document, Document):
            found += [passage.indexed for passage in splitter.split(document)[0]]
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return tokens.ids([found[at] for at in order])


def feeds_of(texts: list[np.ndarray]) -> Feeds:
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for at, tokens in enumerate(texts):
        ids[at, : len(tokens)] = tokens
        mask[at, : len(tokens)] = 1
    return dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))


def computed(run: Run, pooling: Pooling, texts: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The vectors, and how many a second: texts of like length at a time."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    batches: list[list[int]] = [[]]
    for at in order:
        if batches[-1] and (len(batches[-1]) + 1) * len(texts[at]) > _BATCH:
            batches.append([])
        batches[-1].append(at)
    feeds = [feeds_of([texts[at] for at in batch]) for batch in batches]
    run(feeds[-1])
    begun = time.process_time()
    states = [run(one) for one in feeds]
    took = time.process_time() - begun
    vectors = np.empty((len(texts), pooling.width), np.float32)
    for batch, one, given in zip(batches, states, feeds, strict=True):
        vectors[batch] = pooling(one, given["attention_mask"])
    return vectors, len(texts) / took


def row(name: str, rate: float, found: np.ndarray, reference: np.ndarray) -> None:
    parity = VectorParity.of(reference, found)
    least, mean = parity.cosines.min(), parity.cosines.mean()
    said = "passes" if parity.passed else "does not pass"
    print(f"| {name} | {rate:.1f} | {least:.5f} | {mean:.5f} | {parity.same:.3f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
