from __future__ import annotations

import io

import docx as python_docx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from mainspring.data.documents import source, word
from mainspring.errors import DataError

from .made import docx


def p(text: str, settings: str = "") -> str:
    return f"<w:p><w:pPr>{settings}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_document_of_word():
    made = python_docx.Document()
    made.core_properties.author, made.core_properties.title = "A. B.", ""
    made.add_heading("The Book", 0)
    made.add_heading("Fares", 1)
    linked = made.add_paragraph("Text ")
    linked.add_run("bold").bold = True
    hyperlink = OxmlElement("w:hyperlink")
    hyperlink.set(qn("r:id"), made.part.relate_to("http://a.b", "x/hyperlink", is_external=True))
    hyperlink.append(linked.add_run(" link")._r)
    linked._p.append(hyperlink)
    made.add_paragraph("one", "List Bullet")
    made.add_paragraph("deep", "List Number 2")
    made.add_paragraph("said", "Intense Quote")
    made.add_paragraph("")
    table = made.add_table(3, 2)
    for place, text in enumerate(["a", "b", "1", "2", "", ""]):
        table.cell(place // 2, place % 2).text = text
    made.add_heading("Fares", 2)
    out = io.BytesIO()
    made.save(out)
    content = word.read(out.getvalue())
    assert content.title == "The Book"
    assert content.metadata["author"] == "A. B."
    assert [(b.kind, b.level, b.text, b.anchor) for b in content.blocks] == [
        ("heading", 1, "The Book", "the-book"),
        ("heading", 1, "Fares", "fares"),
        ("paragraph", 0, "Text bold link", None),
        ("item", 1, "one", None),
        ("item", 2, "deep", None),
        ("quote", 0, "said", None),
        ("table", 0, "a | b\n1 | 2", None),
        ("heading", 2, "Fares", "fares-1"),
    ]
    assert content.blocks[2].links == ("http://a.b",)
    assert content.blocks[6].header == 1
    for block in content.blocks:
        assert content.text[block.begin : block.end] == block.text
    assert content.text.count("\n") == 8


def test_styles_by_their_outline_and_by_what_they_are_based_on():
    styles = (
        '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Eigene"/><w:basedOn w:val="Heading2"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Lined"><w:name w:val="Gegliedert"/><w:pPr><w:outlineLvl w:val="2"/>'
        "</w:pPr></w:style>"
        '<w:style w:type="paragraph" w:styleId="A"><w:name w:val="A"/><w:basedOn w:val="B"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="B"><w:name w:val="B"/><w:basedOn w:val="A"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="TOC1"><w:name w:val="toc 1"/></w:style>'
    )
    body = (
        p("two", '<w:pStyle w:val="Own"/>')
        + p("three", '<w:pStyle w:val="Lined"/>')
        + p("direct", '<w:outlineLvl w:val="0"/>')
        + p("circle", '<w:pStyle w:val="A"/>')
        + p("left out", '<w:pStyle w:val="TOC1"/>')
        + p("item", '<w:numPr><w:ilvl w:val="1"/><w:numId w:val="1"/></w:numPr>')
    )
    assert [(b.kind, b.level, b.text) for b in word.read(docx(body, styles)).blocks] == [
        ("heading", 2, "two"),
        ("heading", 3, "three"),
        ("heading", 1, "direct"),
        ("paragraph", 0, "circle"),
        ("item", 2, "item"),
    ]


def test_controls_and_tracked_changes():
    body = (
        f"<w:sdt><w:sdtContent>{p('in a control')}</w:sdtContent></w:sdt>"
        "<w:p><w:r><w:t>a</w:t><w:tab/></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:r><w:br/><w:t>b</w:t></w:r></w:p>"
    )
    assert [block.text for block in word.read(docx(body)).blocks] == ["in a control", "a new b"]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"PK\3\4 no zip", "is damaged"),
        (docx(p("x"))[:-200], "is damaged"),
        (docx("<w:p>"), "is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500, "encrypted, or of Word before 2007"),
        (docx("<w:ins>" * 5000 + "</w:ins>" * 5000), "is damaged"),
    ],
)
def test_what_is_no_word_file_is_told(raw, problem):
    with pytest.raises(DataError, match=problem):
        word.read(raw)


def test_a_bomb_is_not_unpacked(monkeypatch):
    bomb = docx(p("x"), parts={"word/media/image.png": bytes(50 * 2**20), "word/other.xml": bytes(2**20)})
    assert len(bomb) < 2**20
    monkeypatch.setattr(word, "LARGEST_FILE", 40 * 2**20)
    with pytest.raises(DataError, match="MiB unpacked"):
        word.read(bomb)
    monkeypatch.setattr(word, "LARGEST_FILE", source.LARGEST_FILE)
    monkeypatch.setattr(word, "_LARGEST_PART", 2**19)
    with pytest.raises(DataError, match=r"word/other\.xml"):
        word.read(bomb)


def test_entities_are_not_multiplied():
    laughs = '<!DOCTYPE w [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    raw = docx(p("x"))
    body = f"{laughs}]><w:document xmlns:w='{qn('w:p')[1:-2]}'><w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p></w:body>"
    body += "</w:document>"
    made = docx(p("x"), parts={"word/document.xml": body.encode()})
    assert len(made) < 2 * len(raw)
    try:
        assert "haha" not in word.read(made).text
    except DataError as error:
        assert "is damaged" in str(error)  # noqa: PT017
