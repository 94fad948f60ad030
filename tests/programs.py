"""A project with a prompt program whose chat model is a rule: it knows no answer, and learns it from examples it sees.

Mails are sorted by colours that nobody can guess. The rule says "red", unless an earlier question with the same key
word stands above with its answer. It runs behind a socket, in a process of its own, as an engine does.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from projects import wait_until

from mainspring import spec
from mainspring.processes import in_child
from mainspring.registry import desired, versions
from mainspring.registry.versions import Lineage, Manifest, Version
from mainspring.runtimes.language import host
from mainspring.runtimes.language.sockets import short, socket_path
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project

COLOURS = {"invoice": "blue", "crash": "green", "hours": "red"}
PROMPT = """\
+++
answer = ["red", "green", "blue"]

[sampling]
max_tokens = 8
+++
# system
You sort mail.

# user
{{mail}}
"""
TOML = """\
[project]
name = "office"

[serving]
port = 0

[models.mail]
task = "prompt"
prompt = "mail.md"
model = "desk"
data = "mail.jsonl"
target = "colour"
embeddings = "vectors"
strategies = ["few-shot", "nearest-examples"]
holdout = 0.4

[models.mail.columns]
mail = { description = "as it came", private = "hash" }

[models.desk]
task = "chat"
remote = { url = "http://127.0.0.1:9/v1", model = "rule" }

[models.vectors]
task = "embedding"
base = "all-minilm-l6-v2"
"""
Mails = list[dict[str, str]]


def make_mails(count: int = 120, seed: int = 1) -> Mails:
    draw = random.Random(seed)
    mails = []
    for number in range(count):
        word = draw.choice(list(COLOURS))
        mails.append(
            {"mail": f"About {word} {word} {word} number {number}", "colour": COLOURS[word], "from": f"p{number % 12}"}
        )
    return mails


def make_program(folder: Path, toml: str = TOML, prompt: str = PROMPT, mails: Mails | None = None) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mainspring.toml").write_text(toml)
    (folder / "mail.md").write_text(prompt)
    (folder / "mail.jsonl").write_text("".join(json.dumps(mail) + "\n" for mail in mails or make_mails()))
    project = spec.load(folder)
    for model, task in (("desk", "chat"), ("vectors", "embedding")):
        publish(project, model, task)
    return project


def publish(project: Project, model: str, task: str) -> Version:
    """A version of a model that is a rule, live at once."""
    with versions.staging(project.state, model) as staged:
        (staged / versions.GOLDEN).write_text('{"records": [], "answers": [], "tolerance": 0}')
        manifest = Manifest(
            project=project.name,
            model=model,
            version=versions.next_name(project.state, model),
            task=task,
            created="2026-01-01T00:00:00+00:00",
            schema=Schema((Column("messages", "text"),), Target("answer")),
            lineage=Lineage("d", "s", "c", 0, 0, 0, {}, 0, "3.11", {}),
            candidate="rule",
            parameters={},
            metric="",
            metrics={},
            parity={},
            verdict={"decision": "promote", "reason": "the first version", "against": "baseline"},
        )
        version = versions.publish(staged, manifest)
    desired.set_champion(project.state, model, version.name)
    return version


def sort(messages: list[dict], choice: int) -> str:
    """What the rule says; also with tools, of which it uses the one for flights, and whatever it is told."""
    asked = messages[-1]["content"]
    if "help of these tools" in messages[1]["content"]:
        if "Observation" in asked:
            return "Thought: so it is.\nAnswer: " + ("green" if '"label":true' in asked else "blue")
        return f"Thought: I ask.\nAction: delay {re.search('{.*}', asked)[0] if '{' in asked else '{}'}"
    if asked == "break":
        raise ZeroDivisionError("a defect of the engine's")
    word = re.findall("|".join(COLOURS), asked)
    for before, after in pairwise(messages):
        if word and before["role"] == "user" and after["role"] == "assistant" and word[0] in before["content"]:
            return after["content"]
    return "red"


def reason(messages: list[dict], choice: int) -> str:
    """Says "red", unless it is asked to reason, or shown how: then it knows, but the first that it says of every third
    mail is wrong.
    """
    asked = messages[-1]["content"]
    if asked.startswith("Therefore"):  # what is the answer?
        return messages[-2]["content"].rpartition("Answer: ")[2]
    shown = any("Answer:" in message["content"] for message in messages if message["role"] == "assistant")
    if not shown and "step by step" not in asked:
        return "red"
    [word] = set(re.findall("|".join(COLOURS), asked))
    number = int(re.findall(r"\d+", asked)[0])
    colour = "green" if choice == 0 and number % 3 == 0 else COLOURS[word]
    return f"It is about {word}.\nAnswer: {colour}"


@contextmanager
def engines(project: Project, *more: tuple[str, str], rule: str = "sort") -> Iterator[subprocess.Popen]:
    """Engines for version 1 of both models, and for the versions `more`, which answer by the `rule` of that name."""
    sockets = [socket_path(project.state, *one) for one in (("desk", "1"), ("vectors", "1"), *more)]
    command = [sys.executable, "-c", "import programs; programs.main()", rule, *map(str, sockets)]
    process = subprocess.Popen(command, preexec_fn=in_child(), cwd=Path(__file__).parent)
    try:
        wait_until(lambda: all(short(socket).exists() for socket in sockets), "the engines")
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Host the rule at each socket that is named."""
    from prompts.engines import RuleEngine

    rule = {"sort": sort, "reason": reason}[sys.argv[1]]

    async def run() -> None:
        await asyncio.gather(*(host.serve(RuleEngine(rule), Path(socket)) for socket in sys.argv[2:]))

    asyncio.run(run())
