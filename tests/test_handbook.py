"""The handbook of examples/airdesk agrees with its questions and with the flights beside it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow.compute as pc
import pyarrow.parquet
import pytest

from mainspring import spec
from mainspring.data.documents.collection import collect
from mainspring.data.documents.document import Document
from mainspring.data.documents.questions import read_questions, resolve
from tests.test_docs import ROOT

AIRDESK = ROOT / "examples/airdesk"
TOML = '[project]\nname = "p"\n[models.handbook]\ntask = "retrieval"\ndata = "handbook/*.md"\n'


@pytest.fixture(scope="module")
def project() -> spec.Project:
    return spec.parse(TOML, AIRDESK)


@pytest.fixture(scope="module")
def documents(project) -> dict[str, Document]:
    read = [source.read() for source in collect(project, "handbook")]
    return {document.source: document for document in read if isinstance(document, Document)}


@pytest.fixture(scope="module")
def flights() -> pyarrow.Table:
    return pyarrow.parquet.read_table(AIRDESK / "data/flights.parquet")


def test_every_answer_stands_where_its_question_says(project, documents):
    written = read_questions(project, "handbook", "handbook-questions.jsonl")
    found = resolve(written, documents)
    assert found.unresolved == ()
    quotes = {row.question: row.quote for row in written}
    answered = [question for question in found.questions if question.places]
    for question in answered:
        [place] = question.places
        # To the letter, and not just the words of it.
        assert documents[place.source].text[place.begin : place.end] == quotes[question.text]
        assert "#" in question.sections[0]
        assert question.answer
    assert len(answered) >= 120
    assert len(found.questions) - len(answered) >= 40
    assert len(found.questions) == len(written)  # each is asked once


def test_a_quote_that_is_not_there_is_found_out(project, documents):
    written = read_questions(project, "handbook", "handbook-questions.jsonl")
    text = documents["handbook/bags.md"].text.replace("| Second | $45 |", "| Second | $46 |")
    changed = documents | {
        "handbook/bags.md": Document(source="handbook/bags.md", digest="", title="", text=text, blocks=())
    }
    assert any(
        "does not say" in row.reason or "no heading" in row.reason for row in resolve(written, changed).unresolved
    )


def rows(document: Document, anchor: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its header."""
    after = document.text.partition(f"\n## {anchor}\n")[2]
    lines = re.findall(r"^\| (.*) \|$", after.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[2:]]


def test_the_destinations_are_those_of_the_flights(documents, flights):
    table = rows(documents["handbook/airports.md"], "Where we fly")
    listed = {airport: (origins.split(", "), group) for _, airport, origins, group, _ in table}
    assert len(listed) == len(table)
    assert set(listed) == set(flights["destination"].unique().to_pylist())
    flown = flights.group_by(["destination", "origin"]).aggregate([("distance", "max"), ("distance", "count")])
    for flight in flown.to_pylist():
        origins, group = listed[flight["destination"]]
        assert flight["origin"] in origins or flight["distance_count"] < 5
        assert group == "Islands and Alaska" or (group == "Far") == (flight["distance_max"] >= 900)
        assert flight["origin"] != "LGA" or flight["distance_max"] <= 1500 or flight["destination"] == "DEN"


def test_the_shares_of_late_flights_are_those_of_the_flights(documents, flights):
    hour, month = pc.hour(flights["departs_at"]), pc.month(flights["departs_at"])

    def late(mask: pyarrow.ChunkedArray | None = None) -> int:
        return round(100 * pc.mean((flights if mask is None else flights.filter(mask))["late"].cast("double")).as_py())

    def hours(begin: int, end: int) -> pyarrow.ChunkedArray:
        return pc.and_(pc.greater_equal(hour, begin), pc.less(hour, end))

    def months(*which: int) -> pyarrow.ChunkedArray:
        return pc.is_in(month, pyarrow.array(which, month.type))

    shares: dict[str, Callable[[], int]] = {
        "departing before 09:00": lambda: late(hours(0, 9)),
        "departing from 09:00 to 12:59": lambda: late(hours(9, 13)),
        "departing from 13:00 to 16:59": lambda: late(hours(13, 17)),
        "departing at 17:00 or later": lambda: late(hours(17, 24)),
        "in June and July": lambda: late(months(6, 7)),
        "in September, October and November": lambda: late(months(9, 10, 11)),
        "in December": lambda: late(months(12)),
        "while it rained or snowed": lambda: late(pc.greater(flights["precipitation"], 0)),
    }
    table = {what: int(share) for what, share in rows(documents["handbook/delays.md"], "The delay outlook")}
    assert table == {what: share() for what, share in shares.items()}
    text = documents["handbook/delays.md"].text
    assert f"{late()} in 100 arrived more than 30 minutes late" in text
    by_airport = [f"{airport} {late(pc.equal(flights['origin'], airport))}" for airport in ("EWR", "JFK", "LGA")]
    assert f"The same year by airport: {', '.join(by_airport)}." in text
