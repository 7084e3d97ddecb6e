"""Tells where code runs: in a task of Trio, in a thread, or under another event loop. Finds the clock of a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import trio

from trimcp.errors import UsageError

is_in_task: Final[Callable[[], bool]] = trio.lowlevel.in_trio_task
"""Whether the caller runs in a task of Trio. It is asked for each report of progress."""


def current_clock() -> Callable[[], float]:
    """Return the function that reads the clock of this run. It costs a third of `trio.current_time`.

    Raises:
        RuntimeError: the caller does not run under Trio.
    """
    return trio.lowlevel.current_clock().current_time


def check_loop(user: str) -> None:
    """Check that the caller runs in a task of Trio; `user` names what it is.

    Raises:
        UsageError: it runs under asyncio, or under no event loop.
    """
    if is_in_task():
        return
    asyncio = sys.modules.get("asyncio")
    is_asyncio = asyncio is not None and asyncio._get_running_loop() is not None
    advice = "write trio.run(main) in place of asyncio.run(main)" if is_asyncio else "start it by trio.run(main)"
    raise UsageError(f"{user} runs on Trio, and here {'asyncio' if is_asyncio else 'no event loop'} runs: {advice}")
