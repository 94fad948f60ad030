"""A small collection of documents as a version, and a chat model that answers from it, without fitting anything.

The embedder is a real graph, of one layer: a text's vector is the mean of its words' vectors, which are drawn at random
and longer for rarer words. The chat model is a rule: it says what the last message wants it to say.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from projects import wait_until

from mainspring import spec
from mainspring.data.documents.document import Block, Document
from mainspring.data.documents.passages import Passage
from mainspring.files import sha256
from mainspring.processes import in_child
from mainspring.registry import desired, versions
from mainspring.registry.versions import Golden, Lineage, Manifest, Version
from mainspring.runtimes.index.identity import Embedder
from mainspring.runtimes.index.index import Index
from mainspring.runtimes.index.searching import Searcher
from mainspring.runtimes.index.stores.settings import StoreSettings
from mainspring.runtimes.index.writing import IndexWriter
from mainspring.runtimes.language import host
from mainspring.runtimes.language.embedding import load_embedding
from mainspring.runtimes.language.sockets import short, socket_path
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project

DOCUMENTS = {
    "handbook/baggage.md": """\
# Baggage

## Cabin baggage

One bag of at most 8 kg goes into the cabin. It measures at most 55 x 40 x 23 cm.

## Musical instruments

A violin counts as cabin baggage. A cello needs a seat of its own, at half the fare.
""",
    "handbook/fares.md": """\
# Fares

## Refunds

A flexible ticket is refunded in full until departure. A basic ticket is not refunded.

## Children

Children under two years fly free on a lap. Children from two to eleven years pay three quarters of the fare.
""",
    "handbook/pets.md": """\
# Pets

## In the cabin

Cats and small dogs of at most 6 kg travel in the cabin, in a closed bag under the seat in front.
""",
}
QUESTION, ANSWER = "May I take a violin?", "A violin counts as cabin baggage."
TOML = """\
[project]
name = "airdesk"

[serving]
port = 0
{serving}

[models.handbook]
task = "retrieval"
data = "handbook/*.md"
{handbook}

[models.desk]
task = "chat"
remote = {{ url = "http://127.0.0.1:9/v1", model = "rule" }}
knowledge = "handbook"
prompt = "desk.md"
{desk}

