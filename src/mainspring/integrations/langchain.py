"""LangChain: a collection as a retriever, a chat model, and a retriever of theirs behind a chat model of ours.

from mainspring.integrations.langchain import ChatMainspring, LangChainSearch, MainspringRetriever

retriever = MainspringRetriever(model="handbook", project="examples/airdesk")
desk = ChatMainspring(model="desk", url="http://localhost:8000")
answer = desk.invoke("May I take a violin?")
answer.content, answer.additional_kwargs["citations"]

desk = OpenProject("examples/airdesk").model("desk").knowing(LangChainSearch(their_retriever))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForLLMRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from mainspring.integrations.models import Chat, Collection, citation_dict, passage_metadata
from mainspring.runtimes.index.foreign import LangChainSearch
from mainspring.runtimes.language.protocol import Delta, Generate, Sampling, Usage
from mainspring.serving.retrieval.results import PassageFound

__all__ = ["ChatMainspring", "LangChainSearch", "MainspringRetriever"]


class MainspringRetriever(BaseRetriever):
    """A collection: `k` passages a question, among those that `filter` lets through; where it is: `models.Collection`.

    A document's metadata has the passage's place (`source`, `path`, `begin`, `end`, `page`, `anchor`), its scores, and
    what there is of the document.
    """

    model: str
    project: str | None = None
    url: str | None = None
    key: str | None = None
    k: int = 5
    filter: dict[str, Any] | None = None
    _collection: Collection = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Opens nothing yet."""
        super().model_post_init(context)
        self._collection = Collection(self.model, project=self.project, url=self.url, key=self.key)

    def close(self) -> None:
        """Let go of the collection."""
        self._collection.close()

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [_document(found) for found in self._collection.search(query, self.k, self.filter)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [_document(found) for found in await self._collection.asearch(query, self.k, self.filter)]


class ChatMainspring(BaseChatModel):
    """A chat model. See `models.Chat` for where it is.

    An answer from documents has its citations in `additional_kwargs["citations"]`, in a stream with the last piece.
    """

    model: str
    project: str | None = None
    url: str | None = None
    key: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    _chat: Chat = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Opens nothing yet."""
        super().model_post_init(context)
        self._chat = Chat(self.model, project=self.project, url=self.url, key=self.key)

    @property
    def _llm_type(self) -> str:
        return "mainspring"

    def close(self) -> None:
        """Let go of the model."""
        self._chat.close()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """With functions that it may call; a model with knowledge refuses them."""
        bound = [convert_to_openai_tool(tool) for tool in tools]
        choice = {"any": "required"}.get(tool_choice or "auto", tool_choice or "auto")
        return self.bind(tools=bound, tool_choice=choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for part in self._chat.parts(self._request(messages, stop, kwargs)):
            chunk = self._chunk(part)
            if run_manager and chunk.text:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for part in self._chat.aparts(self._request(messages, stop, kwargs)):
            chunk = self._chunk(part)
            if run_manager and chunk.text:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, more: dict[str, Any]) -> Generate:
        tools, choice = more.pop("tools", []), more.pop("tool_choice", "auto")
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens, **more}
        chosen = {name: value for name, value in given.items() if value is not None}
        said = convert_to_openai_messages(messages)
        sampling = Sampling(**chosen, stop=tuple(stop or ()))
        assert isinstance(said, list)
        return Generate(messages=said, tools=tools, tool_choice=choice, sampling=sampling)

    def _chunk(self, part: Delta | Usage) -> ChatGenerationChunk:
        if isinstance(part, Usage):
            usage = UsageMetadata(
                input_tokens=part.prompt, output_tokens=part.completion, total_tokens=part.prompt + part.completion
            )
            return ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
        message = AIMessageChunk(
            content=part.text,
            tool_call_chunks=[
                tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=call.index)
                for call in part.tool_calls
            ],
            additional_kwargs={"citations": [citation_dict(one) for one in part.citations]} if part.citations else {},
            response_metadata={"finish_reason": part.finish, "model_name": self.model} if part.finish else {},
        )
        return ChatGenerationChunk(message=message)


def _document(found: PassageFound) -> Document:
    return Document(page_content=found.text, id=found.id, metadata=passage_metadata(found))
