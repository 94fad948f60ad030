"""The project's own models as tools: described by their schema, asked with a record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from mainspring.prompts.model import LanguageModel
from mainspring.prompts.prompt import Prompt
from mainspring.prompts.template import as_text
from mainspring.runtimes.index.found import Search
from mainspring.runtimes.language.protocol import Engine, Generate, Sampling
from mainspring.runtimes.record_schemas import record_schema
from mainspring.schema import Columns, Schema, label_text

if TYPE_CHECKING:
    from mainspring.runtimes.onnx import Outputs
    from mainspring.runtimes.records import RecordCodec

Ask: TypeAlias = Callable[[dict[str, Any]], Awaitable[str]]

_MOST_TOKENS = 512  # that a language model may say as a tool
_PASSAGES = 5  # that a collection of documents tells as a tool
_QUESTION = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ModelTool:
    """See `tools.Tool`."""

    name: str
    description: str
    schema: dict[str, Any]
    ask: Ask

    async def call(self, arguments: dict[str, Any]) -> str:
        """See `Tool.call`."""
        return await self.ask(arguments)


def model_tool(name: str, task: str, schema: Schema, ask: Ask) -> ModelTool:
    """The model called `name`, of this `task`, whose records have this `schema`."""
    if task in ("chat", "completion"):
        told = "A language model: answers a question." if task == "chat" else "A language model: continues a text."
        return ModelTool(name, told, _QUESTION, ask)
    if task == "retrieval":
        return ModelTool(name, "Searches documents: gives the passages about a question.", _QUESTION, ask)
    target = schema.target
    what = f"{target.name} in {target.unit}" if target.unit else target.name
    options = f", one of {', '.join(map(label_text, target.labels))}" if target.labels else ""
    return ModelTool(name, f"Tells {what}{options}.", record_schema(schema), ask)


def ask_table(codec: RecordCodec, predict: Callable[[Columns], Outputs], record: dict[str, Any]) -> str:
    """What a model of a table says of one record, as JSON."""
    columns, _ = codec.convert([record])
    [answer] = codec.outputs(predict(columns))
    return msgspec.json.encode(answer).decode()


async def ask_language(engine: Engine, task: str, arguments: dict[str, Any]) -> str:
    """What a language model says to a question, greedily."""
    question, sampling = arguments["question"], Sampling(temperature=0.0, max_tokens=_MOST_TOKENS)
    request = Generate(messages=[{"role": "user", "content": question}], sampling=sampling)
    if task == "completion":
        request = Generate(prompt=question, sampling=sampling)
    [said] = await LanguageModel(engine).complete([request])
    return said.text


async def ask_documents(search: Search, arguments: dict[str, Any]) -> str:
    """The passages that a collection has about a question, each under its place."""
    result = await search(arguments["question"], _PASSAGES)
    return "\n\n".join(f"[{one.passage.place}]\n{one.passage.text}" for one in result.found) or "nothing was found"


async def ask_prompt(prompt: Prompt, model: LanguageModel, values: dict[str, Any]) -> str:
    """What a prompt program answers, as text."""
    answer = await prompt.answer(values, model)
    return "no answer" if answer.value is None else as_text(answer.value)
