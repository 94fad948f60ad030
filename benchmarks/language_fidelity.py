"""How far is each way to compute a language model from what its weights say in 32-bit arithmetic?

    python benchmarks/language_fidelity.py

All the ways that `mainspring fit` may try for SmolLM2-135M, and not only those up to the first that passes, measured as
the parity gate measures them, beside its limits.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "language"))

from gateway import fitted

from mainspring.evaluation import language
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.scoring import Scorer
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.tasks.language import FASTEST_FIRST, texts_for
from mainspring.weights.gguf import read_header
from mainspring.weights.gguf_weights import requantize


def main() -> None:
    own = fitted().file("model.gguf")
    header = read_header(own)
    texts = texts_for(Tokenizer.from_header(header), ChatTemplate.from_header(header))
    print("| weights, arithmetic | KL, mean | KL, 99th percentile | same top token | perplexity ratio | passes |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as work:
        files = {None: own} | {type_: Path(work) / f"{type_}.gguf" for type_ in ("Q8_0", "F16")}
        for type_, file in files.items():
            if type_ is not None:
                requantize(own, file, type_)
        with Scorer(files["F16"]) as scorer:
            reference = list(scorer.logprobs(texts, "32-bit"))
        for way in FASTEST_FIRST:
            with Scorer(files[way.weights]) as scorer:
                found = language.compare(texts, reference, scorer.logprobs(texts, way.precision))
            figures = (found.mean_divergence, found.tail_divergence, found.agreement, found.perplexity_ratio)
            told = " | ".join(f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})" for figure in figures)
            print(f"| {way} | {told} | {'yes' if found.passed else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
