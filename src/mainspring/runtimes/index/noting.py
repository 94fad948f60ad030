"""What was searched for on the way to one answer, and what was found."""

from __future__ import annotations

from mainspring.runtimes.index.filters import All, Filter
from mainspring.runtimes.index.found import Found, Search, Searched


class NotedSearch:
    """A `Search` for one answer, among what `where` lets through. `results` are its questions, and what was found."""

    def __init__(self, search: Search, where: Filter | None = None) -> None:
        self.results: list[tuple[str, Searched]] = []
        self._search, self._where = search, where

    async def __call__(self, question: str, k: int, where: Filter | None = None) -> Searched:
        """The best k passages."""
        both = tuple(one for one in (self._where, where) if one is not None)
        allowed = All(both) if len(both) > 1 else both[0] if both else None
        result = await self._search(question, k, allowed)
        self.results.append((question, result))
        return result

    @property
    def found(self) -> list[Found]:
        """All passages that were found."""
        return [one for _, result in self.results for one in result.found]
