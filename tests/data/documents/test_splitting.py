"""Splitting: by structure, never too long, never anything left out, and every place holds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.data.documents import rst
from mainspring.data.documents.document import Block, BlockKind, Document, Row
from mainspring.data.documents.passages import Passage
from mainspring.data.documents.splitting import Splitter
from mainspring.data.documents.tokens import EstimatedTokens, Tokens

from .tokenizers_here import bert, bytes_of_gpt

BERT, BYTES = bert(), bytes_of_gpt()
both = pytest.mark.parametrize("tokens", [BERT, BYTES], ids=["bert", "bytes"])


class Words:
    """Counts words, for examples that a person can count."""

    special = 0
    additive = True

    def counts(self, texts: object) -> list[int]:
        return [len(text.split()) for text in texts]  # type: ignore[attr-defined]

    def cuts(self, text: str, most: int) -> list[int]:
        return []


def written(*parts: tuple[object, ...], title: str = "T", mark: str = "") -> Document:
    """A document of blocks (kind, text, ...): a heading has its level, a table its rows. `mark` stands around each."""
    text, blocks = "\n", []
    for kind, said, *more in parts:
        begin = len(text)
        rows: list[Row] = []
        if kind == "table":
            for line in said:  # type: ignore[attr-defined]
                rows.append(Row(len(text), len(text) + len(line), line))
                text += line + "\n"
            text = text[:-1]
            said = "\n".join(row.text for row in rows)
        else:
            text += f"{mark}{said}{mark}"
        level = int(more[0]) if kind == "heading" else 0  # type: ignore[call-overload]
        header = 1 if rows else 0
        kind_: BlockKind = kind  # type: ignore[assignment]
        blocks.append(
            Block(kind=kind_, begin=begin, end=len(text), text=str(said), level=level, rows=tuple(rows), header=header)
        )
        text += "\n\n"
    return Document(source="a.md", digest="", title=title, text=text, blocks=tuple(blocks))


def split(document: Document, most: int, tokens: Tokens | None = None) -> list[Passage]:
    passages, _ = Splitter(tokens or Words(), most=most).split(document)
    return passages


words = st.sampled_from(["a", "cat", "the", "sleeping", "of.", "x_y", "end!", "ab", "漢字", "o" * 30])
prose = st.lists(words, min_size=1, max_size=40).map(" ".join)
heading = st.tuples(st.just("heading"), st.lists(words, min_size=1, max_size=6).map(" ".join), st.integers(1, 4))
code = st.lists(prose, min_size=1, max_size=5).map(lambda lines: ("code", "\n    ".join(lines)))
table = st.lists(st.lists(words, min_size=1, max_size=8).map(" | ".join), min_size=1, max_size=8).map(
    lambda rows: ("table", rows)
)
plain = st.tuples(st.sampled_from(["paragraph", "item", "quote"]), prose)
documents = st.builds(
    lambda parts, title, mark: written(*parts, title=title, mark=mark),
    st.lists(heading | plain | code | table, max_size=10),
    st.sampled_from(["", "T", "cat"]),
    st.sampled_from(["", "**", "``"]),
)


@both
@settings(max_examples=25)
@given(document=documents, most=st.integers(16, 60), prefix=st.sampled_from(["", "passage: "]))
def test_nothing_is_too_long_and_nothing_is_left_out(
    tokens: Tokens, document: Document, most: int, prefix: str
) -> None:
    passages, _ = Splitter(tokens, most=most, prefix=prefix).split(document)

    for passage in passages:
        assert tokens.counts([prefix + passage.indexed])[0] + tokens.special <= most
        assert passage.text.strip()
        assert 0 <= passage.begin < passage.end <= len(document.text)
    assert [p.begin for p in passages] == sorted(p.begin for p in passages)
    inside = {at for passage in passages for at in range(passage.begin, passage.end)}
    for block in document.blocks:
        missed = [at for at in range(block.begin, block.end) if at not in inside]
        assert not document.text[block.begin : block.end] or all(document.text[at].isspace() for at in missed)
        if block.kind != "heading":
            of_it = [p for p in passages if p.begin < block.end and block.begin < p.end]
            texts = [p.text.partition("\n")[2] if p.header else p.text for p in of_it]  # words go on behind a header
            said = "".join("".join(text.split()) for text in texts)
            for word in block.text.split():
                assert word in said or len(word) > 7  # which was cut, perhaps


@settings(max_examples=25)
@given(document=documents, most=st.integers(16, 60))
def test_what_a_passage_says_stands_at_its_place(document: Document, most: int) -> None:
    for passage in split(document, most, BERT):
        there = "".join(document.text[passage.begin : passage.end].split())
        if passage.header is not None:
            there += "".join(document.text[slice(*passage.header)].split())
        for word in passage.text.split():
            assert word in there


@settings(max_examples=25)
@given(document=documents, most=st.integers(16, 60))
def test_a_passage_knows_its_tables(document: Document, most: int) -> None:
    rows_of = {block.rows[0].begin: block.text.split("\n")[1:] for block in document.blocks if len(block.rows) > 1}
    for passage in split(document, most):
        for table in passage.tables:
            assert passage.text[table.begin : table.rows] == document.text[slice(*table.header)] + "\n"
            rows = passage.text[table.rows : table.end].split("\n")
            assert all(any(row in whole for whole in rows_of[table.header[0]]) for row in rows)


def test_passages_are_of_about_the_same_size() -> None:
    sentences = " ".join(f"Word number {n} is here." for n in range(22))  # of 5 words
    sizes = [len(p.indexed.split()) for p in split(written(("paragraph", sentences)), 101)]
    assert sizes == [56, 56]


def test_sections_do_not_share_a_passage_but_small_deep_ones_do() -> None:
    document = written(
        ("heading", "A", 2), ("paragraph", "one"),
        ("heading", "B", 2), ("paragraph", "two"),
        ("heading", "b", 3), ("paragraph", "three"),
        ("heading", "c", 3), ("paragraph", "four"),
        ("heading", "C", 2), ("paragraph", "five"),
    )  # fmt: skip
    found = [(p.path, p.text) for p in split(document, 100)]
    assert found == [
        (("T", "A"), "one"),
        (("T", "B"), "two"),
        (("T", "B"), "b\nthree\nc\nfour"),
        (("T", "C"), "five"),
    ]


def test_a_heading_alone_goes_to_what_is_below_it_or_stands_for_itself() -> None:
    document = written(("heading", "T", 1), ("heading", "A", 2), ("paragraph", "one"), ("heading", "Empty", 2))
    first, last = split(document, 100)
    assert (first.path, first.text) == (("T", "A"), "one")
    assert document.text[first.begin : first.end] == "T\n\nA\n\none"
    assert (last.path, last.text) == (("T",), "Empty")


def test_a_table_is_cut_at_its_rows_and_its_header_goes_with_each_part() -> None:
    rows = ["h1 | h2", *(f"r{n} | {n}" for n in range(9))]
    document = written(("paragraph", "before"), ("table", rows))
    passages = split(document, 16)
    assert len(passages) > 2
    for passage in passages[1:]:
        assert passage.header is not None
        assert document.text[slice(*passage.header)] == "h1 | h2"
        assert passage.text.startswith("h1 | h2\nr")
        assert passage.text.removeprefix("h1 | h2\n") == document.text[passage.begin : passage.end]
    assert [line for p in passages for line in p.text.split("\n") if line.startswith("r")] == rows[1:]


def test_a_row_that_fits_nowhere_is_cut_and_that_is_said() -> None:
    long = "long | " + " ".join(f"w{n}" for n in range(40))
    passages, notes = Splitter(Words(), most=20).split(written(("table", ["head", long, "short | x"])))
    assert len(notes) == 1
    assert "was cut" in notes[0]
    assert all(p.text.startswith("head\n") for p in passages)
    assert passages[-1].text.endswith("short | x")


def test_code_is_cut_at_lines_which_keep_their_indentation() -> None:
    lines = [f"    if a{n}: return b{n}" for n in range(20)]
    document = written(("code", "\n".join(lines)))
    passages = split(document, 30)
    assert [line for p in passages for line in p.text.split("\n")] == lines
    assert all(p.text.strip() == document.text[p.begin : p.end].strip() for p in passages)


def test_only_what_is_cut_at_words_overlaps() -> None:
    one_sentence = " ".join(f"w{n}" for n in range(100))
    passages = split(written(("paragraph", one_sentence), title=""), 32)
    assert len(passages) > 3
    assert all(second.begin < first.end for first, second in pairwise(passages))
    assert passages[0].text.split()[-4:] == passages[1].text.split()[:4]


def test_pages_anchors_and_links() -> None:
    text = "Head\nsee http://a.b now.\n\fNext page http://c.d ends."
    first, second = text.index("see"), text.index("Next")
    blocks = (
        Block(kind="heading", begin=0, end=4, text="Head", level=1, anchor="head"),
        Block(kind="paragraph", begin=first, end=first + 19, text="see http://a.b now.", links=("http://a.b",)),
        Block(kind="paragraph", begin=second, end=len(text), text=text[second:], links=("http://c.d",)),
    )
    document = Document(source="a", digest="", title="", text=text, blocks=blocks, pages=(0, second))
    one, two = split(document, 6)
    assert (one.page, one.anchor, one.links) == (1, "head", ("http://a.b",))
    assert (two.page, two.anchor, two.links) == (2, "head", ("http://c.d",))


def test_an_endless_word_and_a_long_heading() -> None:
    for tokens in (BERT, BYTES, EstimatedTokens()):
        document = written(("heading", "cat " * 50, 2), ("paragraph", "x" * 5000))
        passages = split(document, 40, tokens)
        assert all(tokens.counts([p.indexed])[0] + tokens.special <= 40 for p in passages)
        assert sum(p.text.count("x") for p in passages) >= 5000
        assert sum(p.text.count("cat") for p in passages) >= 50
        assert split(written(), 40, tokens) == []


def test_the_header_of_a_table_is_said_where_its_first_row_is_cut():
    document = written(("paragraph", "a"), ("table", ["h | i", "one two three four five six seven eight nine ten"]))
    first, second, *_ = split(document, 8)
    assert (first.text, second.text) == ("a", "h | i\none two three four")
    assert second.header is None
    assert document.text[second.begin :].startswith("h | i\n")


def test_what_follows_a_definition_is_not_said_under_it():
    text = (
        "Module\n======\n\n.. class:: C\n\n   About C.\n\n   .. method:: f()\n\n      Does f.\n\n   More of C.\n\n"
        "After it.\n"
    )
    content = rst.read(text)
    document = Document(source="a.rst", digest="", title="Module", text=text, blocks=content.blocks)
    found = [(passage.path, passage.text, passage.anchor) for passage in split(document, 16)]
    assert found == [
        (("Module", "C"), "About C.", "C"),
        (("Module", "C", "f()"), "Does f.", "C.f"),
        (("Module", "C"), "More of C.", "C"),
        (("Module",), "After it.", "module"),
    ]
