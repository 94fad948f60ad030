"""LlamaIndex's own classes around ours, and ours around theirs."""

import asyncio
from contextlib import closing

import pytest
from handbooks import ANSWER, DOCUMENTS, QUESTION
from llama_index.core import SummaryIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import TextNode

from mainspring.integrations.llama_index import LlamaIndexSearch, MainspringLLM, MainspringRetriever
from mainspring.use import OpenProject


def test_a_collection_is_a_retriever(where):
    with closing(MainspringRetriever("handbook", k=2, **where)) as retriever:
        first, second = retriever.retrieve(QUESTION)
        node = first.node
        assert node.text.startswith(ANSWER)
        assert DOCUMENTS[node.metadata["source"]][node.start_char_idx : node.end_char_idx] == node.metadata["quote"]
        assert first.score > second.score
        again = asyncio.run(retriever.aretrieve(QUESTION))
        assert [one.node.node_id for one in again] == [node.node_id, second.node.node_id]


def test_a_chat_model_answers_with_citations(where):
    messages = [ChatMessage(QUESTION)]
    with closing(MainspringLLM(model="desk", temperature=0, **where)) as desk:
        answer = desk.chat(messages)
        assert answer.message.content == f"{ANSWER} [1]"
        (cited,) = answer.message.additional_kwargs["citations"]
        assert cited["source"] == "handbook/baggage.md"
        assert answer.additional_kwargs["completion_tokens"] > 0
        *_, last = desk.stream_chat(messages)
        assert last.message == answer.message
        assert desk.complete(QUESTION).text == answer.message.content
        assert [one.text for one in desk.stream_complete(QUESTION)][-1] == answer.message.content
        assert desk.metadata.is_chat_model

        async def awaited():
            streamed = [one.delta async for one in await desk.astream_chat(messages)]
            completed = [one.text async for one in await desk.astream_complete(QUESTION)]
            return [
                (await desk.achat(messages)).message.content,
                "".join(streamed),
                (await desk.acomplete(QUESTION)).text,
                completed[-1],
            ]

        assert asyncio.run(awaited()) == [answer.message.content] * 4


def test_a_query_engine_of_theirs_with_our_retriever_and_our_chat_model(where):
    with (
        closing(MainspringRetriever("handbook", k=1, **where)) as retriever,
        closing(MainspringLLM(model="talker", **where)) as talker,
    ):
        found = RetrieverQueryEngine.from_args(retriever, llm=talker).query(QUESTION)
        assert str(found).startswith(ANSWER)
        assert [one.node.metadata["source"] for one in found.source_nodes] == ["handbook/baggage.md"]


def test_a_retriever_of_theirs_stands_behind_a_chat_model(desk):
    nodes = [
        TextNode(id_="violins", text=ANSWER, metadata={"file_name": "rules.txt"}),
        TextNode(id_="cats", text="Cats travel in the cabin."),
    ]
    search = LlamaIndexSearch(SummaryIndex(nodes).as_retriever())
    with OpenProject(desk.project.folder).model("talker") as plain, plain.knowing(search) as talker:
        answer = talker.ask(QUESTION)
        assert answer.answer == f"{ANSWER} [1]"
        assert answer.citations[0].document == "rules.txt"
        with pytest.raises(Exception, match="no filters"):
            talker.ask(QUESTION, filter={"source": "a"})
