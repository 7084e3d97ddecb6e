"""`PrivateDirectory`: files that belong to one user alone, which processes of this user share.

The directory has mode 0700 and each file 0600. A file is replaced by an atomic rename; links are not followed. All
methods block: call them in a thread.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trimcp.errors import UsageError

if TYPE_CHECKING:
    from filelock import FileLock

POLL: Final = 0.05
"""Seconds between two tries at a lock that another process holds."""
# Not all of them are on every platform.
_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)


class PrivateDirectory:
    """One directory with files of its owner's alone."""

    def __init__(self, path: Path, holds: str) -> None:
        """Makes nothing yet.

        Args:
            path: of the directory; it is made with the first file.
            holds: a word for the content, for messages, such as `tokens`.
        """
        self.path: Final = path
        self._holds = holds

    def check(self) -> bool:
        """Check who may read the directory; return whether there is one.

        Raises:
            UsageError: it is not the user's alone, or is a link.
        """
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        name = f"directory of {self._holds} {self.path}"
        if not stat.S_ISDIR(found.st_mode):
            raise UsageError(f"Invalid {name}: name a directory, not a link or a file")
        if os.name == "posix":
            if found.st_uid != os.geteuid():
                raise UsageError(f"The {name} belongs to another user: name your own")
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise UsageError(f"The {name} is open to others: run chmod 700 on it")
        return True

    def make(self) -> None:
        """Make the directory where there is none. Raises as `check`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.check()

    def read(self, name: str, most: int) -> bytes | None:
        """Return up to `most` bytes of a file; None where there is none.

        Raises:
            UsageError: the file is not the user's alone, or is a link. Raises as `check`, too.
        """
        if not self.check():
            return None
        try:
            # Without O_NONBLOCK, opening a pipe would wait for its other end.
            descriptor = self._open(name, os.O_RDONLY | _NO_WAIT)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            return file.read(most)

    def replace(self, name: str, data: bytes) -> None:
        """Replace a file in one step. Two processes must not do so at once: see `lock`."""
        path, beside = self.path / name, (self.path / name).with_suffix(".new")
        beside.unlink(missing_ok=True)  # of a process that died; the lock is ours
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def append(self, name: str, data: bytes) -> int:
        """Add to the end of a file, which is made where there is none; return its length.

        Raises:
            UsageError: the file is not the user's alone, or is a link.
        """
        descriptor = self._open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_WAIT)
        with open(descriptor, "ab") as file:
            file.write(data)
            return file.tell()

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        (self.path / name).unlink(missing_ok=True)

    def rename(self, name: str, to: str) -> None:
        """Rename a file; one of the new name is replaced."""
        (self.path / name).replace(self.path / to)

    def lock(self, name: str) -> FileLock:
        """Return the lock of a name, which is free again where its process has died."""
        from filelock import FileLock

        return FileLock(self.path / name, mode=0o600, thread_local=False)

    def _open(self, name: str, flags: int) -> int:
        path = self.path / name
        try:
            descriptor = os.open(path, flags | _NO_LINK | _BINARY, 0o600)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise UsageError(f"The file of {self._holds} {path} cannot be read: {exc.strerror}. Remove it") from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"The file of {self._holds} {path} is no regular file: remove it")
            if os.name == "posix" and (found.st_mode & 0o077 or found.st_uid != os.geteuid()):
                raise UsageError(f"The file of {self._holds} {path} is open to others: run chmod 600 on it")
        except UsageError:
            os.close(descriptor)
            raise
        return descriptor
