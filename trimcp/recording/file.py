"""Makes the file of a recording: of its owner alone, and in the place of no other file."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Final

from trimcp.errors import UsageError

# Not all of them are on every platform.
_NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)


def open_private(path: str | os.PathLike[str], *, overwrite: bool) -> BinaryIO:
    """Make a file that its owner alone may read, with mode 0600.

    Args:
        path: of the file. A link is not followed.
        overwrite: whether a file of that name is emptied and used; otherwise it is refused.

    Raises:
        UsageError: the file exists, or cannot be made.
    """
    name = os.fspath(path)
    # An existing file is emptied only once it is known to be a file of this user's.
    how = 0 if overwrite else os.O_EXCL
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | _NO_LINK | _NO_WAIT | _BINARY | how, 0o600)
    except FileExistsError:
        raise UsageError(f"{name} exists: name another file, or add --overwrite") from None
    except OSError as exc:
        problem = "it is a link" if exc.errno == errno.ELOOP else exc.strerror
        raise UsageError(f"cannot record to {name}: {problem}. Name another file") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"cannot record to {name}: it is no regular file. Name another one")
        if os.name == "posix":
            if found.st_uid != os.geteuid():
                raise UsageError(f"cannot record to {name}: it belongs to another user. Name another file")
            os.fchmod(fd, 0o600)
        if overwrite:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return os.fdopen(fd, "wb")
