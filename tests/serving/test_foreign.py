"""A chat model that answers from what a retriever of another library finds, which a function of the project's gives."""

import asyncio

import handbooks
import pytest
from click.testing import CliRunner
from handbooks import ANSWER, QUESTION

from mainspring import spec
from mainspring.cli import cli
from mainspring.errors import DataError, SpecError, StoreError
from mainspring.lifecycle import language
from mainspring.lifecycle.progress import Watcher
from mainspring.runtimes.index.foreign import load_search
from mainspring.use import OpenProject

from .desk import Desk

RETRIEVERS = f"""
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import SummaryIndex
from llama_index.core.schema import TextNode
from mainspring.runtimes.index.found import Searched

def chain():
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents([Document({ANSWER!r}, metadata={{"source": "their/rules.pdf", "page": 7}})])
    return store.as_retriever(search_kwargs={{"k": 1}})

def index():
    return SummaryIndex([TextNode(text={ANSWER!r}, metadata={{"file_name": "rules.txt"}})]).as_retriever()

def own():
    async def search(question, k, where=None):
        return Searched(found=[]) if question == "nothing" else 3 if question == "three" else 1 / 0
    return search

def text():
    return "passages"

def broken():
    raise ValueError("no store")
"""


@pytest.fixture(scope="module", params=["chain", "index"])
def desk(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign") / "airdesk"
    served = Desk(folder, knowledge=f"retrievers:{request.param}", files={"retrievers.py": RETRIEVERS})
    yield served
    served.stop()


def test_the_gateway_answers_from_it(desk):
    answer = desk.ask().json()
    assert answer["answer"] == f"{ANSWER} [1]"
    assert answer["citations"][0]["document"] in ("their/rules.pdf", "rules.txt")
    assert answer["citations"][0]["quote"] == ANSWER
    said = desk.chat().choices[0].message
    assert (said.content, said.annotations is not None) == (answer["answer"], True)
    refused = desk.ask(filter={"source": "a"})
    assert (refused.status_code, "takes no filters" in refused.text) == (422, True)


def test_python_and_the_command_line_answer_from_it(desk):
    with OpenProject(desk.project.folder).model("desk") as model:
        assert model.ask(QUESTION).answer == f"{ANSWER} [1]"
    where = ["--project", str(desk.project.folder)]
    shown = CliRunner().invoke(cli, ["ask", "desk", QUESTION, *where])
    assert f"“{ANSWER}”" in shown.output, shown.output
    talked = CliRunner().invoke(cli, ["chat", "desk", *where], input=QUESTION)
    assert f"“{ANSWER}”" in talked.output, talked.output


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("retriever:chain", SpecError, "knowledge = 'retriever:chain': there is no module 'retriever'"),
        ("retrievers:chian", SpecError, "there is no function 'chian' .* did you mean 'chain'?"),
        ("retrievers:text", DataError, "retrievers:text gave str; expected a retriever of LangChain's or LlamaIndex's"),
        ("retrievers:broken", DataError, "retrievers:broken raised ValueError: no store"),
    ],
)
def test_what_gives_no_retriever_is_told_when_it_is_fitted(desk, name, error, said):
    text = handbooks.TOML.format(serving="", handbook="", desk="", knowledge=name)
    with pytest.raises(error, match=said):
        language.prepare(spec.parse(text, desk.project.folder), "desk", Watcher())


def test_a_search_of_ones_own(desk):
    search = load_search("retrievers:own", desk.project.folder)
    assert asyncio.run(search("nothing", 3)).found == []
    with pytest.raises(StoreError, match="gave int; expected Searched"):
        asyncio.run(search("three", 3))
    with pytest.raises(StoreError, match="retrievers:own raised ZeroDivisionError"):
        asyncio.run(search("else", 3))


def test_its_code_makes_the_model_stale(desk):
    text = handbooks.TOML.format(serving="", handbook="", desk="", knowledge="retrievers:chain")
    declared = spec.parse(text, desk.project.folder)
    before = language.prepare(declared, "desk", Watcher()).fingerprint
    with (desk.project.folder / "retrievers.py").open("a") as file:
        file.write("# otherwise\n")
    assert language.prepare(declared, "desk", Watcher()).fingerprint.code != before.code
