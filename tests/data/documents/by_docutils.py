"""What docutils reads in a text, in the units by which our reader is held against it: titles with their levels,
paragraphs, cells and literal blocks, in their order.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Directive, Parser, directives, roles
from docutils.utils import new_document

from mainspring.data.documents.document import Content

_ADMONITIONS = ("note", "warning", "seealso")
_CODE = ("code-block", "doctest")


class _Any(dict):
    """The options of a directive that takes every option."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> object:
        return str

    def __bool__(self) -> bool:
        return True


def _directive(name: str) -> type[Directive]:
    class Generic(Directive):
        has_content = True
        optional_arguments = 0 if name in _ADMONITIONS else 1
        final_argument_whitespace = True
        option_spec = _Any()

        def run(self) -> list[nodes.Node]:
            if name in _CODE:
                return [nodes.literal_block("", "\n".join(self.content))]
            box = nodes.container()
            if self.arguments:
                box += nodes.paragraph("", self.arguments[0])
            self.state.nested_parse(self.content, self.content_offset, box)
            return [box]

    return Generic


def _role(name: str, rawtext: str, text: str, *args: object, **options: object) -> tuple[list[nodes.Node], list]:
    said = nodes.unescape(text)
    if match := re.fullmatch(r"(.+?)\s*<[^<>]+>", said, re.DOTALL):
        said = match[1]
    elif said.startswith("~"):
        said = said.rpartition(".")[2]
    return [nodes.inline(rawtext, said)], []


def docutils_units(text: str) -> list[str]:
    """The units of `text`. Directives and roles that it names are registered, for the whole process."""
    for name in re.findall(r"\.\. ([\w:-]+)::", text):
        directives.register_directive(name, _directive(name))
    for name in re.findall(r":([\w:]+):`", text):
        roles.register_local_role(name, _role)
    settings = get_default_settings(Parser)
    settings.report_level, settings.halt_level = 5, 6
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.warning_stream, settings.syntax_highlight = io.StringIO(), "none"
    document = new_document("", settings)
    Parser().parse(text, document)
    for reference in list(document.findall(nodes.footnote_reference)):
        reference.parent.remove(reference)
    return [unit for unit in _walk(document, 0) if len(unit) > 2]


def _walk(parent: nodes.Element, depth: int) -> Iterator[str]:
    for node in parent.children:
        match node:
            case nodes.section():
                yield from _walk(node, depth + 1)
            case nodes.title():
                yield f"{depth} {_normal(node.astext())}"
            case nodes.system_message() | nodes.comment() | nodes.target() | nodes.substitution_definition():
                pass
            case nodes.label() | nodes.Text():
                pass
            case nodes.literal_block() | nodes.doctest_block():
                yield "C " + node.astext().strip("\n").rstrip()
            case nodes.paragraph() | nodes.term() | nodes.field_name() | nodes.option_group() | nodes.line_block():
                yield "P " + _normal(node.astext())
            case nodes.entry():
                yield "P " + _normal(node.astext())
            case nodes.Element():
                yield from _walk(node, depth)


def our_units(content: Content) -> list[str]:
    """The units of what was read."""
    found: list[str] = []
    for block in content.blocks:
        if block.until:  # a definition, which is a heading here and a paragraph there, of a signature a line
            found.append("P " + _normal(block.text.replace("; ", " ")))
        elif block.kind == "heading":
            found.append(f"{block.level} {_normal(block.text)}")
        elif block.kind == "code":
            found.append("C " + block.text)
        elif block.kind == "table":
            found += ["P " + _normal(cell) for row in block.rows for cell in row.text.split(" | ")]
        elif block.kind == "item":
            found += ["P " + _normal(line) for line in block.text.split("\n")]
        else:
            found.append("P " + _normal(block.text))
    return [unit for unit in found if len(unit) > 2]


def _normal(text: str) -> str:
    """Without the numbers of footnotes, and the colon after the name of a field."""
    return re.sub(r" ?\[\w*\]", "", " ".join(text.replace("\0", "").split())).rstrip(" :").lstrip()
