"""A conversation as OpenAI's API writes it, the tools that the model may call, and the form of its answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mainspring.runtimes.language.protocol import JsonSchema, Message, Structure
from mainspring.serving.openai.bodies import refuse

_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a message. Images, sounds and files are refused: these models read text."""

    type: Literal["text"]
    text: str


class SaidPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A part of what an assistant said."""

    text: str


class RefusalPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="refusal"):
    """What an assistant once said in place of an answer."""

    refusal: str


_Text: TypeAlias = str | Annotated[list[TextPart], Meta(min_length=1)]


class _Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="role"):
    """`name` tells participants of one role apart: it goes to the chat template, which may write it."""

    name: str | None = None


class System(_Said, frozen=True, tag="system"):
    """What the model is to be like."""

    content: _Text


class Developer(_Said, frozen=True, tag="developer"):
    """The newer name for `System`."""

    content: _Text


class User(_Said, frozen=True, tag="user"):
    """What the user says."""

    content: _Text


class FunctionCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The function that was called, with its arguments as JSON."""

    name: _Name
    arguments: str


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call that an earlier answer made."""

    type: Literal["function"]
    id: _Id
    function: FunctionCall


class Assistant(_Said, frozen=True, tag="assistant"):
    """What the model answered. Clients send an answer back as they got it, with the fields that are empty in ours, and
    with its citations, which say nothing that its text does not.
    """

    content: str | Annotated[list[SaidPart | RefusalPart], Meta(min_length=1)] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: None = None
    function_call: None = None


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="role", tag="tool"):
    """What a call came to."""

    content: _Text
    tool_call_id: _Id
    name: str | None = None


AnyMessage: TypeAlias = System | Developer | User | Assistant | Tool


def conversation(messages: list[AnyMessage]) -> list[Message]:
    """The messages as an engine takes them, their parts joined.

    Raises:
        Problem: one is not where it can be.
    """
    called: set[str] = set()
    found = []
    for place, message in enumerate(messages):
        if isinstance(message, Tool):
            if message.tool_call_id not in called:
                raise refuse(
                    f"messages[{place}].tool_call_id", "no tool call of the assistant's message before has this id"
                )
        else:
            called = {call.id for call in (message.tool_calls or ())} if isinstance(message, Assistant) else set()
        found.append(_message(message, place))
    return found


def _message(message: AnyMessage, place: int) -> Message:
    found: Message = {"role": "system" if isinstance(message, Developer) else message.__struct_config__.tag}
    text = _joined(message.content)
    if isinstance(message, Assistant):
        text = text if text is not None else message.refusal
        if text is None and not message.tool_calls:
            raise refuse(f"messages[{place}].content", "an assistant's message has content or tool_calls")
        if message.tool_calls:
            found["tool_calls"] = [
                {"id": call.id, "type": "function", "function": msgspec.to_builtins(call.function)}
                for call in message.tool_calls
            ]
    if isinstance(message, Tool):
        found["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        found["name"] = message.name
    return {**found, "content": text}


def _joined(content: str | list[Any] | None) -> str | None:
    if not isinstance(content, list):
        return content
    return "".join(part.refusal if isinstance(part, RefusalPart) else part.text for part in content)


class Function(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What may be called. `strict`: its arguments fit the schema, or the schema is refused."""

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool, of the one kind that there is."""

    type: Literal["function"]
    function: Function


class NamedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    name: _Name


class NamedChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The function that must be called."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedChoice


def choice_of(tools: list[FunctionTool] | None, choice: ToolChoice | None, parallel: bool | None) -> str:
    """Which function is to be called: "auto", "none", "required", or its name.

    Raises:
        Problem: there is none to choose.
    """
    if not tools:
        for name, given in (("tool_choice", choice), ("parallel_tool_calls", parallel)):
            if given is not None:
                raise refuse(name, "it is allowed where there are tools only")
        return "auto"
    names = [tool.function.name for tool in tools]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise refuse(f"tools[{place}].function.name", f"there are two functions {name!r}")
    if not isinstance(choice, NamedChoice):
        return choice or "auto"
    if choice.function.name not in names:
        raise refuse("tool_choice.function.name", f"no function {choice.function.name!r} is among the tools")
    if choice.function.name in ("auto", "none", "required"):
        raise refuse("tool_choice.function.name", "a function of this name cannot be chosen: give it another")
    return choice.function.name


class TextFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """Any text."""


class JsonObjectFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_object"):
    """A JSON object."""


class NamedSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON schema. It is enforced whether or not it is `strict`; name and description are for its readers."""

    name: _Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: NamedSchema


AnyFormat: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat


def structure_of(form: AnyFormat | None) -> Structure | JsonSchema | None:
    """What the engine is to enforce."""
    if isinstance(form, JsonSchemaFormat):
        return JsonSchema(form.json_schema.schema)
    return Structure() if isinstance(form, JsonObjectFormat) else None
