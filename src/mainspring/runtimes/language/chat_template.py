"""Messages to the prompt text that a model was trained on, by the Jinja template that comes with it.

The environment is that of `transformers` (`utils/chat_template_utils.py`): blocks trimmed, loop controls, a `tojson`
that leaves HTML alone, `raise_exception`, `strftime_now`, and `{% generation %}`, which only training looks at. A
template comes with the weights and is as little trusted as they are: it runs in Jinja's immutable sandbox, over plain
JSON data; its time, looked at in every turn of a loop and every call of a macro, and what it writes are bounded.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from mainspring.errors import RequestError, WeightsError, require
from mainspring.runtimes.language.protocol import Message
from mainspring.weights.gguf import Header, read_header

MOST_TEMPLATE = 1 << 20  # characters; the longest in use have some 20,000
MOST_RENDERED = 16 << 20  # characters: more than any context holds
MOST_SECONDS = 10.0


_clock = threading.local()  # `until`: when the rendering of this thread must be done


class ChatTemplate:
    """A chat template.

    Args:
        source: the Jinja template.
        bos_token, eos_token: the texts of those tokens, which templates may write.
        where: what the template is from, for messages.

    Raises:
        WeightsError: it is no Jinja template.

    >>> ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}").render(
    ...     [{"role": "user", "content": "Hello"}]
    ... )
    '<user>Hello'
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "", where: str = "the model") -> None:
        if len(source) > MOST_TEMPLATE:
            raise WeightsError(f"the chat template of {where} has {len(source)} characters, more than {MOST_TEMPLATE}")
        self.source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._jinja = require("jinja2", "language")
        try:
            self._template = _environment().from_string(source)
        except self._jinja.TemplateError as error:
            raise WeightsError(f"the chat template of {where} is no Jinja template: {error}") from None

    @classmethod
    def from_gguf(cls, path: Path) -> ChatTemplate | None:
        """The chat template in the GGUF file at `path`, or None if it has none."""
        return cls.from_header(read_header(path))

    @classmethod
    def from_header(cls, header: Header) -> ChatTemplate | None:
        """The chat template in a GGUF file's header, or None if it has none."""
        source = header.text("tokenizer.chat_template")
        if source is None:
            return None
        tokens = header.texts("tokenizer.ggml.tokens")
        written = {}
        for name in ("bos", "eos"):
            id_ = header.integer(f"tokenizer.ggml.{name}_token_id")
            if id_ is not None and 0 <= id_ < len(tokens):
                written[f"{name}_token"] = tokens[id_]
        return cls(source, where=str(header.path), **written)

    @classmethod
    def from_folder(cls, folder: Path) -> ChatTemplate | None:
        """The chat template of a Hugging Face model, or None: a file of its own, or in `tokenizer_config.json`."""
        try:
            path = folder / "tokenizer_config.json"
            config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            path = folder / "chat_template.jinja"
            source = path.read_text(encoding="utf-8") if path.is_file() else config.get("chat_template")
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path} cannot be read: {error}") from None
        if isinstance(source, list):  # several templates, each with a name
            source = {named["name"]: named["template"] for named in source}.get("default")
        if source is None:
            return None
        tokens = {name: config.get(name) or "" for name in ("bos_token", "eos_token")}
        texts = {name: token["content"] if isinstance(token, dict) else token for name, token in tokens.items()}
        return cls(source, where=str(folder), **texts)

    @cached_property
    def knows_tools(self) -> bool:
        """Whether the template looks at `tools`."""
        meta = require("jinja2.meta", "language")
        return "tools" in meta.find_undeclared_variables(self._template.environment.parse(self.source))

    def render(
        self,
        messages: list[Message],
        tools: list[dict[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **extra: Any,
    ) -> str:
        """The prompt text of `messages`, up to where the model's answer begins.

        `tools` are functions as in OpenAI's API. `extra` are further variables of the template, as `enable_thinking`.
        A message's `content` may be a list of parts of type "text"; they are joined.

        Raises:
            RequestError: the template refuses these messages, or writes too much.
        """
        variables = _plain({"messages": [_joined(message, at) for at, message in enumerate(messages)], "tools": tools})
        variables |= self._tokens | _plain(extra) | {"add_generation_prompt": add_generation_prompt}
        pieces, written = [], 0
        _clock.until = time.monotonic() + MOST_SECONDS
        try:
            for piece in self._template.generate(**variables):
                pieces.append(piece)
                written += len(piece)
                if written > MOST_RENDERED:
                    raise RequestError(f"the chat template writes more than {MOST_RENDERED:,} characters", "messages")
        except RequestError:
            raise
        except Exception as error:  # a template may divide by zero, too
            raise RequestError(f"the model's chat template refuses these messages: {error}", "messages") from None
        return "".join(pieces)


def _environment() -> Any:
    import jinja2
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """The sandbox, with a look at the clock in every loop and macro."""

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            template = super()._parse(source, name, filename)
            blocks: list[nodes.For | nodes.Macro] = [*template.find_all(nodes.For), *template.find_all(nodes.Macro)]
            for block in blocks:
                tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None)
                block.body.insert(0, nodes.ExprStmt(tick, lineno=block.lineno))
            return template

        def tick(self) -> None:
            if time.monotonic() > _clock.until:
                raise RequestError(f"the chat template takes longer than {MOST_SECONDS:g} seconds", "messages")

    class Generation(Extension):
        """`{% generation %}` marks the assistant's words for training; here its body stands for itself."""

        tags = {"generation"}  # noqa: RUF012 (an attribute of jinja2's)

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(form: str) -> str:
        return datetime.now().strftime(form)

    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment


def _joined(message: Message, at: int) -> Message:
    """`message` with its content as one text, if it came in parts."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise RequestError(
                f"this model reads text only: parts must be of type 'text', found {kind!r}",
                f"messages[{at}].content[{number}]",
            )
    return {**message, "content": "".join(part["text"] for part in content)}


def _plain(value: Any) -> Any:
    """`value` rebuilt of plain JSON data, so that the template gets hold of nothing with methods of its own."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"messages and tools must be plain JSON data: {error}", "messages") from None
