"""LangChain's own classes around ours, and ours around theirs."""

import asyncio
from contextlib import closing

import pytest
from handbooks import ANSWER, DOCUMENTS, QUESTION
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from mainspring.errors import EngineGoneError, RequestError, SpecError, UnsupportedError
from mainspring.integrations.langchain import ChatMainspring, LangChainSearch, MainspringRetriever
from mainspring.runtimes.index.filters import OneOf
from mainspring.use import OpenProject


def test_a_collection_is_a_retriever(where):
    with closing(MainspringRetriever(model="handbook", k=2, **where)) as retriever:
        first, second = retriever.invoke(QUESTION)
        assert first.page_content.startswith(ANSWER)
        place = first.metadata
        assert DOCUMENTS[place["source"]][place["begin"] : place["end"]] == place["quote"]
        assert place["path"] == ["Baggage", "Musical instruments"]
        assert place["words"] == 44
        assert place["score"] > second.metadata["score"]
        assert asyncio.run(retriever.ainvoke(QUESTION)) == [first, second], "from another event loop"


def test_a_retriever_filters_and_says_what_is_wrong(where):
    filtered = MainspringRetriever(model="handbook", filter={"source": "handbook/pets.md"}, **where)
    with closing(filtered):
        assert [found.metadata["source"] for found in filtered.invoke(QUESTION)] == ["handbook/pets.md"]
    wrong = MainspringRetriever(model="handbook", filter={"a": {"b": 1}}, **where)
    with closing(wrong), pytest.raises(RequestError, match="gt, gte, lt, lte"):
        wrong.invoke(QUESTION)


def test_where_a_model_is_must_be_said_once():
    with pytest.raises(SpecError, match="either `project`"):
        MainspringRetriever(model="handbook")
    with pytest.raises(SpecError, match="either `project`"):
        ChatMainspring(model="desk", project=".", url="http://localhost")


def test_a_key_that_is_not_set_is_said(desk):
    retriever = MainspringRetriever(model="handbook", url=desk.url, key="NO_SUCH_KEY")
    with closing(retriever), pytest.raises(SpecError, match="NO_SUCH_KEY"):
        retriever.invoke(QUESTION)


def test_a_gateway_that_is_not_there():
    retriever = MainspringRetriever(model="handbook", url="http://127.0.0.1:9")
    with closing(retriever), pytest.raises(EngineGoneError, match="does not answer"):
        retriever.invoke(QUESTION)


def test_a_chat_model_answers_with_citations(where):
    with closing(ChatMainspring(model="desk", temperature=0, **where)) as desk:
        answer = desk.invoke(QUESTION)
        assert answer.content == f"{ANSWER} [1]"
        (cited,) = answer.additional_kwargs["citations"]
        assert cited["source"] == "handbook/baggage.md"
        assert cited["quote"] == ANSWER
        assert answer.usage_metadata["output_tokens"] > 0
        assert answer.response_metadata["finish_reason"] == "stop"
        chunks = list(desk.stream(QUESTION))
        assert "".join(chunk.content for chunk in chunks) == answer.content
        whole = sum(chunks[1:], chunks[0])
        assert whole.additional_kwargs == answer.additional_kwargs

        async def awaited():
            streamed = [chunk.content async for chunk in desk.astream(QUESTION)]
            return (await desk.ainvoke(QUESTION)).content, "".join(streamed)

        assert asyncio.run(awaited()) == (answer.content, answer.content)


def test_a_chain_of_theirs_with_our_retriever_and_our_chat_model(where):
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Answer from:\n{passages}"), ("user", "Question: {question}")]
    )
    with (
        closing(MainspringRetriever(model="handbook", k=1, **where)) as retriever,
        closing(ChatMainspring(model="talker", **where)) as talker,
    ):
        chain = {"passages": retriever, "question": RunnablePassthrough()} | prompt | talker | StrOutputParser()
        assert chain.invoke(QUESTION).startswith(ANSWER)


def test_stop_and_length_reach_the_model(where):
    with closing(ChatMainspring(model="talker", max_tokens=3, **where)) as talker:
        assert talker.invoke("Question: a b c d").content.split() == ["I", "was", "asked:"]
        assert talker.invoke("Question: a b c d", stop=["asked"]).content.split() == ["I", "was"]


def test_a_retriever_of_theirs_stands_behind_a_chat_model(desk):
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(
        [
            Document(
                ANSWER,
                id="violins",
                metadata={"source": "their/rules.pdf", "page": 6, "page_label": "7", "title": "Rules"},
            ),
            Document("Cats travel in the cabin.", id="cats", metadata={"source": "their/cats.pdf"}),
        ]
    )
    search = LangChainSearch(store.as_retriever(search_kwargs={"k": 2}))
    with OpenProject(desk.project.folder).model("talker") as plain, plain.knowing(search) as talker:
        answer = talker.ask(QUESTION)
        assert answer.answer == f"{ANSWER} [1]"
        (cited,) = answer.citations
        assert (cited.document, cited.page, cited.title) == ("their/rules.pdf", 7, "Rules")
        assert cited.quote == ANSWER
        assert talker.generate(QUESTION) == answer.answer
    with pytest.raises(UnsupportedError, match="no filters"):
        asyncio.run(search(QUESTION, 1, OneOf("source", ("a",))))
