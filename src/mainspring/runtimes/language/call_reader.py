"""Tool calls out of text that comes in pieces: first the name, then the arguments as they are written."""

from __future__ import annotations

import json
import re
import secrets

from mainspring.runtimes.language.protocol import ToolCall
from mainspring.runtimes.language.stops import held_back
from mainspring.runtimes.language.tool_calls import CLOSE, OPEN, PYTHON_TAG, Style


class CallReader:
    """Reads calls of known functions. What is none stays text.

    Args:
        style: how calls are written.
        names: the functions that may be called.
    """

    def __init__(self, style: Style, names: list[str]) -> None:
        self._names = names
        self._opening, self._closing = (OPEN, CLOSE) if style == "hermes" else ("", ";")
        self._text = ""  # not told yet
        self._call: _Call | None = None
        self._index = 0  # of the next call
        self._after = False  # a call has ended, and its closing may follow
        self._plain = False  # without an opening, an answer that begins as text is text to its end

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """The plain text, and the pieces of calls, that are certain now."""
        self._text += text
        plain = ""
        calls: list[ToolCall] = []
        while self._text:
            if self._call:
                used, pieces = self._call.feed(self._text)
                self._text = self._text[used:]
                calls += pieces
                if not self._call.ended:
                    break
                plain += self._leave_call()
            elif self._after:
                rest = self._text.lstrip()
                if self._closing.startswith(rest) and rest != self._closing:
                    break
                self._text = rest.removeprefix(self._closing)
                self._after = False
            else:
                before, self._text, begins = self._search(self._text)
                plain += before
                if not begins:
                    break
                self._call = _Call(self._index, self._names)
        return plain, calls

    def end(self) -> str:
        """The plain text that was held back, as no more comes."""
        plain = self._leave_call() if self._call else ""
        text, self._text = self._text, ""
        if self._index:  # what stood between calls is not worth telling
            text = "" if self._after else text.strip()
        return plain + text

    def _search(self, text: str) -> tuple[str, str, bool]:
        """The plain text before a call, what may be one, and whether it is."""
        if not self._opening:
            return self._search_at_the_beginning(text)
        at = text.find(self._opening)
        if at < 0:
            keep = held_back(text, (self._opening,))
            certain = text[: len(text) - keep].rstrip()  # space before a call is not worth telling
            return certain, text[len(certain) :], False
        after = text[at + len(self._opening) :]
        if not after.strip():
            certain = text[:at].rstrip()
            return certain, text[len(certain) :], False
        if after.lstrip().startswith("{"):
            return text[:at].rstrip(), after.lstrip(), True
        before, rest, begins = self._search(after)
        return text[: len(text) - len(after)] + before, rest, begins

    def _search_at_the_beginning(self, text: str) -> tuple[str, str, bool]:
        start = text.lstrip()
        if not self._plain and PYTHON_TAG.startswith(start):
            return "", text, False
        start = start.removeprefix(PYTHON_TAG).lstrip()
        if not self._plain and start.startswith("{"):
            return "", start, True
        self._plain = True
        return text, "", False

    def _leave_call(self) -> str:
        """Go on after a call; if it was none, this is its text."""
        assert self._call is not None
        call, self._call = self._call, None
        if call.told:
            self._index += 1
            self._after = True
            return ""
        self._plain = True
        return self._opening + call.text


class _Call:
    """One call: `{"name": "…", "arguments": {…}}`, in whatever order."""

    _HEAD = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')

    def __init__(self, index: int, names: list[str]) -> None:
        self.text = ""
        self.told = False
        self.ended = False
        self._index = index
        self._names = names
        self._depth = 0
        self._in_string = self._escaped = False
        self._told_to = -1  # how much of the text has been told as arguments; -1 until they begin
        self._inner_end = -1  # where the first object inside ends: under the usual order, the arguments

    def feed(self, text: str) -> tuple[int, list[ToolCall]]:
        """How much of `text` belongs to the call, and what of the call is new."""
        used = self._scan(text)
        self.text += text[:used]
        pieces: list[ToolCall] = []
        if not self.told and (head := self._HEAD.match(self.text)) and head[1] in self._names:
            self.told, self._told_to = True, head.end()
            pieces.append(ToolCall(index=self._index, id=_new_id(), name=head[1]))
        if self._told_to >= 0:
            end = len(self.text) if self._inner_end < 0 else self._inner_end
            if self._told_to < end:
                pieces.append(ToolCall(index=self._index, arguments=self.text[self._told_to : end]))
                self._told_to = end
        elif self.ended:
            pieces += self._whole()
        return used, pieces

    def _scan(self, text: str) -> int:
        """Follow the JSON up to its end, and say where that is."""
        for place, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 1 and self._inner_end < 0:
                    self._inner_end = len(self.text) + place + 1
                if self._depth == 0:
                    self.ended = True
                    return place + 1
        return len(text)

    def _whole(self) -> list[ToolCall]:
        """A call that is written in another order is told once it is complete."""
        try:
            call = json.loads(self.text)
        except ValueError:
            return []
        arguments = call.get("arguments", call.get("parameters", {}))
        if call.get("name") not in self._names:
            return []
        self.told = True
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return [ToolCall(index=self._index, id=_new_id(), name=call["name"], arguments=text)]


def _new_id() -> str:
    return f"call_{secrets.token_hex(12)}"
