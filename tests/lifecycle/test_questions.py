"""What is asked and what is right, read from the forms in which data come."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from programs import TOML, make_program
from pyarrow import parquet

from mainspring.errors import DataError
from mainspring.lifecycle import language_questions, prompt, questions

OUTPUT = '# user\n{{mail}}\n\n# output\n{"type": ["object", "array", "string"]}\n'
JUDGED = 'model = "rule" }\ndata = "asked.NAME"\ntarget = "right"'
ANSWERS = [{"to": "sales", "tags": ["a"]}, {"tags": [], "from": None}, ["é", 1.0], {}]


def lines(rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"


def test_answers_of_a_prompt_are_values_of_json_lines(tmp_path):
    program = make_program(tmp_path / "office", prompt=OUTPUT)
    rows = [{"mail": f"mail {place}", "colour": ANSWERS[place % 4], "from": "a"} for place in range(40)]
    rows[5]["colour"] = json.dumps({"as": "text"})  # beside values, a text is still JSON as text
    rows[6]["colour"] = None
    path = program.folder / "mail.jsonl"
    path.write_text("\ufeff" + lines(rows), encoding="utf-8")
    found = questions.load(program, "mail", prompt.read_prompt(program, "mail"))
    assert [question.expected for question in found.asked[:4]] == ANSWERS
    assert found.asked[5].expected == {"as": "text"}
    assert found.asked[6].values == {"mail": "mail 7"}  # the row without an answer is left out
    path.write_text(lines([{"mail": ["a"], "colour": {}}] * 40))
    with pytest.raises(DataError, match="column 'mail' holds lists or objects"):
        questions.load(program, "mail", prompt.read_prompt(program, "mail"))
    path.write_text('{"mail": "a", "colour": {}}\n{"mail": "a", "colour": {}} {}\n')
    with pytest.raises(DataError, match=r"mail\.jsonl, line 2: not JSON"):
        questions.load(program, "mail", prompt.read_prompt(program, "mail"))


def test_answers_of_a_prompt_are_structs_of_parquet(tmp_path):
    program = make_program(tmp_path / "office", TOML.replace("mail.jsonl", "mail.parquet"), OUTPUT)
    answers = [{"to": "sales", "tags": ["a"]}, {"to": None, "tags": []}] * 20
    table = pa.table({"mail": [f"mail {place}" for place in range(40)], "colour": answers})
    parquet.write_table(table, program.folder / "mail.parquet")
    found = questions.load(program, "mail", prompt.read_prompt(program, "mail"))
    assert [question.expected for question in found.asked] == answers


def test_an_answer_that_is_not_json_cannot_be_a_value(tmp_path):
    program = make_program(tmp_path / "office")
    (program.folder / "mail.jsonl").write_text(lines([{"mail": "a", "colour": {"is": "red"}}] * 40))
    with pytest.raises(DataError, match="column 'colour' holds lists or objects"):
        questions.load(program, "mail", prompt.read_prompt(program, "mail"))


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_messages_and_answers_of_a_language_model(tmp_path, name):
    program = make_program(tmp_path / "office", TOML.replace('model = "rule" }', JUDGED.replace("NAME", name)))
    asked = [{"role": "system", "content": "You add."}, {"role": "user", "content": "1 + 1?"}]
    right = {"sum": 2, "of": [1, 1]}
    rows = [{"messages": asked, "right": right}, {"messages": asked[1:], "right": right}]
    if name == "jsonl":
        (program.folder / "asked.jsonl").write_text(lines(rows))
    else:
        rows[0]["messages"] = [{**asked[0], "name": "x"}, {**asked[1], "name": None}]
        parquet.write_table(pa.Table.from_pylist(rows), program.folder / "asked.parquet")
    found = language_questions.load(program, "desk", program.models["desk"])
    assert [request.messages[-1] for request in found.requests] == asked[1:] * 2
    assert found.metric == "exact_match"
    metric = language_questions.METRICS[found.metric]
    for said, score in (('It is {"of": [1, 1], "sum": 2.0}', 1), ('{"sum": 2, "of": [1]}', 0), ("sum 2 of 1 1", 0)):
        assert metric(found.reading.read(said), found.expected[0]) == score
