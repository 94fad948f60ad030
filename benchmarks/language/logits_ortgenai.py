"""ONNX Runtime GenAI: what a model thinks of every next token: `logits_ortgenai.py MODEL TEXTS OUT`.

TEXTS is a JSON list of lists of tokens; OUT gets an array (tokens, vocabulary) float32 for each, as `.npz`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime_genai


def main() -> None:
    folder, texts, out = sys.argv[1:]
    model = onnxruntime_genai.Model(folder)
    found = []
    for tokens in json.loads(Path(texts).read_text()):
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(batch_size=1, do_sample=False, max_length=len(tokens) + 1)
        generator = onnxruntime_genai.Generator(model, parameters)
        generator.append_tokens(np.array([tokens], np.int32))
        found.append(np.asarray(generator.get_output("logits"), np.float32)[0])
    np.savez(out, *found)


if __name__ == "__main__":
    main()
