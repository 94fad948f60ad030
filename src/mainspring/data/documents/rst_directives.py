"""What directives of reStructuredText say: those of docutils, Sphinx and Python's documentation.

A directive that nobody here knows is taken for a definition where it has an argument (`.. py:function:: f(x)`, and the
hundreds like it): the argument is a heading of what is indented below. Nothing is included, and no file is looked at.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import msgspec

from mainspring.data.documents.document import Row
from mainspring.data.documents.front_matter import text_of
from mainspring.data.documents.rst_inline import unescaped

if TYPE_CHECKING:
    from mainspring.data.documents.rst import Scanner

_NOTHING = frozenset((
    "include", "raw", "literalinclude", "toctree", "index", "tabularcolumns", "contents", "sectnum", "program",
    "module", "currentmodule", "py:module", "py:currentmodule", "role", "default-role", "default-domain",
    "testsetup", "testcleanup", "header", "footer", "target-notes", "title", "sectionauthor", "moduleauthor",
    "codeauthor", "audit-event-table", "limited-api-list", "miscnews", "autosummary"
))  # fmt: skip
# All that is in them is said, their argument (where they can have one) is not.
_CONTENT = frozenset((
    "only", "ifconfig", "container", "cssclass", "rst-class", "hlist", "glossary", "compound"
))  # fmt: skip
_ADMONITIONS = frozenset((
    "note", "warning", "tip", "hint", "important", "caution", "danger", "error", "attention", "seealso", "todo",
    "impl-detail", "epigraph", "highlights", "pull-quote"
))  # fmt: skip
_CODE = frozenset((
    "code", "code-block", "sourcecode", "parsed-literal", "doctest", "testcode", "testoutput", "productionlist",
    "math", "prompt", "console", "graphviz", "digraph", "graph", "mermaid"
))  # fmt: skip
# The argument is a paragraph with these words before it, and what is indented follows.
_SENTENCES = {
    "versionadded": "New in version ",
    "versionchanged": "Changed in version ",
    "deprecated": "Deprecated since version ",
    "deprecated-removed": "Deprecated since version ",
    "versionremoved": "Removed in version ",
    "availability": "Availability: ",
    "audit-event": "Auditing event: ",
    "rubric": "",
    "centered": "",
    "topic": "",
    "sidebar": "",
    "admonition": "",
    "table": "",
}
_LANGUAGES = {"doctest": "pycon", "testcode": "python", "prompt": "console", "math": "latex"}
_OPTION = re.compile(r":([\w-]+):(?: +(.*)|\Z)")
_CONTINUED = re.compile(r" *\\\n")
_VERSION = re.compile(r"(\S+)(?: *, *| +)?")
_NAME = re.compile(r"[\w.]+(?= *(?:\(|\Z|=|:|\[))")


class Directives:
    """Runs directives for a scanner."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._lines = scanner.lines
        self._within: list[str] = []  # the names of the definitions that are open
        self._module = ""

    def run(self, name: str, begin: int, i: int, last: int, column: int) -> None:
        """The directive `name`, whose marker is at `begin`; its lines, without the marker, are from `i` to `last`."""
        scanner = self._scanner
        if name in _NOTHING:
            if name.endswith("module"):
                self._module = self._lines.text[i].strip()
            elif name.endswith("author"):
                scanner.metadata.setdefault("author", text_of(scanner.out.plain(self._lines.text[i])[0]))
        elif name == "highlight":
            scanner.language = self._lines.text[i].strip()
        elif name == "meta":
            self._meta(i, last)
        elif name in ("image", "figure"):
            self._figure(i, last)
        elif name in _CODE:
            self._code(name, i, last)
        elif name in _ADMONITIONS:
            self._content(self._options(i + 1, last) if self._lines.indent[i] < 0 else i, last)
        elif name in _CONTENT:
            after, _ = self._arguments(i, last)
            self._content(after, last, titles=name in ("only", "ifconfig") and not column)
        elif name in _SENTENCES:
            self._sentence(name, begin, i, last)
        elif name == "list-table":
            self._list_table(i, last)
        elif name == "csv-table":
            self._csv_table(i, last)
        elif self._lines.indent[i] < 0:
            self._content(self._options(i + 1, last), last)
        else:
            self._definition(name, i, last)

    def _options(self, i: int, last: int) -> int:
        """Behind the options that begin in line `i`."""
        lines = self._lines
        if i < last and lines.indent[i] >= 0 and _OPTION.match(lines.text[i].strip()):
            while i < last and lines.indent[i] >= 0:
                i += 1
        return i

    def _arguments(self, i: int, last: int) -> tuple[int, int]:
        """Behind the options, and behind the argument, which begins in line `i`."""
        lines = self._lines
        end = i
        while end < last and lines.indent[end] >= 0 and not _OPTION.match(lines.text[end].strip()):
            end += 1
        if end == i:
            end = i + 1
        return self._options(end, last), end

    def _option_values(self, i: int, last: int) -> dict[str, str]:
        found = (_OPTION.match(line.strip()) for line in self._lines.text[i:last])
        return {match[1]: match[2] or "" for match in found if match}

    def _content(self, i: int, last: int, titles: bool = False) -> None:
        self._scanner.body(i, last, self._lines.least(i, last, 0), titles)

    def _sentence(self, name: str, begin: int, i: int, last: int) -> None:
        out, lines = self._scanner.out, self._lines
        after, end = self._arguments(i, last)
        text, links = out.plain("\n".join(lines.text[i:end]))
        if text and (before := _SENTENCES[name]):
            if "version" in before and (match := _VERSION.match(text)):
                said = text[match.end() :]
                removed = _VERSION.match(said) if name == "deprecated-removed" else None
                version = match[1].rstrip(",")
                if removed:
                    version += f", removed in version {removed[1]}"
                    said = said[removed.end() :]
                text = version + (f": {said}" if said else "")
            text = before + text
            out.said(begin, lines.end[end - 1], text, links)
        elif text:
            out.said(lines.begin[i], lines.end[end - 1], text, links)
        self._content(after, last)

    def _definition(self, name: str, i: int, last: int) -> None:
        """The argument is a heading, one signature a line."""
        scanner, out, lines = self._scanner, self._scanner.out, self._lines
        after, end = self._arguments(i, last)
        signatures = _CONTINUED.sub(" ", "\n".join(line.strip() for line in lines.text[i:end])).split("\n")
        heading = "; ".join(unescaped(line) if "`" not in line else out.plain(line)[0] for line in signatures)
        own = self._own(name, signatures[0])
        level = scanner.level
        scanner.level = level + 1
        number = out.heading(lines.begin[i], lines.end[end - 1], heading, level + 1, own)
        self._within.append(own or "")
        self._content(after, last)
        self._within.pop()
        scanner.level = level
        out.found[number] = msgspec.structs.replace(out.found[number], until=lines.end[last - 1])

    def _own(self, name: str, signature: str) -> str | None:
        """The name by which Sphinx links to a definition of Python or C."""
        match = _NAME.search(signature)
        if match is None or name.partition(":")[0] not in _PYTHON:
            return f"c.{match[0]}" if match and name.startswith("c:") else None
        around = next((within for within in reversed(self._within) if within), self._module)
        inner = around.removeprefix(f"{self._module}.")
        if match[0].startswith(f"{inner}.") or not around:
            around = self._module
        return f"{around}.{match[0]}" if around else match[0]

    def _code(self, name: str, i: int, last: int) -> None:
        out, lines = self._scanner.out, self._lines
        argument = lines.text[i].strip()
        if name in ("math", "productionlist") and argument and (name == "math" or i + 1 == last):
            out.code(i, last, _LANGUAGES.get(name, ""))
            return
        language = argument if name in ("code", "code-block", "sourcecode") else _LANGUAGES.get(name, "")
        out.code(self._options(i + 1, last), last, language or self._scanner.language)

    def _meta(self, i: int, last: int) -> None:
        for key, value in self._option_values(i + 1, last).items():
            self._scanner.metadata.setdefault(key, text_of(value) or True)

    def _figure(self, i: int, last: int) -> None:
        """What it shows, in words, and what is said below it."""
        out, lines = self._scanner.out, self._lines
        after, end = self._arguments(i, last)
        for j in range(end, after):
            if lines.text[j].strip().startswith(":alt: "):
                lines.enter(j, lines.indent[j] + len(":alt:"), lines.indent[j])
                out.prose(j, j + 1)
        self._content(after, last)

    def _titled(self, i: int, last: int) -> tuple[int, dict[str, str]]:
        """The argument is a paragraph. Behind it, and the options."""
        after, end = self._arguments(i, last)
        if self._lines.indent[i] >= 0:
            self._scanner.out.prose(i, end)
        return after, self._option_values(end, after)

    def _list_table(self, i: int, last: int) -> None:
        """A list of rows, each a list of cells."""
        out, lines = self._scanner.out, self._lines
        after, options = self._titled(i, last)
        i = lines.skip_blank(after, last)
        rows: list[Row] = []
        links: dict[str, None] = {}
        while i < last:
            column = lines.indent[i]
            end = lines.block(i + 1, last, column)
            cells: list[list[str]] = []
            inner = column + 1 + len(lines.text[i][column + 1 :]) - len(lines.text[i][column + 1 :].lstrip())
            for line in lines.text[i:end]:
                if line[inner : inner + 2].strip() in ("-", "*", "+") and not line[column + 1 : inner].strip():
                    cells.append([])
                if cells:
                    cells[-1].append(line[inner + 1 :] if len(cells[-1]) == 0 else line.strip())
            said = [out.plain("\n".join(cell)) for cell in cells]
            if any(text for text, _ in said):
                rows.append(Row(lines.begin[i], lines.end[end - 1], " | ".join(text for text, _ in said)))
                links.update(dict.fromkeys(link for _, found in said for link in found))
            i = lines.skip_blank(end, last)
        out.table(rows, min(_number(options.get("header-rows", "")), len(rows)), tuple(links))

    def _csv_table(self, i: int, last: int) -> None:
        out, lines = self._scanner.out, self._lines
        after, options = self._titled(i, last)
        rows: list[Row] = []
        links: dict[str, None] = {}
        header = _number(options.get("header-rows", ""))
        first = lines.skip_blank(after, last)
        written = [f"{line.strip()}\n" for line in lines.text[first:last]]
        records = csv.reader(written, skipinitialspace=True)
        begin = first
        while True:
            try:
                record = next(records)
            except (StopIteration, csv.Error):
                break
            end = first + records.line_num
            said = [out.plain(cell) for cell in record]
            if any(text for text, _ in said):
                start = lines.skip_blank(begin, end)
                rows.append(Row(lines.begin[start], lines.end[end - 1], " | ".join(text for text, _ in said)))
                links.update(dict.fromkeys(link for _, found in said for link in found))
            begin = end
        out.table(rows, min(header, len(rows)), tuple(links))


def _number(written: str) -> int:
    return int(written) if written.isdecimal() and len(written) < 6 else 0


_PYTHON = frozenset((
    "py", "function", "class", "method", "attribute", "data", "exception", "classmethod", "staticmethod",
    "decorator", "decoratormethod", "property", "coroutinefunction", "coroutinemethod", "awaitablefunction",
    "awaitablemethod", "abstractmethod"
))  # fmt: skip
