"""reStructuredText, as it is written in Python's world: docutils' syntax, and Sphinx's directives and roles.

A scanner of its own, because docutils is slow and doesn't know the places. The order in which a line is taken for
something is that of docutils' state `Body`; its tests hold both against each other. There is no text that it fails on:
what is no markup is a paragraph. No file that a text names is read.

Method: docutils, "reStructuredText Markup Specification".
"""

from __future__ import annotations

from collections.abc import Callable

from mainspring.data.documents import rst_marks as marks
from mainspring.data.documents.document import Content, Value
from mainspring.data.documents.lines import stripped
from mainspring.data.documents.rst_blocks import Blocks
from mainspring.data.documents.rst_directives import Directives
from mainspring.data.documents.rst_inline import Inline
from mainspring.data.documents.rst_lines import Lines
from mainspring.data.documents.rst_tables import GRID, SIMPLE, grid_rows, simple_rows
from mainspring.data.documents.slugs import sphinx_id

_DEEPEST = 40  # what is nested deeper is a paragraph
_LONGEST_VALUE = 200  # characters of a field at the head; what is longer is text


def read(text: str) -> Content:
    """The blocks of `text`; fields at its head become metadata."""
    scanner = Scanner(text)
    scanner.body(0, len(scanner.lines), 0)
    title = next(
        (block.text for block in scanner.out.found if block.kind == "heading" and block.level == 1 and not block.until),
        "",
    )
    return Content(text=text, blocks=tuple(scanner.out.found), title=title, metadata=scanner.metadata)


