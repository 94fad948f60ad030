"""LlamaIndex: a collection as a retriever, a chat model, and a retriever of theirs behind a chat model of ours.

from mainspring.integrations.llama_index import LlamaIndexSearch, MainspringLLM, MainspringRetriever

retriever = MainspringRetriever("handbook", project="examples/airdesk")
desk = MainspringLLM(model="desk", url="http://localhost:8000")
answer = desk.chat([ChatMessage("May I take a violin?")])
answer.message.content, answer.message.additional_kwargs["citations"]

desk = OpenProject("examples/airdesk").model("desk").knowing(LlamaIndexSearch(their_retriever))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import LLM
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import PrivateAttr

from mainspring.integrations.models import Chat, Collection, citation_dict, passage_metadata
from mainspring.runtimes.index.foreign import LlamaIndexSearch
from mainspring.runtimes.language.protocol import Delta, Generate, Message, Sampling, Usage
from mainspring.serving.retrieval.results import PassageFound

__all__ = ["LlamaIndexSearch", "MainspringLLM", "MainspringRetriever"]


class MainspringRetriever(BaseRetriever):
    """A collection: `k` passages a question, among those that `filter` lets through; where it is: `models.Collection`.

    A node's metadata has the passage's place (`source`, `path`, `begin`, `end`, `page`, `anchor`), its scores, and what
    there is of the document.
    """

    def __init__(
        self,
        model: str,
        *,
        project: Path | str | None = None,
        url: str | None = None,
        key: str | None = None,
        k: int = 5,
        filter: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self._collection = Collection(model, project=project, url=url, key=key)
        self._k, self._filter = k, filter
        super().__init__(**more)

    def close(self) -> None:
        """Let go of the collection."""
        self._collection.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(found) for found in self._collection.search(query_bundle.query_str, self._k, self._filter)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = await self._collection.asearch(query_bundle.query_str, self._k, self._filter)
        return [_node(one) for one in found]


class MainspringLLM(LLM):
    """A chat model. See `models.Chat` for where it is.

    An answer from documents has its citations in `message.additional_kwargs["citations"]`, in a stream with the last
    piece. A text to complete is the user's message.
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

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it when it is written down."""
        return "MainspringLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex wants to know of a model."""
        return LLMMetadata(
            context_window=self._chat.context,
            num_output=self.max_tokens or -1,
            is_chat_model=True,
            model_name=self.model,
        )

    def close(self) -> None:
        """Let go of the model."""
        self._chat.close()

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The answer to a conversation."""
        answer = _Growing()
        for part in self._chat.parts(self._request(messages, kwargs)):
            answer.add(part)
        return answer.response()

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """The same as it is made."""

        def responses() -> ChatResponseGen:
            answer = _Growing()
            for part in self._chat.parts(self._request(messages, kwargs)):
                yield answer.add(part)

        return responses()

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """See `chat`."""
        answer = _Growing()
        async for part in self._chat.aparts(self._request(messages, kwargs)):
            answer.add(part)
        return answer.response()

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """See `stream_chat`."""

        async def responses() -> ChatResponseAsyncGen:
            answer = _Growing()
            async for part in self._chat.aparts(self._request(messages, kwargs)):
                yield answer.add(part)

        return responses()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The answer to a text."""
        return _completion(self.chat([ChatMessage(prompt)], **kwargs))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """The same as it is made."""
        return (_completion(response) for response in self.stream_chat([ChatMessage(prompt)], **kwargs))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """See `complete`."""
        return _completion(await self.achat([ChatMessage(prompt)], **kwargs))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """See `stream_complete`."""
        responses = await self.astream_chat([ChatMessage(prompt)], **kwargs)
        return (_completion(response) async for response in responses)

    def _request(self, messages: Sequence[ChatMessage], more: dict[str, Any]) -> Generate:
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens, **more}
        chosen = {name: value for name, value in given.items() if value is not None}
        said: list[Message] = [{"role": one.role.value, "content": one.content or ""} for one in messages]
        return Generate(messages=said, sampling=Sampling(**chosen))


class _Growing:
    """An answer that grows."""

    def __init__(self) -> None:
        self._text = ""
        self._more: dict[str, Any] = {}
        self._counts: dict[str, Any] = {}

    def add(self, part: Delta | Usage) -> ChatResponse:
        """The answer with this piece."""
        if isinstance(part, Usage):
            self._counts = {
                "prompt_tokens": part.prompt,
                "completion_tokens": part.completion,
                "total_tokens": part.prompt + part.completion,
            }
            return self.response("")
        self._text += part.text
        if part.citations:
            self._more = {"citations": [citation_dict(one) for one in part.citations]}
        return self.response(part.text)

    def response(self, delta: str | None = None) -> ChatResponse:
        """As LlamaIndex has it."""
        message = ChatMessage(self._text, role=MessageRole.ASSISTANT, additional_kwargs=self._more)
        return ChatResponse(message=message, delta=delta, additional_kwargs=self._counts)


def _completion(response: ChatResponse) -> CompletionResponse:
    more = {**response.message.additional_kwargs, **response.additional_kwargs}
    return CompletionResponse(text=response.message.content or "", delta=response.delta, additional_kwargs=more)


def _node(found: PassageFound) -> NodeWithScore:
    node = TextNode(
        id_=found.id,
        text=found.text,
        start_char_idx=found.begin,
        end_char_idx=found.end,
        metadata=passage_metadata(found),
    )
    return NodeWithScore(node=node, score=found.score)
