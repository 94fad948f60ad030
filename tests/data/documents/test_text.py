from __future__ import annotations

from mainspring.data.documents.text import read


def test_paragraphs_are_parted_by_blank_lines_and_form_feeds():
    text = "\n  one\r\n  two\n \t\n\nthree\fpage two\r\rfour  \n"
    assert [block.text for block in read(text).blocks] == ["one\n  two", "three", "page two", "four"]
    assert [text[block.begin : block.end] for block in read(text).blocks] == [
        "one\r\n  two",
        "three",
        "page two",
        "four",
    ]


def test_other_ends_of_lines_part_nothing():
    assert [block.text for block in read("a\x85\x85b\u2028\u2028c").blocks] == ["a\x85\x85b\u2028\u2028c"]
