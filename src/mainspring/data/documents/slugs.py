"""The names of headings in links: as GitHub makes them, and as docutils and Sphinx do."""

from __future__ import annotations

import re
import unicodedata

_DROPPED = re.compile(r"[^\w\- ]")
_NO_ID = re.compile(r"[^a-z0-9]+")
_NO_ID_AT_ENDS = re.compile(r"^[-0-9]+|-+$")


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


def sphinx_id(name: str) -> str:
    """That of a section or a label: docutils' `make_id`."""
    plain = unicodedata.normalize("NFKD", " ".join(name.lower().split())).encode("ascii", "ignore").decode()
    return _NO_ID_AT_ENDS.sub("", _NO_ID.sub("-", plain))
