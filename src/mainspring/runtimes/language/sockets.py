"""Where an engine's process listens: Unix sockets of this user alone, in the project's state folder.

The kernel takes a socket's path of at most 108 bytes (104 on macOS), closing zero included. A longer one stands for a
short one under /tmp, named by its hash: in a folder that only this user may enter. The temporary folder of the
environment will not do, since both sides must come to the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
from pathlib import Path

from mainspring.errors import BusyError, RuntimeLoadError

_LONGEST = 90  # bytes; the file is made under a longer, passing name, and then renamed
_BACKLOG = 256


def socket_path(state: Path, model: str, version: str) -> Path:
    """Where the engine of a version is found, by those who run it and those who ask it."""
    return state / "engines" / f"{model}-{version}.sock"


def short(path: Path) -> Path:
    """`path`, or what stands for it where it is too long for a socket."""
    path = Path(os.path.abspath(path))
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return Path(f"/tmp/mainspring-{os.getuid()}/{name}.sock")


class Listener:
    """A socket that listens at `path`, mode 0600. A file that a dead process left there is replaced.

    Raises:
        BusyError: somebody listens there already.
        RuntimeLoadError: there can be no socket.
    """

    def __init__(self, path: Path) -> None:
        self._place = short(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _make_folder(self._place.parent, private=self._place != Path(os.path.abspath(path)))
            if _answers(self._place):
                raise BusyError(f"an engine listens at {self._place} already: end it first")
            self._inode = self._bind()
        except OSError as error:
            self.socket.close()
            raise RuntimeLoadError(f"no socket can be made at {self._place}: {error.strerror or error}") from None
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        """Listen no more, and take the file away, unless another process has put its own there since."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if self._place.lstat().st_ino == self._inode:
                self._place.unlink()

    def _bind(self) -> int:
        """Make the file; its inode."""
        passing = self._place.with_name(f".{self._place.name}.{os.getpid()}")
        passing.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self.socket.bind(str(passing))
        finally:
            os.umask(before)
        self.socket.listen(_BACKLOG)
        inode = passing.lstat().st_ino
        passing.replace(self._place)  # at once: whoever connects finds the old one or the new one
        return inode


def _answers(place: Path) -> bool:
    """Whether somebody listens at `place`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(str(place))
        except TimeoutError:
            return True  # it listens, and more wait than it lets
        except OSError:
            return False
        return True


def _make_folder(folder: Path, *, private: bool) -> None:
    """Make `folder`; a private one is used only if nobody but this user can have put anything into it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    if not private:
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RuntimeLoadError(
            f"{folder} is not a folder of this user alone, so that no socket may be put there: remove it, or move the "
            "project to a shorter path"
        )