class Scanner:
    """One file on its way to blocks. What directives do is in `rst_directives`."""

    def __init__(self, text: str) -> None:
        self.lines = Lines(text)
        self.metadata: dict[str, Value] = {}
        self.language = ""  # of literal blocks, as `highlight` said last
        self.level = 0  # of the section, or of the definition, that is open
        targets = {(m[1] or m[2]).lower().replace("\\", ""): m[3] for m in marks.EXTERNAL.finditer(text)}
        inline = Inline(targets, {})
        substitutions = {m[1].lower(): inline.plain(m[2])[0] for m in marks.REPLACED.finditer(text)}
        self.out = Blocks(self.lines, Inline(targets, substitutions))
        self._directives = Directives(self)
        self._ids: set[str] = set()  # of sections
        self._numbered = 0  # sections with a number for an id
        self._styles: list[tuple[str, bool]] = []  # of titles: the sign, and whether there is a line above, too
        self._depth = 0
        self._footnotes = 0  # those that have no number of their own

    # What is there.

    def body(self, i: int, last: int, column: int, titles: bool = True) -> None:
        """The lines from `i` to `last`, none of which begins before `column`."""
        if self._depth > _DEEPEST:
            i = self.lines.skip_blank(i, last)
            if i < last:
                self.out.prose(i, last)
            return
        self._depth += 1
        lines = self.lines
        indent = lines.indent
        while i < last:
            if indent[i] < 0:
                i += 1
            elif indent[i] > column:
                i = self._quote(i, last, column)
            else:
                i = self._construct(i, last, column, titles)
        self._depth -= 1

    def _construct(self, i: int, last: int, column: int, titles: bool) -> int:
        """What begins in line `i`; the line behind it."""
        line = self.lines.text[i][column:]
        first = line[0]
        if (known := _BY_FIRST.get(first)) is not None:
            for taken in known:
                if (after := taken(self, line, i, last, column)) is not None:
                    return after
        if not first.isalnum() and marks.RULE.match(line) and line != "::":
            if titles and (after := self._overlined(line, i, last)) is not None:
                return after
            if len(line) >= 4:
                return i + 1  # a transition
        elif (first.isalnum() or first in "(#") and (after := self._enumerated(line, i, last, column)) is not None:
            return after
        return self._text(line, i, last, column, titles)

    def _text(self, line: str, i: int, last: int, column: int, titles: bool) -> int:
        """A title, a term with its definition, or a paragraph, with what is literal after it."""
        lines = self.lines
        if i + 1 < last:
            indent = lines.indent[i + 1]
            if indent > column:
                return self._definition(i, last, column)
            if titles and indent == column == 0 and (rule := marks.RULE.match(lines.text[i + 1])):
                length = len(rule.group())
                if length >= len(line) or length >= 4:
                    self._title(i, i, i + 2, (rule[1], False))
                    return i + 2
        after = lines.paragraph(i, last, column)
        if not lines.text[after - 1].endswith("::"):
            self.out.prose(i, after)
            return after
        return self._before_literal(i, after, last, column)

    def _before_literal(self, i: int, after: int, last: int, column: int) -> int:
        lines = self.lines
        end = lines.text[after - 1]
        lines.text[after - 1] = end[:-1] if not end.endswith((" ::", "\\::")) and end.strip() != "::" else end[:-2]
        if end[column:] == "::":
            after -= 1
        if i < after:
            self.out.prose(i, after)
        after += end[column:] == "::"
        return self._literal(after, last, column)

    def _literal(self, i: int, last: int, column: int) -> int:
        """The indented lines, or those that begin with one sign, from `i` on."""
        lines = self.lines
        first = lines.skip_blank(i, last)
        if first == last or lines.indent[first] < column:
            return first
        if lines.indent[first] > column:
            after = lines.block(first, last, column)
            self.out.code(first, after, self.language)
            return after
        sign = lines.text[first][column]
        if sign.isalnum() or sign.isspace() or ord(sign) > 126:
            return first
        after = first
        while after < last and lines.indent[after] == column and lines.text[after][column] == sign:
            after += 1
        self.out.code(first, after, self.language)
        return after

    def _title(self, first: int, i: int, after: int, style: tuple[str, bool]) -> None:
        """The title in line `i`; with its lines it is from `first` to `after`."""
        if style not in self._styles:
            self._styles.append(style)
        self.level = self._styles.index(style) + 1
        text, _ = self.out.plain(self.lines.text[i])
        begin, end = self.lines.begin[first], self.lines.end[after - 1]
        self.out.heading(begin, end, text, self.level, self._section_id(text))

    def _section_id(self, title: str) -> str:
        """By which docutils and Sphinx link to a section: the second of the same name has a number instead."""
        name = sphinx_id(title)
        if not name or name in self._ids:
            self._numbered += 1
            return f"id{self._numbered}"
        self._ids.add(name)
        return name

    def _overlined(self, line: str, i: int, last: int) -> int | None:
        """A title between two equal lines, which may be indented."""
        lines = self.lines
        if (
            i + 2 < last
            and lines.indent[i + 1] >= 0
            and lines.text[i + 2] == line
            and not marks.RULE.match(lines.text[i + 1])
        ):
            self._title(i, i + 1, i + 3, (line[0], True))
            return i + 3
        return None

    def _quote(self, i: int, last: int, column: int) -> int:
        after = self.lines.block(i, last, column)
        least = self.lines.least(i, after, column)
        self.out.item = None
        self.out.quotes += 1
        self.body(i, after, least, titles=False)
        self.out.quotes -= 1
        return after

    def _definition(self, i: int, last: int, column: int) -> int:
        """A term, and what is indented below it. Both are one item, as far as its first paragraph goes."""
        lines = self.lines
        after = lines.block(i + 1, last, column)
        inner = lines.least(i + 1, after, column + 1)
        term, links = self.out.plain(lines.text[i])
        self.out.lists += 1
        number = len(self.out.found)
        self.out.item = lines.begin[i]
        self.out.said(lines.begin[i], lines.end[i], term, links)
        self.body(i + 1, after, inner, titles=False)
        self.out.join(number)
        self.out.lists -= 1
        return after

    # What is told by its first character. Each gives the line behind it, or None: it is something else.

    def _bullet(self, line: str, i: int, last: int, column: int) -> int | None:
        match = marks.BULLET.match(line)
        return self._listed(match.end(), i, last, column) if match else None

    def _listed(self, width: int, i: int, last: int, column: int) -> int:
        lines = self.lines
        if width >= len(lines.text[i]) - column:  # nothing after the marker: what follows says where the body is
            width = max(1, lines.least(i + 1, min(i + 2, last), column + width) - column)
        after = lines.block(i + 1, last, column + width - 1)
        marker = lines.begin[i]
        lines.enter(i, column + width, column + width)
        self.item(marker, i, after, column + width)
        return after

    def item(self, marker: int, i: int, last: int, column: int) -> None:
        """The lines from `i` to `last` are what an item says, whose marker is at `marker`."""
        self.out.lists += 1
        self.out.item = marker
        self.body(i, last, column, titles=False)
        self.out.item = None
        self.out.lists -= 1

    def _enumerated(self, line: str, i: int, last: int, column: int) -> int | None:
        match = marks.ENUMERATOR.match(line)
        if match is None or not marks.ORDINAL.match(match[1] or match[2]):
            return None
        lines = self.lines
        if i + 1 < last and lines.indent[i + 1] >= 0 and lines.indent[i + 1] <= column:
            # The next line must be another item. "A. Einstein\nwas" is a name.
            below = lines.text[i + 1][column:] if lines.indent[i + 1] == column else ""
            if not (other := marks.ENUMERATOR.match(below)) or not marks.ORDINAL.match(other[1] or other[2]):
                return None
        return self._listed(match.end(), i, last, column)

    def _field(self, line: str, i: int, last: int, column: int) -> int | None:
        match = marks.FIELD.match(line)
        if match is None:
            return None
        lines = self.lines
        after = lines.block(i + 1, last, column)
        if not column and len(self.out.found) < 2 and all(block.kind == "heading" for block in self.out.found):
            value, _ = self.out.plain(" ".join([line[match.end() :], *lines.text[i + 1 : after]]))
            if len(value) <= _LONGEST_VALUE:
                self.metadata.setdefault(match[1].lower()[:_LONGEST_VALUE], value or True)
                return after
        self._named(self.out.plain(match[1])[0] + ":", match.end(), i, after, column)
        return after

    def _named(self, name: str, width: int, i: int, after: int, column: int) -> None:
        """A name, and what is said of it in its line and below."""
        lines = self.lines
        begin = lines.begin[i]
        inner = lines.least(i + 1, after, column + 1)
        lines.enter(i, column + width, inner)
        _, end = stripped(lines.source, begin, lines.begin[i] if lines.indent[i] >= 0 else lines.end[i])
        self.out.lists += 1
        number = len(self.out.found)
        self.out.item = begin
        self.out.said(begin, end, name)
        self.body(i, after, inner, titles=False)
        self.out.join(number)
        self.out.lists -= 1

    def _option(self, line: str, i: int, last: int, column: int) -> int | None:
        match = marks.OPTION.match(line)
        after = self.lines.block(i + 1, last, column)
        if match is None or (match.end() == len(line) and after == i + 1):
            return None
        self._named(match.group().strip(), match.end(), i, after, column)
        return after

    def _doctest(self, line: str, i: int, last: int, column: int) -> int | None:
        if not line.startswith(">>>") or line[3:4].strip():
            return None
        after = i
        while after < last and self.lines.indent[after] >= column:
            after += 1
        self.out.code(i, after, "pycon")
        return after

    def _line_block(self, line: str, i: int, last: int, column: int) -> int | None:
        if line[1:2].strip():
            return None
        lines = self.lines
        after = i + 1
        while (
            after < last
            and lines.indent[after] >= column
            and (lines.indent[after] > column or lines.text[after][column:][:2].strip() == "|")
        ):
            after += 1
        said = [self.out.plain(lines.text[j][column:].removeprefix("|")) for j in range(i, after)]
        links = tuple(link for _, found in said for link in found)
        self.out.said(lines.begin[i], lines.end[after - 1], "\n".join(text for text, _ in said if text), links)
        return after

    def _grid(self, line: str, i: int, last: int, column: int) -> int | None:
        if not GRID.match(line):
            return None
        after = self.lines.paragraph(i, last, column)
        rows, header, links = grid_rows(self.lines, i, after, column, self.out.plain)
        if not rows:
            return None
        self.out.table(rows, header, links)
        return after

    def _simple(self, line: str, i: int, last: int, column: int) -> int | None:
        if not SIMPLE.match(line):
            return None
        found = simple_rows(self.lines, i, last, column, self.out.plain)
        if found is None:
            return None
        after, rows, header, links = found
        self.out.table(rows, header, links)
        return after

    def _anonymous(self, line: str, i: int, last: int, column: int) -> int | None:
        return i + 1 if line.startswith("__ ") else None

    def _explicit(self, line: str, i: int, last: int, column: int) -> int | None:
        """Footnotes, targets, substitutions, directives, and comments, which are none of these."""
        if not line.startswith("..") or line[2:3].strip():
            return None
        lines = self.lines
        rest = line[3:].lstrip()
        after = lines.block(i + 1, last, column)
        width = len(line) - len(rest)
        if match := marks.FOOTNOTE.match(rest):
            if match[1] == "#":
                self._footnotes += 1
            label = match[1].lstrip("#") or str(self._footnotes)
            self._named(f"[{label}]", width + match.end(), i, after, column)
        elif match := marks.TARGET.match(rest):
            if not rest[match.end() :] and after == i + 1:
                self.out.anchor = sphinx_id(match[2] or match[3] or "") or None
        elif marks.SUBSTITUTION.match(rest):
            pass
        elif match := marks.DIRECTIVE.match(rest):
            begin = lines.begin[i]
            lines.enter(i, column + width + match.end(), lines.least(i + 1, after, column + 3))
            self._directives.run(match[1].lower(), begin, i, after, column)
        elif not rest and (i + 1 == last or lines.indent[i + 1] < 0):
            return i + 1  # an empty comment, which ends what was before
        return after


_BY_FIRST: dict[str, tuple[Callable[[Scanner, str, int, int, int], int | None], ...]] = {
    **dict.fromkeys("*•‣⁃", (Scanner._bullet,)),
    "+": (Scanner._bullet, Scanner._grid),
    "-": (Scanner._bullet, Scanner._option),
    "/": (Scanner._option,),
    ":": (Scanner._field,),
    ">": (Scanner._doctest,),
    "|": (Scanner._line_block,),
    "=": (Scanner._simple,),
    ".": (Scanner._explicit,),
    "_": (Scanner._anonymous,),
}
