"""A source: what is there to be read, of which a name and a digest are known before it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mainspring.data.documents.document import Document, Unread

LARGEST_FILE = 256 * 2**20  # bytes
LARGEST_TEXT = 16 * 2**20  # characters of text in one document: some 5,000 pages

MOST_BLOCKS = 2**20  # in one document


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a row of a table.

    `name` is the `source` of its document. `digest` is the sha256 of the file's bytes, or of what the row says; "" of
    what is not read. `unread` is why it is not read, where that is known already: it is equal to another, say.
    """

    name: str
    digest: str
    unread: str | None
    reader: Callable[[], Document | Unread] | None = field(default=None, repr=False)

    def read(self) -> Document | Unread:
        """The document, or why there is none. A file is read as it is now: `Document.digest` says what was read.

        Raises:
            MissingExtraError: a package is missing that reads files of this kind.
        """
        return self.reader() if self.reader is not None else Unread(self.name, self.unread or "is not read")
