"""`POST /models/{name}/search`: a question in, the passages that answer it out, best first.

{"query": "May I take a violin?", "k": 3, "filter": {"source": "baggage.md"}}
{"id": "0197…", "model": "handbook", "version": "2", "passages": [{"text": …, "document": …, …}],
 "answerable": 0.93, "threshold": 0.5}
"""

from __future__ import annotations

import msgspec

from mainspring.serving.answering import prediction_headers
from mainspring.serving.messages import Reply, Request
from mainspring.serving.predict import require_json
from mainspring.serving.retrieval.attending import Retrieving
from mainspring.serving.retrieval.bodies import SearchRequest, read_question
from mainspring.serving.retrieval.results import PassageFound, SearchResult
from mainspring.serving.retrieval.rows import Row
from mainspring.serving.retrieval.version import RetrievalVersion

_decoder = msgspec.json.Decoder(SearchRequest)
_encode = msgspec.json.Encoder().encode


class Searching:
    """The endpoint."""

    def __init__(self, retrieving: Retrieving) -> None:
        self._retrieving = retrieving

    async def __call__(self, request: Request, name: str) -> Reply:
        """Answer one request to the model `name`.

        Raises:
            Problem: there is no answer, and why.
            ClientGoneError: nobody waits for it any more.
        """
        require_json(request)
        request.model = self._retrieving.slots.find(name).name
        asked, where = read_question(request.body, _decoder)
        with self._retrieving(request, name, "retrieval", "query") as attended:
            loaded = attended.loaded
            if not isinstance(loaded, RetrievalVersion):
                raise loaded.wrong_kind()
            async with request.unless_gone():
                result = await self._retrieving.search(loaded, asked.query, asked.k, where)
        Row.of(request).write(self._retrieving.log, loaded, asked.query, result)
        told = SearchResult(
            id=request.unique,
            model=name,
            version=loaded.name,
            passages=[PassageFound.of(found) for found in result.found],
            answerable=result.answerable,
            threshold=result.threshold,
        )
        return Reply(200, _encode(told), headers=prediction_headers(request))
