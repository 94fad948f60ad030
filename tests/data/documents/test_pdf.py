from __future__ import annotations

import pytest

from mainspring.data.documents.pdf import read
from mainspring.errors import DataError

from .made import page, pdf

PROSE = [
    "Fares are what a flight costs, and they",
    "depend on the day.",
    "",
    "Bags are free.",
    "- one of them",
    "- two",
]


def test_pages_become_paragraphs_with_places():
    content = read(
        pdf([page(*PROSE), page("Second page.")], info="/Title (Fares) /Author (A) /CreationDate (D:20240102)")
    )
    assert (content.title, content.metadata) == ("Fares", {"author": "A", "date": "2024-01-02"})
    assert [(block.kind, block.text) for block in content.blocks] == [
        ("paragraph", "Fares are what a flight costs, and they depend on the day."),
        ("paragraph", "Bags are free."),
        ("item", "- one of them"),
        ("item", "- two"),
        ("paragraph", "Second page."),
    ]
    assert [content.text[begin:][:6] for begin in content.pages] == ["Fares ", "Second"]
    for block in content.blocks:
        assert content.text[block.begin : block.end].split() == block.text.split()


def test_headings_are_those_of_the_outline():
    pages = [
        page("2 Of Bags", "Text of bags.", "All fares and the", "taxes on them", "More text."),
        page("Notes", "End."),
    ]
    content = read(pdf(pages, outline=[("Of  bags", 0), ("All Fares and the Taxes on Them", 0), ("Missing", 1)]))
    assert [block.text for block in content.blocks if block.kind == "heading"] == [
        "2 Of Bags",
        "All fares and the taxes on them",
    ]
    assert {block.level for block in content.blocks if block.kind == "heading"} == {1}


def test_without_an_outline_headings_are_in_larger_letters():
    lines = [*page("The Book", size=24, top=760), *page("Chapter", size=14, top=720), *page(*PROSE, top=690)]
    content = read(pdf([lines]))
    assert content.title == "The Book"
    assert [(block.level, block.text) for block in content.blocks if block.kind == "heading"] == [
        (1, "The Book"),
        (2, "Chapter"),
    ]


def test_running_heads_are_in_no_block():
    pages = [
        [
            *page(f"Chapter {'I' * (1 + number // 3)} {number + 5}", top=800),
            *page(f"What page {'abcdefgh'[number]} says.", f"It {'stuvwxyz'[number]} more."),
            *page(f"Airdesk, page {number + 1} of 8", top=30),
        ]
        for number in range(8)
    ]
    content = read(pdf(pages))
    assert [block.text for block in content.blocks] == [
        f"What page {one} says. It {two} more." for one, two in zip("abcdefgh", "stuvwxyz", strict=True)
    ]
    assert "Airdesk, page 3" in content.text  # which is still there to be quoted


def test_words_that_go_on_in_the_next_line_are_whole():
    content = read(pdf([page("The rules of baggage han-", "dling are in the well-", "Known book.")]))
    [block] = content.blocks
    assert block.text == "The rules of baggage handling are in the well-Known book."
    assert content.text[block.begin : block.end] == block.text.replace("han", "han\xad").replace("l-K", "l\xadK")


def test_pages_without_text_are_told():
    content = read(pdf([page("Text."), [], []]))
    assert content.notes == ("2 pages (2, 3) have no text: scanned, or empty",)
    with pytest.raises(DataError, match="no text on its 2 pages"):
        read(pdf([[], []]))


def test_an_encrypted_file_is_told():
    with pytest.raises(DataError, match="is encrypted"):
        read(pdf([page("Text.")], encrypted=True))


@pytest.mark.parametrize("raw", [b"%PDF-1.4\nnothing", b"no PDF", pdf([page("Text.")])[:300]])
def test_a_damaged_file_is_told(raw):
    with pytest.raises(DataError, match=r"is damaged|has no text"):
        read(raw)


def test_an_outline_that_goes_in_a_circle_ends():
    assert read(pdf([page("One", "Text.")], outline=[("One", 0), ("Two", 0)], looped=True)).blocks[0].kind == "heading"
