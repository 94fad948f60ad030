"""Is there an 8-bit encoder that says the same, and pays? int8.py DOCS [--passages 150]

Static quantisation by ONNX Runtime: QDQ, weights by channel, calibrated on 64 real passages; matrix products alone, of
which fewer and fewer. It passes if each vector's cosine with that of 32-bit arithmetic is at least 0.999, and nine and a
half of the ten nearest passages are the same. It pays if it is faster than what runs otherwise: bfloat16 where the
processor has it. Speed is in passages per second of processor, since others may use the machine, too.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from mainspring.data.documents.document import Document
from mainspring.data.documents.reading import read_file
from mainspring.data.documents.splitting import Splitter
from mainspring.data.documents.tokens import read_tokenizer
from mainspring.runtimes.language.bulk_encoding import BulkEncoder, BulkSettings
from mainspring.tasks.export_encoder import FILE_NAME, INPUTS, export_encoder
from mainspring.weights import resolve

COSINE, SAME = 0.999, 0.95
_CALIBRATED_ON = 64
_NEAREST = 10
_FILES = 12


class Calibration(CalibrationDataReader):
    """Passages, one at a time."""

    def __init__(self, texts: list[np.ndarray]) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = iter(map(_feeds, texts))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def _feeds(tokens: np.ndarray) -> dict[str, np.ndarray]:
    ids = tokens[None].astype(np.int64)
    return dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))


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
        "all products": [],
        "without attention's own": attention,
        "and without the feed-forward layers' second": attention + of_weights[5::6],
        "and without attention's output": attention + of_weights[5::6] + of_weights[3::6],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("docs", type=Path)
    parser.add_argument("--passages", type=int, default=150)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "encoder"
        export_encoder(resolve("all-minilm-l6-v2", Path()).path, folder)
        texts = passages(options.docs, folder, options.passages + _CALIBRATED_ON)
        calibrated, tried = texts[:_CALIBRATED_ON], texts[_CALIBRATED_ON:]
        streams = len(os.sched_getaffinity(0))
        reference, rate = computed(folder, BulkSettings(streams=streams, exact=True), tried)
        print(
            "| | passages per processor second | least cosine | mean | same of ten nearest | |\n" + "| --- " * 6 + "|"
        )
        row("32-bit", rate, reference, reference)
        found, rate = computed(folder, BulkSettings(streams=streams), tried)
        row("what runs otherwise", rate, found, reference)
        for name, excluded in left_out(folder / FILE_NAME).items():
            quantize_static(
                folder / FILE_NAME, folder / "int8.onnx", Calibration(calibrated), quant_format=QuantFormat.QDQ,
                per_channel=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["MatMul"], nodes_to_exclude=excluded,
            )  # fmt: skip
            found, rate = computed(folder, BulkSettings(streams=streams, graph="int8.onnx"), tried)
            row(f"int8, {name}", rate, found, reference)


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


def computed(folder: Path, settings: BulkSettings, texts: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """The vectors, and how many a second of processor."""
    encoder = BulkEncoder(folder, settings)
    encoder.vectors(texts[:8])
    begun = time.process_time()
    vectors = encoder.vectors(texts)
    return vectors, len(texts) / (time.process_time() - begun)


def row(name: str, rate: float, found: np.ndarray, reference: np.ndarray) -> None:
    cosines = (found * reference).sum(1)
    pairs = zip(nearest(found), nearest(reference), strict=True)
    same = float(np.mean([len(set(one) & set(other)) / _NEAREST for one, other in pairs]))
    said = "passes" if cosines.min() >= COSINE and same >= SAME else "does not pass"
    print(f"| {name} | {rate:.1f} | {cosines.min():.5f} | {cosines.mean():.5f} | {same:.3f} | {said} |", flush=True)


def nearest(vectors: np.ndarray) -> np.ndarray:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -1)
    return np.argsort(-scores, 1)[:, :_NEAREST]


if __name__ == "__main__":
    main()
