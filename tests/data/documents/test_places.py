"""What a block says stands at its place: for documents that are made of known words, with any line ends and spaces."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.data.documents import html, markdown, rst, text
from mainspring.data.documents.document import Content

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
# White space that is no line's end, letters of more than one unit, and what other readers take for an end of a line.
ODD = st.sampled_from(["", "\u2028", "\x0c", "\t", "\x1c", " é ", " 😀 ", "\x85"])
KINDS = st.lists(st.sampled_from(["heading", "paragraph", "item", "code", "table"]), min_size=1, max_size=8)


@dataclass
class Made:
    """A document, and for each of its blocks the kind and the words."""

    text: str
    blocks: list[tuple[str, list[str]]]


class Words:
    """Words that occur once, with something odd between them."""

    def __init__(self, draw: Callable) -> None:
        self._draw = draw
        self._made = 0

    def some(self, count: int) -> list[str]:
        self._made += count
        return [f"w{number}q" for number in range(self._made - count, self._made)]

    def between(self, words: list[str]) -> str:
        return words[0] + "".join(f" {self._draw(ODD)} {word}" for word in words[1:])


@st.composite
def documents(draw: Callable, write: Callable[[str, list[str], Words], str]) -> Made:
    words = Words(draw)
    blocks = [(kind, words.some(draw(st.integers(4, 6)))) for kind in draw(KINDS)]
    written = "\n\n".join(write(kind, some, words) for kind, some in blocks)
    return Made(written.replace("\n", draw(NEWLINES)) + draw(st.sampled_from(["", "\n", "  "])), blocks)


def in_markdown(kind: str, words: list[str], between: Words) -> str:
    one, two, three, *rest = words
    match kind:
        case "heading":
            return f"## *{one}* {two} `{three}` {' '.join(rest)}"
        case "item":
            return f"- **{one}** &amp; {two}\n  [{three}](http://x.y)\n  {between.between(rest)}"
        case "code":
            return f"```python\n{one} = {two}\n\n  {three}\n{' '.join(rest)}\n```"
        case "table":
            return f"| {one} | {two} |\n|:--|---|\n| *{three}* | {' '.join(rest)} |"
    return f"{one} <b>{two}</b>\n_{three}_ {between.between(rest)}"


def in_html(kind: str, words: list[str], between: Words) -> str:
    one, two, three, *rest = words
    match kind:
        case "heading":
            return f"<h2>{one} <i>{two}</i>\n{three} {' '.join(rest)}</h2>"
        case "item":
            return f"<ul><li>{one} &amp; {two}\n<a href='http://x.y'>{three}</a> {between.between(rest)}</ul>"
        case "code":
            return f"<pre>{one} &lt; {two}\n\n  {three}\n{' '.join(rest)}</pre>"
        case "table":
            return f"<table><tr><th>{one}<th>{two}\n<tr><td>{three}<td>{' '.join(rest)}</table>"
    return f"<p>{one} &eacute;{two}<!-- no > -->\n<b class='a>b'>{three}</b> {between.between(rest)}<script>no</script>"


def in_rst(kind: str, words: list[str], between: Words) -> str:
    one, two, three, *rest = words
    match kind:
        case "heading":
            title = f"*{one}* {two} ``{three}`` {' '.join(rest)}"
            return f"{title}\n{'=' * len(title)}"
        case "item":
            return f"- **{one}** {two}\n  `{three} <http://x.y>`_\n  {between.between(rest)}"
        case "code":
            return f".. code-block:: python\n\n   {one} = {two}\n\n     {three}\n   {' '.join(rest)}"
        case "table":
            line = "====== ======"
            return f"{line}\n{one:6} {two}\n{line}\n{three:6} {' '.join(rest)}\n{line}"
    return f"{one} :func:`~a.{two}`\n*{three}* {between.between(rest)}"


def in_text(kind: str, words: list[str], between: Words) -> str:
    return f"{between.between(words[:3])}\n  {' '.join(words[3:])}"


def check(content: Content, source: str) -> None:
    """Blocks are in order, apart from each other, and begin and end with what is no white space."""
    assert content.text == source
    end = 0
    for block in content.blocks:
        assert end <= block.begin < block.end <= len(source)
        piece = source[block.begin : block.end]
        assert piece == piece.strip()
        assert block.text.strip()
        assert block.text == block.text.strip() or block.kind in ("code", "table")  # indented; the last cell empty
        end = block.end
        place = block.begin
        for row in block.rows:
            assert place <= row.begin <= row.end <= block.end
            place = row.end


READERS = {
    "markdown": (markdown.read, in_markdown),
    "html": (html.read, in_html),
    "rst": (rst.read, in_rst),
    "text": (text.read, in_text),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_each_word_is_said_once_and_stands_at_its_place(name, data):
    read, write = READERS[name]
    made = data.draw(documents(write))
    content = read(made.text)
    check(content, made.text)
    found = [(block.kind, re.findall(r"w\d+q", block.text)) for block in content.blocks]
    expected = made.blocks
    if name == "text":  # which has nothing but paragraphs; a form feed ends one
        found = [("paragraph", [word for _, words in found for word in words])]
        expected = [("paragraph", [word for _, words in expected for word in words])]
    assert found == expected
    for block in content.blocks:
        assert re.findall(r"w\d+q", made.text[block.begin : block.end]) == re.findall(r"w\d+q", block.text)
        for row in block.rows:
            assert re.findall(r"w\d+q", made.text[row.begin : row.end]) == re.findall(r"w\d+q", row.text)


ANYTHING = {
    "markdown": "ab \t\n\r-*_`#>|[]()<!&;:.1=~\\\u2028\x0c",
    "html": "ab \n\r<>/!-[]&;#\"'=?xp\u2028",
    "rst": "ab \t\n\r.:`*_|-=+[]<>~#\\1\u2028\x0c",
    "text": "ab \t\n\r\x0c\u2028",
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_text_breaks_a_reader(name, data):
    source = data.draw(st.text(ANYTHING[name], max_size=80))
    check(READERS[name][0](source), source)


TAGS = [
    *(
        "p",
        "/p",
        "ul",
        "li",
        "/ul",
        "dl",
        "dt",
        "dd",
        "table",
        "tr",
        "td",
        "/table",
        "h2",
        "/h2",
        "pre",
        "/pre",
        "b",
        "nav",
    ),
    *("/nav", "x", "x"),  # x is text
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(TAGS)))
def test_no_order_of_tags_breaks_the_html_reader(tags):
    source = "".join("x " if tag == "x" else f"<{tag}>" for tag in tags)
    check(html.read(source), source)
    inside = re.sub(r"<nav>.*?(</nav>|$)", "", source)
    assert sum(block.text.count("x") for block in html.read(inside).blocks) == inside.count("x ")
