"""Functions that a model may call: how they are told to it, and how its calls are read from what it writes.

Two ways to write a call, each that of a family of models:

- Hermes, which Qwen took over and which is the default: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, any
  number of them. (NousResearch, Hermes-Function-Calling.)
- Llama 3: the answer is nothing but `{"name": …, "parameters": {…}}`. No mark tells such an answer from another one, so
  one that begins as a call of a known function is a call.

If the chat template has no place for tools, they go into the system message, in Hermes' words. A call is read while it
is written: first the name, then the arguments as they come.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from mainspring.errors import UnsupportedError
from mainspring.runtimes.language.backend import Grammar
from mainspring.runtimes.language.gbnf import Chars, Node, Repeat, Text, either, optional, sequence
from mainspring.runtimes.language.protocol import Message
from mainspring.runtimes.language.structures import Rules

Style = Literal["hermes", "llama"]
OPEN, CLOSE = "<tool_call>", "</tool_call>"
PYTHON_TAG = "<|python_tag|>"  # what Llama 3.1 may begin a call with
_SPACE = Chars(tuple((ord(character), ord(character)) for character in "\t\n\r "))

_INSTRUCTIONS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


@dataclass(frozen=True)
class Function:
    """A function that may be called. `parameters` is the JSON schema of its arguments.

    If it is `strict`, its arguments fit the schema or the request is refused; else a schema that cannot be enforced is
    a hint, and the arguments are some JSON object. That is OpenAI's meaning of the word.
    """

    name: str
    parameters: dict[str, Any]
    strict: bool = False


def functions(tools: list[dict[str, Any]], choice: str) -> list[Function]:
    """Those of `tools` that may be called under `choice`.

    Raises:
        UnsupportedError: one is no function, has no name, or the chosen one is not there.
    """
    found = []
    for place, tool in enumerate(tools):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict):
            raise UnsupportedError("a tool is {'type': 'function', 'function': {...}}", f"tools[{place}]")
        name, parameters = function.get("name"), function.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(name, str) or not name or not isinstance(parameters, dict):
            raise UnsupportedError(
                "a function has a name and, as parameters, a JSON schema", f"tools[{place}].function"
            )
        found.append(Function(name, parameters, strict=function.get("strict") is True))
    if choice in ("auto", "required", "none"):
        return found
    chosen = [function for function in found if function.name == choice]
    if not chosen:
        names = ", ".join(function.name for function in found) or "none"
        raise UnsupportedError(f"there is no function {choice!r} to choose; there are {names}", "tool_choice")
    return chosen


def told(messages: list[Message], tools: list[dict[str, Any]]) -> list[Message]:
    """`messages` for a template that knows no tools: they go into the system message, calls and results into text."""
    plain = [_plain(message) for message in messages]
    if not tools:
        return plain
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    instructions = _INSTRUCTIONS.format(tools=listed)
    if plain and plain[0].get("role") == "system":
        return [{"role": "system", "content": f"{plain[0]['content']}\n\n{instructions}"}, *plain[1:]]
    return [{"role": "system", "content": instructions}, *plain]


def _plain(message: Message) -> Message:
    if message.get("role") == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message.get('content') or ''}\n</tool_response>"}
    if message.get("tool_calls"):
        called = [call["function"] for call in message["tool_calls"]]
        calls = [
            f'{OPEN}\n{{"name": {json.dumps(call["name"])}, "arguments": {call["arguments"]}}}\n{CLOSE}'
            for call in called
        ]
        return {"role": "assistant", "content": "\n".join([*filter(None, [message.get("content")]), *calls])}
    return message


def style(template: str) -> Style:
    """How calls are written by a model with this chat template."""
    return "llama" if OPEN not in template and "tools" in template and '"parameters"' in template else "hermes"


class Calls:
    """Grammars of the calls that an answer may have.

    Args:
        style: how they are written.
        functions: those that may be called.
        rules: where the schemas of their arguments go.
        several: whether there may be more than one call.

    Raises:
        UnsupportedError: a strict function's schema cannot be enforced.
    """

    def __init__(self, style: Style, functions: list[Function], rules: Rules, *, several: bool) -> None:
        self._style = style
        self._rules = rules
        self._several = several
        arguments = "arguments" if style == "hermes" else "parameters"
        self._heads = [
            f'{{"name": {json.dumps(function.name, ensure_ascii=False)}, "{arguments}": ' for function in functions
        ]
        self._call = either(
            *(
                sequence(Text(head), self._arguments(function, f"tools[{at}].function.parameters"), Text("}"))
                for at, (head, function) in enumerate(zip(self._heads, functions, strict=True))
            )
        )

    def _arguments(self, function: Function, place: str) -> Node:
        try:
            return self._rules.schema(function.parameters, place)
        except UnsupportedError:
            if function.strict:
                raise
            return self._rules.schema({"type": "object"}, place)

    def all(self) -> Node:
        """An answer that is nothing but calls, and at least one."""
        most = 1 if not self._several else None
        if self._style == "llama":
            return sequence(self._call, Repeat(sequence(Text("; "), self._call), 0, most and 0))
        one = sequence(Text(f"{OPEN}\n"), self._call, Text(f"\n{CLOSE}"))
        return sequence(one, Repeat(sequence(Text("\n"), one), 0, most and 0))

    def when_begun(self) -> Grammar:
        """An answer in which calls, where they begin, are sound."""
        if self._style == "llama":
            free = self._rules.unlike([*self._heads, PYTHON_TAG], _SPACE)
            space = Repeat(_SPACE, 0, None)
            tag = optional(sequence(Text(PYTHON_TAG), space))
            return Grammar(self._rules.text(sequence(space, tag, either(self.all(), free))))
        return Grammar(self._rules.text(sequence(Text("\n"), self._call, Text("\n"))), begin=OPEN, end=CLOSE)
