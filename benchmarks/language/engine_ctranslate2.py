"""CTranslate2: all prompts of a job as one static batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ctranslate2
from answering import Clock, Prompts, answer_jobs, settings


def main() -> None:
    given = settings()
    generator = ctranslate2.Generator(
        given["model"], compute_type=given["compute_type"], inter_threads=1, intra_threads=given["threads"]
    )
    vocabulary = json.loads((Path(given["model"]) / "vocabulary.json").read_text())

    def generate(prompts: Prompts, new: int) -> dict[str, Any]:
        texts = [[vocabulary[id_] for id_ in prompt] for prompt in prompts]
        clock = Clock()

        def see(step: ctranslate2.GenerationStepResult) -> bool:
            if step.batch_id == 0:
                clock.tick()
            return False  # go on

        results = generator.generate_batch(
            texts, max_length=new, min_length=new, sampling_topk=1, include_prompt_in_result=False, callback=see
        )
        return clock.answer([result.sequences_ids[0] for result in results])

    answer_jobs(generate)


if __name__ == "__main__":
    main()
