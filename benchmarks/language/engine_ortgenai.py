"""ONNX Runtime GenAI: all prompts of a job as one static batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime_genai
from answering import Clock, Prompts, answer_jobs, settings


def main() -> None:
    model = onnxruntime_genai.Model(settings()["model"])

    def generate(prompts: Prompts, new: int) -> dict[str, Any]:
        length = len(prompts[0]) + new
        clock = Clock()
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(batch_size=len(prompts), do_sample=False, min_length=length, max_length=length)
        generator = onnxruntime_genai.Generator(model, parameters)
        generator.append_tokens(np.array(prompts, np.int32))
        while not generator.is_done():
            generator.generate_next_token()
            clock.tick()
        found = [generator.get_sequence(index).tolist() for index in range(len(prompts))]
        return clock.answer([ids[len(prompt) :] for ids, prompt in zip(found, prompts, strict=True)])

    answer_jobs(generate)


if __name__ == "__main__":
    main()
