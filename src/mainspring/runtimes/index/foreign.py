"""Retrievers of other libraries as a `Search`, so that a chat model here can answer from what they find.

They know nothing of our filters, and nothing of a document but the text that they give: places are places in that text.
How many passages they give is their own affair; of more than are wanted the first are taken.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mainspring import functions
from mainspring.data.documents.document import Value
from mainspring.data.documents.passages import Passage
from mainspring.errors import DataError, MainspringError, SpecError, StoreError, UnsupportedError
from mainspring.runtimes.index.filters import Filter
from mainspring.runtimes.index.found import Found, Search, Searched


class LangChainSearch:
    """A retriever of LangChain's as a `Search`.

    Raises, when it is called with a filter, UnsupportedError.
    """

    def __init__(self, retriever: Any) -> None:
        self._retriever = retriever

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """See `runtimes.index.found.Search`."""
        _refuse(where)
        documents = await self._retriever.ainvoke(question)
        return found_elsewhere(
            [(document.id, document.page_content, document.metadata, None) for document in documents[:k]]
        )


class LlamaIndexSearch:
    """A retriever of LlamaIndex's as a `Search`; as `LangChainSearch`."""

    def __init__(self, retriever: Any) -> None:
        self._retriever = retriever

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """See `runtimes.index.found.Search`."""
        _refuse(where)
        nodes = await self._retriever.aretrieve(question)
        found = [(one.node.node_id, one.node.get_content(), one.node.metadata, one.score) for one in nodes[:k]]
        return found_elsewhere(found)


class NamedSearch:
    """The search that the function called `name` gave: what goes wrong in it is told as the store's fault."""

    def __init__(self, name: str, search: Search) -> None:
        self._name, self._search = name, search

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """See `runtimes.index.found.Search`.

        Raises:
            StoreError: it raised, or gave something else than passages.
        """
        try:
            found = await self._search(question, k, where)
        except MainspringError:
            raise
        except Exception as error:  # it is anybody's code
            raise StoreError(f"the search of {self._name} raised {type(error).__name__}: {error}") from error
        if not isinstance(found, Searched):
            raise StoreError(f"the search of {self._name} gave {type(found).__name__}; expected Searched")
        return found


def load_search(name: str, folder: Path) -> NamedSearch:
    """The search that the function `name` ("module:function") of the project in `folder` gives, when it is called.

    That may be a retriever of LangChain's or LlamaIndex's, or a `runtimes.index.found.Search`: an asynchronous function
    of a question, a number of passages and a filter.

    Raises:
        SpecError: there is no such function.
        DataError: it raised, or gave something else.
    """
    given = functions.call(name, folder, lambda told: SpecError(f"knowledge = {name!r}: {told}"))
    libraries = {kind.__module__.partition(".")[0] for kind in type(given).__mro__}
    if "langchain_core" in libraries and hasattr(given, "ainvoke"):
        return NamedSearch(name, LangChainSearch(given))
    if "llama_index" in libraries and hasattr(given, "aretrieve"):
        return NamedSearch(name, LlamaIndexSearch(given))
    if callable(given) and any(map(inspect.iscoroutinefunction, (given, type(given).__call__))):
        return NamedSearch(name, cast(Search, given))
    raise DataError(
        f"{name} gave {type(given).__name__}; expected a retriever of LangChain's or LlamaIndex's, or an asynchronous "
        "function of a question, a number of passages and a filter that gives Searched"
    )


def _refuse(where: Filter | None) -> None:
    """Raises:
    UnsupportedError: there is a filter, of which such a retriever knows nothing.
    """
    if where is not None:
        raise UnsupportedError("this retriever takes no filters: leave it out", "filter")


def found_elsewhere(texts: Sequence[tuple[str | None, str, Mapping[str, Any], float | None]]) -> Searched:
    """What a retriever of another library found, best first: id, text, metadata, score.

    `source` and `title` of the metadata name the document, if they are there. The text is all that is known of it, so
    that places are those in the text. Without a score they are by rank: 1, 1/2, 1/3, …
    """
    found = []
    for rank, (id_, text, metadata, score) in enumerate(texts, 1):
        digest = hashlib.sha256(text.encode()).hexdigest()
        source = str(metadata.get("source") or metadata.get("file_name") or id_ or digest[:12])
        page = str(metadata.get("page_label", metadata.get("page")))  # loaders that count pages from 0 give the label
        passage = Passage(
            source=source, begin=0, end=len(text), text=text, page=int(page) if page.isdecimal() and int(page) else None
        )
        kept: dict[str, Value] = {
            name: value for name, value in metadata.items() if isinstance(value, str | int | float | bool)
        }
        points = 1 / rank if score is None else float(score)
        found.append(
            Found(
                id=id_ or digest,
                passage=passage,
                quote=text,
                score=points,
                dense=points,
                sparse=0.0,
                title=str(metadata.get("title") or source),
                metadata=kept,
            )
        )
    return Searched(found=found)
