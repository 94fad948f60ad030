"""How far is each way to compute a language model from what its weights say in 32-bit arithmetic?

    python benchmarks/language_fidelity.py [--formats]

All the ways that `mainspring fit` may try for SmolLM2-135M, and not only those up to the first that passes, measured as
the parity gate measures them, beside its limits. With `--formats` also those that other engines are fastest with, of
`language_engines.py`: llama.cpp's types in 32-bit arithmetic, which is what the format alone costs, and NNCF's and ONNX
Runtime GenAI's as these compute.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

import openvino
from gateway import fitted
from model_files import ModelFiles
from peers import HERE, prepare, python_of, run

from mainspring.evaluation import language
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.openvino_graph import GRAPH
from mainspring.runtimes.language.openvino_rivals import log_softmax
from mainspring.runtimes.language.scoring import Scorer, graph_logprobs
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.tasks.language import FASTEST_FIRST, texts_for
from mainspring.weights.gguf import read_header

_LLAMACPP_TYPES = ("Q4_0", "Q8_0")


class Comparison:
    """Prints a row for each way, beside the weights of `files` in 32-bit arithmetic."""

    def __init__(self, files: ModelFiles) -> None:
        header = read_header(files.gguf)
        self.texts = texts_for(Tokenizer.from_header(header), ChatTemplate.from_header(header))
        with Scorer(files.requantized("F16")) as scorer:
            self._reference = list(scorer.logprobs(self.texts, "32-bit"))
        print("| weights, arithmetic | KL, mean | KL, 99th percentile | same top token | perplexity ratio | passes |")
        print("| --- | ---: | ---: | ---: | ---: | --- |")

    def row(self, way: str, logprobs: Iterable[np.ndarray]) -> None:
        found = language.compare(self.texts, self._reference, logprobs)
        figures = (found.mean_divergence, found.tail_divergence, found.agreement, found.perplexity_ratio)
        told = " | ".join(f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})" for figure in figures)
        print(f"| {way} | {told} | {'yes' if found.passed else 'no'} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", action="store_true", help="those of other engines, too")
    arguments = parser.parse_args()
    files = ModelFiles(fitted().file("model.gguf"))
    comparison = Comparison(files)
    for way in FASTEST_FIRST:
        with Scorer(files.requantized(way.weights) if way.weights else files.gguf) as scorer:
            comparison.row(str(way), scorer.logprobs(comparison.texts, way.precision))
    if arguments.formats:
        compare_formats(files, comparison)


def compare_formats(files: ModelFiles, comparison: Comparison) -> None:
    """Those of other engines."""
    for type_ in _LLAMACPP_TYPES:
        with Scorer(files.requantized(type_)) as scorer:
            comparison.row(f"llama.cpp's {type_}, 32-bit arithmetic", scorer.logprobs(comparison.texts, "32-bit"))
    prepare("nncf")
    compiled = openvino.Core().compile_model(str(files.int8_graph() / GRAPH), "CPU")
    comparison.row("int8 by NNCF, as OpenVINO computes", graph_logprobs(compiled, comparison.texts))
    prepare("ortgenai")
    with tempfile.TemporaryDirectory() as work:
        texts, found = Path(work) / "texts.json", Path(work) / "logits.npz"
        texts.write_text(json.dumps(comparison.texts))
        run(python_of("ortgenai"), HERE / "logits_ortgenai.py", files.ortgenai(), texts, found)
        with np.load(found) as logits:
            rows = (log_softmax(logits[name]) for name in logits.files)
            comparison.row("ONNX Runtime GenAI's int4", rows)


if __name__ == "__main__":
    main()
