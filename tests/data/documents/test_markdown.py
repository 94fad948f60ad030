from __future__ import annotations

import pytest

from mainspring.data.documents.document import Block
from mainspring.data.documents.markdown import read


def said(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in read(text).blocks]


def one(text: str) -> Block:
    [block] = read(text).blocks
    return block


def test_headings_have_levels_and_the_anchors_of_github():
    blocks = read("# Carry-on & *bags*\n\nTwo\n---\n\n## Two\n\n### Größe {#size .wide}\n").blocks
    assert [(block.level, block.text, block.anchor) for block in blocks] == [
        (1, "Carry-on & bags", "carry-on--bags"),
        (2, "Two", "two"),
        (2, "Two", "two-1"),
        (3, "Größe", "size"),
    ]


def test_inline_markup_is_taken_off_and_links_are_kept():
    text = "**Two** [fares](/fares 'x'), `code`, ![a *picture*](p.png),\n<http://a.b> [ref] &copy;  \nend<br>."
    block = one(f"{text}\n\n[ref]: http://r.r\n")
    assert block.text == "Two fares, code, a picture, http://a.b ref ©\nend ."
    assert block.links == ("/fares", "http://a.b", "http://r.r")


def test_items_know_how_deep_they_are_and_what_follows_is_not_torn_from_its_place():
    blocks = read("1. one\n   more\n\n   second\n   - two\n\n     ```sh\n     ls\n     ```\n2. three\n").blocks
    assert [(block.kind, block.level, block.text) for block in blocks] == [
        ("item", 1, "one more"),
        ("paragraph", 0, "second"),
        ("item", 2, "two"),
        ("code", 0, "ls"),
        ("item", 1, "three"),
    ]
    assert blocks[3].language == "sh"


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("```python title='x'\na\n\n b\n```\nafter", "python", "a\n\n b"),
        ("```\nopen", "", "open"),
        ("~~~ {.c}\nx ~~~\n~~~", "c", "x ~~~"),
        ("    indented\n      more\n", "", "indented\n  more"),
        ("> ```r\n> x\n> ```", "r", "x"),
    ],
)
def test_code_is_what_stands_between_the_fences(text, language, code):
    block = read(text).blocks[0]
    assert (block.kind, block.language, block.text) == ("code", language, code)
    assert text[block.begin : block.end].replace("> ", "").replace("\n    ", "\n") == code


def test_tables_have_rows_and_a_header():
    text = "before\n\n| a | *b* |\n|---|:-:|\n| 1 | [x](y) |\n| | |\n| only\n\nafter"
    _, table, _ = read(text).blocks
    assert (table.kind, table.header, table.links) == ("table", 1, ("y",))
    assert [(row.text, text[row.begin : row.end]) for row in table.rows] == [
        ("a | b", "| a | *b* |"),
        ("1 | x", "| 1 | [x](y) |"),
        ("only | ", "| only"),
    ]


def test_quotes_and_rules():
    assert said("> said\n> more\n\n---\n\n> - item\n") == [("quote", "said more"), ("item", "item")]


def test_html_inside_is_read_as_html_where_it_stands():
    text = "<details>\n<summary>More</summary>\n<table><tr><th>A<tr><td>1</table>\n</details>\n\n> <b>bold</b>\n"
    assert said(text) == [("paragraph", "More"), ("table", "A\n1"), ("quote", "bold")]
    assert said("a\n\n<!-- hidden -->\n\n<script>hidden</script>\n\nb") == [("paragraph", "a"), ("paragraph", "b")]


FRONT = (
    "---\ntitle: Fares\ndate: 2024-01-02\ntags: [a, 1]\nmeta:\n  rank: 2\n  ok: true\n  none:\n---\n# Not the title\n"
)


def test_front_matter_is_metadata():
    content = read(FRONT)
    assert content.title == "Fares"
    assert content.metadata == {"date": "2024-01-02", "tags": "a, 1", "meta.rank": 2, "meta.ok": True}
    assert [block.text for block in content.blocks] == ["Not the title"]
    assert read("# A\n\n# B").title == "A"
    assert read("---\n\nno front matter\n\n---\n").blocks[0].text == "no front matter"


@pytest.mark.parametrize(
    ("front", "problem"),
    [
        ("a: &a [x]\nb: [*a, *a]", "aliases"),
        ("a: [", "not YAML"),
        ("[" * 1500, "not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_front_matter_that_is_wrong_or_hostile_is_told(front, problem):
    content = read(f"---\n{front}\n---\ntext")
    assert content.metadata == {}
    assert problem in content.notes[0]
    assert [block.text for block in content.blocks] == ["text"]


def test_metadata_has_only_values_that_can_be_kept():
    content = read(f'---\nbig: {"9" * 40}\nnan: .nan\nlong: {"x" * 5000}\nhalf: "\\uD800"\n---\n')
    assert content.metadata["big"] == "9" * 40
    assert content.metadata["nan"] == "nan"
    assert len(str(content.metadata["long"])) == 1001
    assert content.metadata["half"] == "?"
