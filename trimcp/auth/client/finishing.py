"""`finish`: lets a short piece of work end though its caller is cancelled.

A refresh token that rotates is lost where a response with the next one is not read: a call that times out at that
moment would cost a person another sign-in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from trimcp.actors.containment import unwrapped

GRACE: Final = 5.0
"""Seconds that the work may take once its caller is cancelled."""

T = TypeVar("T")


async def finish(work: Callable[[], Awaitable[T]]) -> T:
    """Run the work, and for `GRACE` seconds more where the caller is cancelled meanwhile.

    Raises:
        Exception: as the work does.
    """
    results: list[T] = []
    shield = trio.CancelScope(shield=True)

    async def watch() -> None:
        try:
            await trio.sleep_forever()
        finally:  # the caller is cancelled, or the work is done
            shield.deadline = trio.current_time() + GRACE

    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            with shield, block:
                results.append(await work())
            nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    return results[0]
