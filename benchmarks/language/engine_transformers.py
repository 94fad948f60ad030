"""transformers on PyTorch: all prompts of a job as one static batch."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from answering import Clock, Prompts, answer_jobs, settings


class _Ticking(transformers.StoppingCriteria):
    """Asked after each token whether to stop: it never does."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.clock.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool)


def main() -> None:
    given = settings()
    torch.set_num_threads(given["threads"])
    model = transformers.AutoModelForCausalLM.from_pretrained(given["model"], dtype=torch.bfloat16).eval()

    def generate(prompts: Prompts, new: int) -> dict[str, Any]:
        clock = Clock()
        batch = torch.tensor(prompts)
        with torch.inference_mode():
            found = model.generate(
                batch,
                attention_mask=torch.ones_like(batch),
                do_sample=False,
                min_new_tokens=new,
                max_new_tokens=new,
                stopping_criteria=transformers.StoppingCriteriaList([_Ticking(clock)]),
            )
        return clock.answer(found[:, batch.shape[1] :].tolist())

    answer_jobs(generate)


if __name__ == "__main__":
    main()
