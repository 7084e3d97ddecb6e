"""The parts of starting and ending a server process: environment, pipes, and signals to the process group."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

import trio

if sys.platform != "win32":
    import fcntl
    import termios

from trimcp.transports.descriptors import (
    DescriptorReader,
    DescriptorWriter,
    PolledReader,
    PolledWriter,
    ThreadReader,
    ThreadWriter,
)

KILL: Final = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
"""The signal that cannot be ignored."""

_INHERITED: Final = (
    frozenset(
        (
            *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMFILES"),
            *(
                "PROCESSOR_ARCHITECTURE",
                "SYSTEMDRIVE",
                "SYSTEMROOT",
                "TEMP",
                "TMP",
                "USERNAME",
                "USERPROFILE",
                "WINDIR",
            ),
        )
    )
    if sys.platform == "win32"
    else frozenset(("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"))
)


def server_environment(extra: Mapping[str, str] | None = None, *, inherit_all: bool = False) -> dict[str, str]:
    """Return the environment of a server process.

    By default it has the variables that any program needs (PATH, HOME, the locale, …), and none of the keys and tokens
    of this process. `extra` is added to that.
    """
    ours = os.environ
    if inherit_all:
        chosen = dict(ours)
    else:
        chosen = {name: ours[name] for name in ours if name.upper() in _INHERITED or name.startswith("LC_")}
    return {**chosen, **(extra or {})}


def pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """Make a pipe; return its ends for reading and writing. Each stack closes one of them."""
    read_fd, write_fd = os.pipe()
    reading.callback(os.close, read_fd)
    writing.callback(os.close, write_fd)
    return read_fd, write_fd


# Our end of a pipe that we made is an open file of its own, so its blocking mode can be changed.
def pipe_reader(fd: int) -> DescriptorReader:
    """Return a reader of our end of a pipe that we made."""
    if sys.platform == "win32":  # pragma: no cover
        return ThreadReader(fd)
    os.set_blocking(fd, False)
    return PolledReader(fd)


def pipe_writer(fd: int) -> DescriptorWriter:
    """Return a writer of our end of a pipe that we made."""
    if sys.platform == "win32":  # pragma: no cover
        return ThreadWriter(fd)
    os.set_blocking(fd, False)
    return PolledWriter(fd)


def unread_bytes(writer: DescriptorWriter) -> int:
    """Return how many bytes in a pipe were not read; 0 where the system does not say."""
    if not sys.platform.startswith("linux") or not isinstance(writer, PolledWriter) or writer.fd < 0:
        return 0
    waiting = array.array("i", [0])
    fcntl.ioctl(writer.fd, termios.FIONREAD, waiting)
    return waiting[0]


def signal_group(process: trio.Process, number: int) -> bool:
    """Send a signal to the group that the process leads; return whether it had a process."""
    try:
        if sys.platform == "win32":  # pragma: no cover
            process.kill()
        else:
            os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_lives(group: int) -> bool:
    """Return whether a process of the group still runs.

    A signal does not tell a process that runs from one that is dead and not yet waited for by its parent, and in a
    container without an init process no parent ever waits. So Linux is asked for the state of each process.
    """
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not sys.platform.startswith("linux"):  # pragma: no cover
        return True
    for name in os.listdir("/proc"):
        if name.isdigit():
            # proc(5): pid (command) state ppid pgrp …; the command may hold any text.
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as status:
                state, _, its_group = status.read().rpartition(b")")[2].split()[:3]
                if int(its_group) == group and state not in (b"Z", b"X"):
                    return True
    return False
