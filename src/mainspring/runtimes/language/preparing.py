"""From a request to what a backend needs: the tokens of its prompt, how many there may be, and a grammar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mainspring.errors import ContextError, RequestError, UnsupportedError
from mainspring.runtimes.language import structures, tool_calls
from mainspring.runtimes.language.backend import Grammar
from mainspring.runtimes.language.call_reader import CallReader
from mainspring.runtimes.language.chat_template import ChatTemplate
from mainspring.runtimes.language.gbnf import either
from mainspring.runtimes.language.literal import Literal
from mainspring.runtimes.language.protocol import Capabilities, Generate, JsonSchema, Message, Sampling
from mainspring.runtimes.language.tokens import Tokenizer
from mainspring.runtimes.language.tool_calls import Function

_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_MOST_CHOICES = 128


@dataclass(frozen=True)
class Prepared:
    """A request, understood. Each of its answers has a reader of its own."""

    prompt: list[int]
    max_tokens: int
    grammar: Grammar | None
    style: tool_calls.Style
    functions: list[Function]

    def reader(self) -> CallReader | None:
        """What reads tool calls out of an answer."""
        return CallReader(self.style, [function.name for function in self.functions]) if self.functions else None


class Preparer:
    """Prepares requests to one model."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate | None, capabilities: Capabilities) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._capabilities = capabilities
        self._style = tool_calls.style(template.source) if template else "hermes"
        self._literal = Literal(tokenizer.controls)

    def prepare(self, request: Generate) -> Prepared:
        """Understand `request`.

        Raises:
            RequestError: it is wrong, asks for too much (ContextError), or for what there is not (UnsupportedError).
        """
        check(request.sampling, self._capabilities)
        if request.lookup and not self._capabilities.lookup:
            raise UnsupportedError("this engine has no prompt lookup: load it with lookup on", "lookup")
        callable_ = self._callable(request)
        prompt = self.prompt(request)
        return Prepared(
            prompt,
            self._max_tokens(len(prompt), request.sampling.max_tokens),
            self._grammar(request, callable_),
            self._style,
            callable_,
        )

    def prompt(self, request: Generate) -> list[int]:
        """The tokens of the prompt. What looks like a control token in a message, or in a tool, is read as text."""
        if request.messages is None:
            return self._plain_prompt(request.prompt)
        if self._template is None:
            raise UnsupportedError("this model has no chat template: send a prompt instead of messages", "messages")
        if not request.messages:
            raise RequestError("there are no messages", "messages")
        cut = self._literal.cutter()
        messages = [cut(_with_text(message, f"messages[{place}]")) for place, message in enumerate(request.messages)]
        tools = cut(request.tools) if request.tool_choice != "none" else []
        if self._template.knows_tools and tools:
            text = self._template.render(messages, tools=tools)
        else:
            text = self._template.render(tool_calls.told(messages, tools))
        return self._begun([token for part in cut.split(text) for token in self._tokenizer.encode(part, special=True)])

    def _plain_prompt(self, prompt: str | list[int] | None) -> list[int]:
        if prompt is None:
            raise RequestError("there are neither messages nor a prompt", "prompt")
        tokens = self._begun(self._tokenizer.encode(prompt)) if isinstance(prompt, str) else prompt
        if not tokens:
            raise RequestError("the prompt is empty: it takes at least one token", "prompt")
        if wrong := [token for token in tokens if not 0 <= token < len(self._tokenizer)]:
            raise RequestError(f"there is no token {wrong[0]}: they go from 0 to {len(self._tokenizer) - 1}", "prompt")
        return tokens

    def _begun(self, tokens: list[int]) -> list[int]:
        """With the token that begins a text, where the model expects one and there is none."""
        begin = self._tokenizer.bos_id
        return [begin, *tokens] if begin is not None and self._tokenizer.adds_bos and tokens[:1] != [begin] else tokens

    def _callable(self, request: Generate) -> list[Function]:
        if not request.tools:
            if request.tool_choice not in ("auto", "none"):
                raise UnsupportedError(f"tool_choice is {request.tool_choice!r}, and there are no tools", "tool_choice")
            return []
        if request.messages is None or not self._capabilities.tools:
            raise UnsupportedError("tools need a model that chats, and messages", "tools")
        found = tool_calls.functions(request.tools, request.tool_choice)
        return [] if request.tool_choice == "none" else found

    def _grammar(self, request: Generate, functions: list[Function]) -> Grammar | None:
        rules = structures.Rules()
        answer = None
        if isinstance(request.structure, JsonSchema):
            answer = rules.schema(request.structure.schema, "response_format.json_schema.schema")
        elif request.structure is not None:
            answer = rules.schema({"type": "object"}, "response_format")
        if not functions:
            return None if answer is None else Grammar(rules.text(answer))
        calls = tool_calls.Calls(self._style, functions, rules, several=request.parallel_tool_calls)
        if request.tool_choice != "auto":
            return Grammar(rules.text(calls.all()))
        if answer is not None:
            return Grammar(rules.text(either(answer, calls.all())))
        return calls.when_begun()

    def _max_tokens(self, prompt: int, asked: int | None) -> int:
        context = self._capabilities.context
        if prompt >= context:
            raise ContextError(
                f"the prompt has {prompt} tokens, and the model's context has {context} for prompt and answer "
                "together: shorten it",
                "messages",
            )
        if asked is not None and prompt + asked > context:
            raise ContextError(
                f"the prompt has {prompt} tokens and {asked} are asked for, which is {prompt + asked}; the model's "
                f"context has {context} for both together: shorten the prompt, or ask for {context - prompt} or fewer",
                "max_tokens",
            )
        return context - prompt if asked is None else asked


def check(sampling: Sampling, capabilities: Capabilities) -> None:
    """Refuse what is out of range, or what the engine cannot do.

    Raises:
        RequestError: a number is out of range.
        UnsupportedError: the engine gives no such logprobs.
    """
    for name, (low, high) in _RANGES.items():
        value = getattr(sampling, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise RequestError(f"{name} is {value}; it goes from {low} to {high}", name)
    for name, least in (("max_tokens", 1), ("top_k", 1), ("n", 1)):
        value = getattr(sampling, name)
        if value is not None and value < least:
            raise RequestError(f"{name} is {value}; it is {least} or more", name)
    if sampling.n > _MOST_CHOICES:
        raise RequestError(f"n is {sampling.n}; it is {_MOST_CHOICES} at most", "n")
    most = capabilities.logprobs
    if sampling.logprobs is not None and (most is None or not 0 <= sampling.logprobs <= most):
        can = "no logprobs" if most is None else f"the logprobs of the chosen token and of {most} others at most"
        raise UnsupportedError(f"{sampling.logprobs} are asked for, and this engine gives {can}", "top_logprobs")


def _with_text(message: Message, place: str) -> Message:
    """`message` with its content as one text. Content in parts is joined; what is no text is refused."""
    content: Any = message.get("content")
    if not isinstance(message.get("role"), str):
        raise RequestError("a message has a role", f"{place}.role")
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                kind = part.get("type") if isinstance(part, dict) else type(part).__name__
                raise UnsupportedError(f"this model reads text only, and a part is {kind!r}", f"{place}.content")
        content = "".join(part["text"] for part in content)
    if content is not None and not isinstance(content, str):
        raise RequestError("content is text, or parts of it", f"{place}.content")
    return {**message, "content": content or ""}
