"""Tells where code runs: in a task of Trio, in a thread, or under another event loop."""

from __future__ import annotations

import sys

import trio

from trimcp.errors import UsageError


def is_in_task() -> bool:
    """Whether the caller runs in a task of Trio."""
    return trio.lowlevel.in_trio_task()


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
