"""Passages that are written down, a search among them by shared words, and an engine that says what it is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from mainspring.data.documents.passages import Passage, Table
from mainspring.errors import UnsupportedError
from mainspring.prompts.answering.wording import content
from mainspring.runtimes.index.found import Found, Searched
from mainspring.runtimes.language.protocol import Capabilities, Delta, EngineInfo, Generate, Usage

BAGS = "# Cabin bags\n\nA *cabin bag* may weigh **8 kg**. It must not be larger than 55 x 40 x 23 cm.\n"
FEES = "A checked bag may weigh 23 kg and costs 30 euros. Skis are carried without a fee in winter."
PETS = "Dogs of up to 6 kg travel in the cabin. Snakes are not allowed on board."


def passage(
    source: str,
    quote: str,
    text: str | None = None,
    score: float = 0.9,
    path: tuple[str, ...] = (),
    tables: tuple[Table, ...] = (),
) -> Found:
    made = Passage(
        source=source, begin=0, end=len(quote), text=text or quote, path=path, page=3, anchor="top", tables=tables
    )
    return Found(
        id=made.id("test"), passage=made, quote=quote, score=score, dense=score, sparse=score, title=source.title()
    )


def handbook() -> list[Found]:
    bare = BAGS.replace("*", "").replace("# ", "").replace("\n\n", "\n").strip()
    return [passage("bags.md", BAGS, bare), passage("fees.md", FEES), passage("pets.md", PETS)]


class WordSearch:
    """Finds by the number of shared content words; answerable as it is told."""

    def __init__(self, passages: Sequence[Found], answerable: float | None = None) -> None:
        self.passages = passages
        self.answerable = answerable
        self.asked: list[str] = []

    async def __call__(self, question: str, k: int, where: object = None) -> Searched:
        self.asked.append(question)
        words = set(content(question))
        scored = [(len(words & set(content(one.passage.indexed))), one) for one in self.passages]
        best = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])[:k]
        threshold = None if self.answerable is None else 0.5
        return Searched(found=[one for _, one in best], answerable=self.answerable, threshold=threshold)


class Says:
    """An engine that says `text`, in pieces of three characters; a token is a word."""

    def __init__(self, text: str, context: int = 4096) -> None:
        self.text = text
        self.requests: list[Generate] = []
        self.closed = 0
        self.pieces = 0
        self.capabilities = Capabilities(context=context, logprobs=5, structures=("json_schema",), tools=True)
        self.info = EngineInfo("says", "", "a test")

    async def generate(self, request: Generate) -> AsyncGenerator[Delta | Usage, None]:
        self.requests.append(request)
        try:
            for at in range(0, len(self.text), 3):
                self.pieces += 1
                yield Delta(text=self.text[at : at + 3], tokens=1)
            yield Delta(finish="stop")
            yield Usage(await self.count(request), self.pieces)
        finally:
            self.closed += 1

    async def count(self, request: Generate) -> int:
        text = request.prompt if request.messages is None else " ".join(one["content"] for one in request.messages)
        return len(str(text).split())

    async def embed(self, texts: list[str]) -> object:
        raise UnsupportedError("no vectors", "model")

    async def close(self) -> None:
        raise AssertionError("whoever opened an engine closes it")
