"""How those who wait for weights are told what goes on."""

from __future__ import annotations


class Progress:
    """Is told how a download goes along; this one keeps it to itself."""

    def say(self, what: str) -> None:
        """Something that a person may want to know: a source that failed, another process that is waited for."""

    def bytes(self, done: int, total: int) -> None:
        """How much has come of how much, compressed as it travels. Called from several threads, a few times a second.

        A next source begins at 0 again.
        """
