"""Noticing that a small file changed, by looking: works on every file system, and costs a few microseconds a look."""

from __future__ import annotations

from pathlib import Path


class WatchedFile:
    """A file that is replaced atomically, so that its inode, size and time tell one content from another.

    The time is that of the last change of any kind, also of permissions: what could not be read then may be now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Whether the file is another one than at the last call. Before the first call it counts as missing."""
        try:
            stat = self._path.stat()
            now = (stat.st_ino, stat.st_size, stat.st_ctime_ns)
        except FileNotFoundError:
            now = None
        changed, self._seen = now != self._seen, now
        return changed
