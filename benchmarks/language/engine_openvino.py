"""OpenVINO GenAI by itself: its continuous batching in a plain loop, with nothing around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino_genai
from answering import Clock, Prompts, answer_jobs, settings
from openvino import Tensor


def load(given: dict[str, Any]) -> openvino_genai.ContinuousBatchingPipeline:
    """`model` is a GGUF file or the folder of a graph, whose tokenizer `gguf` has; `scheduler` is its configuration."""
    scheduler = openvino_genai.SchedulerConfig()
    for name, value in given["scheduler"].items():
        setattr(scheduler, name, value)
    if "gguf" not in given:
        return openvino_genai.ContinuousBatchingPipeline(given["model"], scheduler, "CPU", given["properties"])
    tokenizer = openvino_genai.Tokenizer(given["gguf"])
    return openvino_genai.ContinuousBatchingPipeline(given["model"], tokenizer, scheduler, "CPU", **given["properties"])


def main() -> None:
    pipeline = load(settings())
    config = openvino_genai.GenerationConfig()
    config.do_sample, config.ignore_eos = False, True
    numbers = iter(range(10**9))

    def generate(prompts: Prompts, new: int) -> dict[str, Any]:
        config.max_new_tokens = new
        ids: list[list[int]] = [[] for _ in prompts]
        clock = Clock()
        handles = [
            pipeline.add_request(next(numbers), Tensor(np.array([prompt], np.int64)), config) for prompt in prompts
        ]
        while pipeline.has_non_finished_requests():
            pipeline.step()
            for index, handle in enumerate(handles):
                while handle.can_read():
                    (output,) = handle.read().values()
                    ids[index] += output.generated_ids
                    if index == 0:
                        clock.tick()
        return clock.answer(ids)

    answer_jobs(generate)


if __name__ == "__main__":
    main()
