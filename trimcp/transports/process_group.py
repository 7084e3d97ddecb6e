"""Signals to a process and all that it started, as one group.

Owns what the systems differ in. `subprocess` decides when to send which.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Final

import trio

KILL: Final = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
"""The signal that cannot be ignored."""


def signal_group(process: trio.Process, number: int) -> bool:
    """Send a signal to the group that the process leads; return whether there was anybody to get it."""
    try:
        if sys.platform == "win32":  # pragma: no cover
            process.kill()
        else:
            os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_lives(group: int) -> bool:
    """Whether a process of the group still runs.

    To a signal, one that is dead and not yet looked after by its parent is like a living one,
    and in a container without an init process nobody ever looks; so Linux is asked which it is.
    """
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    if not sys.platform.startswith("linux"):  # pragma: no cover
        return True
    for name in os.listdir("/proc"):
        if name.isdigit():
            # proc(5): pid (command) state ppid pgrp …; the command may hold anything.
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as status:
                state, _, its_group = status.read().rpartition(b")")[2].split()[:3]
                if int(its_group) == group and state not in (b"Z", b"X"):
                    return True
    return False
