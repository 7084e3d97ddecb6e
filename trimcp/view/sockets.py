"""The Unix sockets of views: where the socket of a process is, and which processes have one."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from trimcp.errors import UsageError

SUFFIX: Final = ".sock"


def check_supported() -> None:
    """Check that this system has Unix sockets.

    Raises:
        UsageError: it is Windows.
    """
    if sys.platform == "win32":
        raise UsageError("Windows has no views on Unix sockets: give --view a port, and view and top the printed URL")


def directory() -> Path:
    """Return the directory of the sockets of this user, which need not exist.

    Raises:
        UsageError: the system has no Unix sockets.
    """
    check_supported()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "trimcp"
    return Path(tempfile.gettempdir()) / f"trimcp-{os.getuid()}"


def own_path() -> Path:
    """Return the path for the socket of this process. Makes the directory, for this user alone.

    Raises:
        UsageError: the directory cannot be made, or others may write to it.
    """
    where = directory()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = where.lstat()
    except OSError as exc:
        raise UsageError(f"cannot make {where} for the socket of the view: {exc.strerror}") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UsageError(f"{where} is not a directory that only this user can write to: give --view a path")
    return where / f"{os.getpid()}{SUFFIX}"


def path_of(pid: int) -> Path:
    """Return the path of the socket of a process."""
    return directory() / f"{pid}{SUFFIX}"


def running() -> dict[int, Path]:
    """Return the sockets of the processes that live, by process id; remove those of processes that are gone."""
    found: dict[int, Path] = {}
    for path in sorted(directory().glob(f"*{SUFFIX}")):
        if not path.stem.isdecimal():
            continue
        try:
            os.kill(int(path.stem), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
            continue
        except PermissionError:
            continue
        found[int(path.stem)] = path
    return found
