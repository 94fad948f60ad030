"""A prompt with its values as the body of a request that any client of OpenAI's API can send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainspring.prompts.prompt import Prompt


def export(prompt: Prompt, values: Mapping[str, Any]) -> dict[str, Any]:
    """`messages` and parameters; only `model` is to be added: `client.chat.completions.create(model=…, **body)`.

    Raises:
        RequestError: `values` do not fit the prompt.
        UnsupportedError: the prompt's strategy takes more than one call.
    """
    sampling = prompt.sampling
    body: dict[str, Any] = {
        "messages": prompt.strategy.messages(prompt, values),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_completion_tokens": sampling.max_tokens,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if prompt.structure and prompt.strategy.structured:
        schema = {"name": "answer", "schema": prompt.structure.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body
