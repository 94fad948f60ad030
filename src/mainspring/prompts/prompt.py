"""A prompt: messages with variables, examples of good answers, and how an answer is got and read.

It is frozen and checked when it is made, so a prompt that exists can be asked. What is put in its variables is checked
when it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from mainspring.errors import RequestError, SpecError
from mainspring.prompts.reading import MARK, Choice, Json, Reading, Text, wrong_schema
from mainspring.prompts.template import as_text, broken, fill, variables
from mainspring.runtimes.language.protocol import JsonSchema, Message, Sampling
from mainspring.spec.mistakes import choices
from mainspring.spec.values import Strict

if TYPE_CHECKING:
    from mainspring.prompts.model import LanguageModel
    from mainspring.prompts.strategy import Answer, Strategy

Role: TypeAlias = Literal["system", "user", "assistant"]
RESERVED = ("answer", "reasoning")  # the keys of an example that are not variables
_NEXT = {"": ("system", "user"), "system": ("user",), "user": ("assistant",), "assistant": ("user",)}


class SamplingSpec(Strict):
    """`[sampling]`: how the tokens of an answer are chosen. Greedy unless said otherwise."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 512
    seed: int | None = None
    stop: Annotated[tuple[str, ...], Field(strict=False)] = ()

    def sampling(self) -> Sampling:
        """The same for an engine."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
        )


class Limits(Strict):
    """`[limits]`: the most that one question may take: calls of the model, tokens (prompts and answers), seconds.

    Calls and tokens are looked at before each batch of calls, so the last batch may pass the limit of tokens.
    """

    calls: Annotated[int, Field(ge=1)] = 256
    tokens: Annotated[int, Field(ge=1)] = 200_000
    seconds: Annotated[float, Field(gt=0.0)] = 300.0


@dataclass(frozen=True)
class Turn:
    """A message of the conversation, a template. `line` is where its text begins in its file."""

    role: Role
    text: str
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Example:
    """What is put in the variables, the right answer (text, or a JSON value), and perhaps how one gets to it."""

    values: Mapping[str, Any]
    answer: Any
    reasoning: str | None = None
    line: int | None = field(default=None, compare=False)

    def reply(self, *, reasoned: bool = False) -> str:
        """What the model should have said; `reasoned`: the reasoning, and then the answer."""
        answer = as_text(self.answer)
        return f"{self.reasoning}\n{MARK} {answer}" if reasoned else answer


@dataclass(frozen=True)
class Prompt:
    """A prompt. `source` is the name of its file, for messages.

    Raises:
        SpecError: with one line for each mistake.
    """

    turns: tuple[Turn, ...]
    strategy: Strategy
    examples: tuple[Example, ...] = ()
    reading: Reading = field(default_factory=Text)
    sampling: SamplingSpec = field(default_factory=SamplingSpec)
    limits: Limits = field(default_factory=Limits)
    source: str = field(default="the prompt", compare=False)

    def __post_init__(self) -> None:
        found = [*self._wrong_turns(), *self._wrong_examples(), *self._wrong_reading()]
        if not found and (lack := self.strategy.lacks(self)):
            found = [(None, f"strategy: {self.strategy.name} {lack}")]
        if found:
            raise SpecError("\n".join(told(self.source, line, problem) for line, problem in found))

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the variables, in the order in which they come."""
        return tuple(self._variable_lines())

    @property
    def structure(self) -> JsonSchema | None:
        """What the engine is to hold the answer to: the schema of an answer that is JSON."""
        return JsonSchema(self.reading.schema) if isinstance(self.reading, Json) else None

    def messages(
        self, values: Mapping[str, Any], *, examples: Sequence[Example] = (), reasoned: bool = False, add: str = ""
    ) -> list[Message]:
        """The conversation with `values` in the place of the variables.

        `examples` come between the system's message and the question, each as the conversation that it would have been;
        `reasoned`: with their reasoning. `add` is put below each question.

        Raises:
            RequestError: a variable without a value, or a value without a variable.
        """
        system = self.turns[: self._systems]
        conversations = [self._filled(self.turns[self._systems :], example.values, add) for example in examples]
        for conversation, example in zip(conversations, examples, strict=True):
            conversation.append({"role": "assistant", "content": example.reply(reasoned=reasoned)})
        shown = [message for conversation in conversations for message in conversation]
        return self._filled(system, values) + shown + self._filled(self.turns[self._systems :], values, add)

    def question(self, values: Mapping[str, Any]) -> str:
        """The last message of the conversation: what is asked."""
        text: str = self.messages(values)[-1]["content"]
        return text

    @cached_property
    def example_questions(self) -> tuple[str, ...]:
        """What is asked in each of the examples."""
        return tuple(self.question(example.values) for example in self.examples)

    def with_examples(self, places: Sequence[int]) -> Prompt:
        """The same with only these of its examples.

        Raises:
            SpecError: its strategy needs more.
        """
        chosen = replace(self, examples=tuple(self.examples[place] for place in places))
        # Of many examples one is often left out: the others are not rendered again.
        vars(chosen)["example_questions"] = tuple(self.example_questions[place] for place in places)
        return chosen

    def asking(self, values: Mapping[str, Any], text: str) -> list[Message]:
        """The conversation with `text` in the place of what is asked."""
        return [*self.messages(values)[:-1], {"role": "user", "content": text}]

    async def answer(self, values: Mapping[str, Any], model: LanguageModel) -> Answer:
        """Ask `model` by the prompt's strategy."""
        return await self.strategy.answer(self, values, model)

    @property
    def _systems(self) -> int:
        return 1 if self.turns[0].role == "system" else 0

    def _filled(self, turns: Sequence[Turn], values: Mapping[str, Any], add: str = "") -> list[Message]:
        self._check_values(values)
        texts = {name: as_text(value) for name, value in values.items()}
        messages: list[Message] = [{"role": turn.role, "content": fill(turn.text, texts)} for turn in turns]
        if add:
            messages[-1]["content"] += f"\n\n{add}"
        return messages

    def _check_values(self, values: Mapping[str, Any]) -> None:
        lines = self._variable_lines()
        for name, line in lines.items():
            if name not in values:
                raise RequestError(told(self.source, line, f"the variable {name!r} has no value"), f"$.{name}")
        for name in values:
            if name not in lines:
                raise RequestError(f"{self.source} has no variable {name!r}{choices(name, lines)}", f"$.{name}")

    def _variable_lines(self) -> dict[str, int | None]:
        lines: dict[str, int | None] = {}
        for turn in self.turns:
            for name, below in variables(turn.text).items():
                lines.setdefault(name, None if turn.line is None else turn.line + below)
        return lines

    def _wrong_turns(self) -> list[tuple[int | None, str]]:
        if not self.turns or self.turns[-1].role != "user":
            line = self.turns[-1].line if self.turns else None
            return [(line, "expected a conversation that ends with a message of the user: `# user`")]
        found: list[tuple[int | None, str]] = []
        before = ""
        for turn in self.turns:
            if turn.role not in _NEXT[before]:
                expected = " or ".join(f"`# {role}`" for role in _NEXT[before])
                after = f"after `# {before}`" if before else "first"
                found.append((turn.line, f"expected {expected} {after}; found `# {turn.role}`"))
            before = turn.role
            if not turn.text or turn.text != turn.text.replace("\r\n", "\n").strip():
                found.append((turn.line, f"{turn.role}: expected text without space around it; found {turn.text!r}"))
            for below, text in broken(turn.text):
                line = None if turn.line is None else turn.line + below
                found.append((line, f"expected a variable such as {{{{name}}}}, or \\{{{{ for braces; found {text!r}"))
        return found + [
            (line, f"the variable {name!r} has the name of an example's {name}: choose another")
            for name, line in self._variable_lines().items()
            if name in RESERVED
        ]

    def _wrong_examples(self) -> list[tuple[int | None, str]]:
        names = self._variable_lines()
        found: list[tuple[int | None, str]] = []
        for example in self.examples:
            found += [
                (example.line, f"examples: {name!r} is not a variable of the prompt{choices(name, names)}")
                for name in example.values
                if name not in names
            ]
            found += [
                (example.line, f"examples: the variable {name!r} has no value")
                for name in names
                if name not in example.values
            ]
        return found

    def _wrong_reading(self) -> list[tuple[int | None, str]]:
        if isinstance(self.reading, Json) and (wrong := wrong_schema(self.reading.schema)):
            return [(None, f"output: expected a JSON schema; {wrong}")]
        if isinstance(self.reading, Choice) and (len(self.reading.options) < 2 or not all(self.reading.options)):
            return [(None, f"answer: expected at least two options, none empty; found {list(self.reading.options)}")]
        return []


def told(source: str, line: int | None, problem: str) -> str:
    """A mistake with its place."""
    return f"{source}: {problem}" if line is None else f"{source}, line {line}: {problem}"
