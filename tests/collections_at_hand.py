"""A small collection of documents, and an embedder that is quick: a BERT of random weights with a real tokenizer.

Its vectors mean nothing, so that what is found is found by words; where meaning is the subject, take the real one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from weights_at_hand import minilm_folder

from mainspring import spec
from mainspring.spec import Project

TOML = """\
[project]
name = "office"

[models.rules]
task = "retrieval"
data = "rules/**/*.md"
questions = "questions.jsonl"
embedder = "embedder"
dense_weight = 0.1
"""
RULES = {
    "leave.md": "# Leave\n\nThirty days of leave a year.\n\n"
    "## Sick leave\n\nA doctor's letter is due on the third day.\n",
    "travel.md": "# Travel\n\n## Trains\n\nSecond class, and first class above four hours.\n\n"
    "## Hotels\n\n| city | most a night |\n| --- | --- |\n| Oslo | 180 |\n| Rome | 140 |\n",
    "keys.md": "# Keys\n\nA lost key costs 40. Tell the porter, who changes the lock.\n",
    "parking.md": "# Parking\n\nBicycles stand in the yard. Cars need a badge from the porter.\n",
}
QUESTIONS = [
    ("how many days of leave do I have a year?", "rules/leave.md", "Thirty days of leave a year."),
    ("when is the doctor's letter due?", "rules/leave.md#sick-leave", None),
    ("may I go first class on trains?", "rules/travel.md#trains", None),
    ("what may a hotel in Rome cost a night?", "rules/travel.md#hotels", None),
    ("what does a lost key cost?", "rules/keys.md", "A lost key costs 40."),
    ("where do bicycles stand?", "rules/parking.md", None),
    ("do cars need a badge?", "rules/parking.md", "Cars need a badge from the porter."),
    ("who changes the lock?", "rules/keys.md", None),
    ("what is for lunch on Tuesday?", None, None),
    ("who won the match?", None, None),
]


def make_embedder(folder: Path) -> None:
    """A folder as sentence-transformers has it."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    real = minilm_folder()
    config = BertConfig(
        vocab_size=json.loads((real / "config.json").read_text())["vocab_size"], hidden_size=32, num_hidden_layers=1,
        num_attention_heads=4, intermediate_size=48, max_position_embeddings=512,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json"):
        shutil.copyfile(real / name, folder / name)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')


def write_questions(project: Project, rows: list[tuple[str, str | None, str | None]]) -> None:
    """The table of questions."""
    lines = (json.dumps({"question": text, "source": source, "quote": quote}) for text, source, quote in rows)
    (project.folder / "questions.jsonl").write_text("\n".join(lines) + "\n")


def make_collection(folder: Path, toml: str = TOML) -> Project:
    """A project with the collection `rules`, not fitted yet."""
    folder.mkdir(parents=True)
    (folder / "mainspring.toml").write_text(toml)
    make_embedder(folder / "embedder")
    (folder / "rules").mkdir()
    for name, text in RULES.items():
        (folder / "rules" / name).write_text(text)
    project = spec.load(folder)
    write_questions(project, QUESTIONS)
    return project
