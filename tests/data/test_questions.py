"""Questions with known places: read, and resolved to characters."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from mainspring.data.documents.document import Block, Document, Row
from mainspring.data.documents.questions import Relevant, WrittenQuestion, read_questions, resolve
from mainspring.errors import DataError, SpecError

TEXT = """\
# Pets

Cats and dogs only.

## Fees

A pet costs **$110** for
each direction.

| Route | Fee |
| --- | --- |
| Near | $90 |

### Waived

Never.

## Papers

None.
"""


def block(kind: str, written: str, text: str = "", **more: object) -> Block:
    begin = TEXT.index(written)
    return Block(kind=kind, begin=begin, end=begin + len(written), text=text or written, **more)


def row(written: str, text: str) -> Row:
    return Row(TEXT.index(written), TEXT.index(written) + len(written), text)


TABLE = TEXT[TEXT.index("| Route") : TEXT.index("\n\n### Waived")]
ROWS_OF_TABLE = (row("| Route | Fee |", "Route | Fee"), row("| Near | $90 |", "Near | $90"))
COST = "A pet costs **$110** for\neach direction."
PETS = Document(
    source="pets.md",
    digest="",
    title="Pets",
    text=TEXT,
    blocks=(
        block("heading", "# Pets", "Pets", level=1, anchor="pets"),
        block("paragraph", "Cats and dogs only."),
        block("heading", "## Fees", "Fees", level=2, anchor="fees"),
        block("paragraph", COST, "A pet costs $110 for each direction."),
        block(
            "table", TABLE, rows=(row("| Route | Fee |", "Route | Fee"), row("| Near | $90 |", "Near | $90")), header=1
        ),
        block("heading", "### Waived", "Waived", level=3, anchor="waived"),
        block("paragraph", "Never."),
        block("heading", "## Papers", "Papers", level=2, anchor="papers"),
        block("paragraph", "None."),
    ),
)
PDF = Document(source="a.pdf", digest="", title="", text="one\ftwo\fthree", blocks=(), pages=(0, 4, 8))
ROW = Document(source="table.csv#7", digest="", title="", text="A row.", blocks=())
DOCUMENTS = {document.source: document for document in (PETS, PDF, ROW)}


def place(source: str | None, quote: str | None = None) -> str:
    """What stands at the place; of a row that cannot be resolved the reason."""
    found = resolve([WrittenQuestion(row=3, question="?", source=source, quote=quote)], DOCUMENTS)
    if found.unresolved:
        assert (found.unresolved[0].row, found.questions) == (3, ())
        return found.unresolved[0].reason
    [one] = found.questions[0].places
    return DOCUMENTS[one.source].text[one.begin : one.end]


def test_places():
    assert place("pets.md") == TEXT
    assert place("pets.md#pets") == TEXT
    assert place("pets.md#fees").startswith("## Fees")
    assert place("pets.md#fees").endswith("Never.\n\n")  # what is below a section belongs to it
    assert place("pets.md#waived") == "### Waived\n\nNever.\n\n"
    assert place("pets.md#papers") == "## Papers\n\nNone.\n"
    assert place("a.pdf#page=2") == "two\f"
    assert place("a.pdf#page=3") == "three"
    assert place("table.csv#7") == "A row."
    assert place("table.csv#7", "A row") == "A row"


def test_quotes():
    assert place("pets.md", "Cats  and\ndogs") == "Cats and dogs"
    assert place("pets.md#fees", "A pet costs **$110** for each direction.") == COST
    # Copied from the page as it is shown, without its markup: the whole block, the whole row.
    assert place("pets.md#fees", "costs $110 for each direction") == COST
    assert place("pets.md#fees", "near $90") == "| Near | $90 |"


def test_what_is_not_there_is_reported_with_what_is():
    assert place("pet.md") == "there is no document 'pet.md'; did you mean 'pets.md'?"
    assert place("pets.md#fee") == "pets.md has no heading with the anchor 'fee'; there is fees"
    assert place("a.pdf#page=4") == "a.pdf has no page 4; it has 3"
    assert place("a.pdf#x") == "a.pdf has no heading with the anchor 'x'; it has no headings"
    assert place("pets.md#fees", "A cat costs $100 for each direction.") == (
        "pets.md#fees does not say 'A cat costs $100 for each direction.'; nearest to it is "
        "'A pet costs $110 for each direction.'"
    )
    # The quote stands in the document, but not in the section.
    assert place("pets.md#papers", "Cats and dogs only.").startswith("pets.md#papers does not say")
    assert place("pets.md", "zebra") == "pets.md does not say 'zebra'"


def test_documents_may_be_asked_for_one_by_one():
    found = resolve([WrittenQuestion(row=1, question="?", source="pets.md#papers")], DOCUMENTS.get)
    assert [one.source for one in found.questions[0].places] == ["pets.md"]
    missing = resolve([WrittenQuestion(row=1, question="?", source="cats.md")], DOCUMENTS.get)
    assert missing.unresolved[0].reason == "there is no document 'cats.md'"


def test_several_rows_of_a_question_are_several_places_and_none_is_no_answer():
    rows = [
        ("How much?", "pets.md", "Never.", None),
        ("Who?", None, None, None),
        ("How much?", "pets.md", "None.", "nothing"),
        ("How much?", "pets.md", "None.", None),
        ("Who?", "pets.md", None, None),
    ]
    written = [
        WrittenQuestion(row=n, question=question, source=source, quote=quote, answer=answer)
        for n, (question, source, quote, answer) in enumerate(rows, start=1)
    ]
    found = resolve(written, DOCUMENTS)
    much, who = found.questions
    assert much.places == (Relevant("pets.md", *span("Never.")), Relevant("pets.md", *span("None.")))
    assert (much.sections, much.answer) == (("pets.md", "pets.md"), "nothing")
    assert (who.places, who.answer) == ((), None)
    assert [(one.row, one.reason) for one in found.unresolved] == [
        (5, "another row says the opposite of whether it is answered")
    ]


def span(written: str) -> tuple[int, int]:
    return TEXT.index(written), TEXT.index(written) + len(written)


ROWS = [
    {"question": "May I?", "source": "a.md#b", "quote": "Yes.", "answer": "yes"},
    {"question": "2024", "source": None, "quote": None, "answer": None},
]
READ = [
    WrittenQuestion(row=1, question="May I?", source="a.md#b", quote="Yes.", answer="yes"),
    WrittenQuestion(row=2, question="2024", source=None),
]


def test_tables_of_questions(project, tmp_path):
    lines = [json.dumps(row) for row in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "a.csv").write_text("question,source,quote,answer\nMay I?,a.md#b,Yes.,yes\n2024,,,\n")
    pa.parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert read_questions(project("x"), "m", name) == READ


def test_a_table_needs_no_more_than_questions_and_sources(project, tmp_path):
    (tmp_path / "a.csv").write_text("question,source,who\nMay I?,a.md,me\n")
    assert read_questions(project("x"), "m", "a.csv") == [WrittenQuestion(row=1, question="May I?", source="a.md")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,place\nWhy?,a\n", "missing: source; found: question, place"),
        ("question,source\n,a.md\n", "row 1 has no question"),
        ("question,source,quote\nWhy?,,Because.\n", "row 1 has a quote, and no source"),
    ],
)
def test_tables_that_are_none_of_questions(project, tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_questions(project("x"), "m", "a.csv")


def test_a_missing_table_is_a_mistake_of_its_key(tmp_path):
    from mainspring import spec

    text = '[project]\nname = "p"\n[models.m]\ntask = "retrieval"\ndata = "docs"\nquestions = "b.csv"\n'
    with pytest.raises(SpecError, match=r"questions.*there is no file 'b.csv'"):
        read_questions(spec.parse(text, tmp_path), "m", "b.csv")