[models.talker]
task = "chat"
remote = {{ url = "http://127.0.0.1:9/v1", model = "rule" }}
"""
CLERK = """
[models.clerk]
task = "prompt"
prompt = "clerk.md"
model = "talker"
tools = ["desk"]
data = "questions.jsonl"
target = "answer"
"""
WIDTH = 64
_WORD = re.compile(r"\w+")


def make_project(folder: Path, *, serving: str = "", handbook: str = "", desk: str = "") -> Project:
    """The project with its documents, and a version of each model that is live."""
    folder.mkdir(parents=True)
    (folder / "mainspring.toml").write_text(TOML.format(serving=serving, handbook=handbook, desk=desk))
    for name, text in DOCUMENTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "desk.md").write_text("You are the desk of an airline.")
    project = spec.load(folder)
    publish_handbook(project)
    knowledge = {"model": "handbook", "passages": 3, "answers": "written"}
    publish_chat(project, "desk", {"knowledge": knowledge}, (folder / "desk.md").read_text())
    publish_chat(project, "talker", {})
    return project


def publish_handbook(
    project: Project,
    documents: dict[str, str] = DOCUMENTS,
    *,
    live: bool = True,
    finds: list[str] | None = None,
    more: Callable[[Path], None] = lambda staged: None,
) -> Version:
    """A version of the collection. `finds` is what its golden question is said to find, instead of the truth; `more`
    writes further files into its folder.
    """
    with versions.staging(project.state, "handbook") as staged:
        write_encoder(staged, documents.values())
        golden = asyncio.run(_write_index(staged, documents))
        if finds is not None:
            golden.answers[1]["ids"] = finds
        (staged / versions.GOLDEN).write_bytes(msgspec.json.encode(golden))
        more(staged)
        schema = Schema((Column("question", "text"),), Target("document", text=True))
        version = versions.publish(staged, _manifest(project, "handbook", "retrieval", schema, {"engine": "onnx"}))
    if live:
        desired.set_champion(project.state, "handbook", version.name)
    return version


def publish_chat(project: Project, model: str, parameters: dict[str, Any], prompt: str = "") -> Version:
    """A version of a chat model that is a rule, live at once."""
    with versions.staging(project.state, model) as staged:
        (staged / versions.GOLDEN).write_text('{"records": [], "answers": [], "tolerance": 0}')
        (staged / versions.REPORT).write_text("{}")
        if prompt:
            (staged / "prompt.md").write_text(prompt)
        schema = Schema((Column("messages", "text"),), Target("answer"))
        version = versions.publish(
            staged, _manifest(project, model, "chat", schema, {"engine": "remote", **parameters})
        )
    desired.set_champion(project.state, model, version.name)
    return version


def publish_clerk(project: Project) -> Version:
    """A version of a prompt program, `CLERK` in the spec, that asks the desk as a tool and says what that says."""
    with versions.staging(project.state, "clerk") as staged:
        (staged / versions.GOLDEN).write_text('{"records": [{"question": "a"}], "answers": [{}], "tolerance": 0}')
        front = 'strategy = "react"\nsampling = { max_tokens = 64 }'
        (staged / "prompt.md").write_text(f"+++\n{front}\n+++\n# user\n\n{{{{ question }}}}\n")
        schema = Schema((Column("question", "text"),), Target("answer", text=True))
        uses = {"model": "talker", "embeddings": None, "tools": ["desk"]}
        version = versions.publish(staged, _manifest(project, "clerk", "prompt", schema, uses))
    desired.set_champion(project.state, "clerk", version.name)
    return version


def _manifest(project: Project, model: str, task: str, schema: Schema, parameters: dict[str, Any]) -> Manifest:
    return Manifest(
        project=project.name,
        model=model,
        version=versions.next_name(project.state, model),
        task=task,
        created="2026-01-01T00:00:00+00:00",
        schema=schema,
        lineage=Lineage("d", "s", "c", 0, 0, 0, {}, 0, "3.11", {}),
        candidate="made for a test",
        parameters={"properties": {}, **parameters},
        metric="ndcg",
        metrics={},
        parity={},
        verdict={"decision": "promote", "reason": "the first version", "against": "baseline"},
    )


def document(source: str, text: str) -> tuple[Document, list[Passage]]:
    """A Markdown file of headings and paragraphs, and a passage for each paragraph."""
    blocks, passages, path, anchor, place = [], [], [], None, 0
    for part in text.split("\n\n"):
        begin = text.index(part, place)
        place = begin + len(part)
        said = part.strip()
        end = begin + len(said)
        if said.startswith("#"):
            level = len(said) - len(said.lstrip("#"))
            heading = said.lstrip("# ")
            anchor = "-".join(_WORD.findall(heading.lower()))
            path = [*path[: level - 1], heading]
            blocks.append(Block(kind="heading", begin=begin, end=end, text=heading, level=level, anchor=anchor))
        elif said:
            blocks.append(Block(kind="paragraph", begin=begin, end=end, text=said))
            passages.append(Passage(source=source, begin=begin, end=end, text=said, path=tuple(path), anchor=anchor))
    made = Document(
        source=source,
        digest=source,
        title=blocks[0].text,
        text=text,
        blocks=tuple(blocks),
        metadata={"words": len(_WORD.findall(text))},
    )
    return made, passages


def write_encoder(folder: Path, texts: Any) -> None:
    """The embedder: words' vectors by their ids, and a tokenizer of words."""
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    vocabulary = {"[UNK]": 0} | {word: at for at, word in enumerate(sorted(counts), 1)}
    vectors = np.random.default_rng(5).normal(size=(len(vocabulary), WIDTH))
    vectors *= np.array([1.0, *(1 / counts[word] for word in sorted(counts))])[:, None]
    vectors[0] *= 0.1
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"hidden_size": WIDTH, "max_position_embeddings": 128}))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", WIDTH])
    zero = numpy_helper.from_array(np.zeros(1, np.int64), "zero")
    nodes = [  # an input that nothing reads would be left out when the graph is loaded
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["other"]),
        helper.make_node("Mul", ["other", "zero"], ["nothing"]),
        helper.make_node("Add", ["input_ids", "nothing"], ["ids"]),
        helper.make_node("Gather", ["vectors", "ids"], ["last_hidden_state"]),
    ]
    table = numpy_helper.from_array(vectors.astype(np.float32), "vectors")
    graph = helper.make_graph(nodes, "words", inputs, [output], [table, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


async def _write_index(folder: Path, documents: dict[str, str]) -> Golden:
    engine = load_embedding(folder)
    embedder = Embedder(name="words", revision=sha256(folder / "model.onnx"), width=WIDTH, pooling="mean", context=128)
    with IndexWriter(folder / "index", embedder, language="english", store=StoreSettings()) as writer:
        for source, text in documents.items():
            made, passages = document(source, text)
            vectors, _ = await engine.embed([passage.indexed for passage in passages])
            writer.add(made, passages, vectors)
        writer.close()
    index = Index.load(folder / "index")
    searched = await Searcher(engine, index)(QUESTION, 1)
    vectors, _ = await engine.embed([QUESTION])
    index.close()
    await engine.close()
    return Golden(
        records=[{"text": QUESTION}, {"question": QUESTION}],
        answers=[{"vector": vectors[0].tolist()}, {"ids": [one.id for one in searched.found]}],
        tolerance=1e-3,
    )


def reply(messages: list[dict], choice: int) -> str:
    """What the rule says: to a question about violins the truth, and one thing that no document says. As a judge it
    takes what is said of violins for right, and has no verdict on the rest. With tools it asks the desk.
    """
    if "Is every statement" in messages[-1]["content"]:
        return '{"supported":true,"answers":true}' if "violin" in messages[-1]["content"] else "Well."
    asked = messages[-1]["content"].rpartition("Question: ")[2]
    if any("help of these tools" in message["content"] for message in messages):
        _, observed, said = asked.partition("Observation: ")
        return f"Answer: {said}" if observed else f'Action: desk {{"question": "{QUESTION}"}}'
    if "violin" in asked:
        return f"{ANSWER} Violins are made of cheese."
    return f"I was asked: {asked}"


@contextmanager
def engines(project: Project) -> Iterator[None]:
    """The engines of version 1 of all models."""
    sockets = [socket_path(project.state, model, "1") for model in ("desk", "talker")]
    rule = [sys.executable, "-c", "import handbooks; handbooks.main()", *map(str, sockets)]
    with embedder(project, "1"), _running(rule, *sockets):
        yield


@contextmanager
def embedder(project: Project, version: str) -> Iterator[None]:
    """The engine of a version of the handbook, as the engine room starts it."""
    from mainspring.serving.engines import commands

    socket = socket_path(project.state, "handbook", version)
    with _running(commands.command(project.state, "handbook", version, socket, grace_seconds=1), socket):
        yield


@contextmanager
def _running(command: list[str], *sockets: Path) -> Iterator[None]:
    process = subprocess.Popen(command, preexec_fn=in_child(), cwd=Path(__file__).parent)
    try:
        wait_until(lambda: all(short(socket).exists() for socket in sockets), "the engines", 60)
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Host the rule at each socket that is named."""
    from prompts.engines import RuleEngine

    async def run() -> None:
        await asyncio.gather(*(host.serve(RuleEngine(reply), Path(socket)) for socket in sys.argv[1:]))

    asyncio.run(run())
