"""The names of headings in links, as GitHub makes them."""

from __future__ import annotations

import re

_DROPPED = re.compile(r"[^\w\- ]")


class Slugs:
    """Makes the anchors of one document: no two are equal."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}  # how often a slug was wanted

    def of(self, heading: str) -> str:
        """ "Carry-on & bags" becomes "carry-on--bags"; the second of them "carry-on--bags-1"."""
        slug = _DROPPED.sub("", heading.strip().lower()).replace(" ", "-")
        name = slug
        while name in self._taken:
            name = f"{slug}-{self._taken[slug]}"
            self._taken[slug] += 1
        self._taken[name] = 1
        return name
