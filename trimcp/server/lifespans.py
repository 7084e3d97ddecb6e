"""Enters the lifespans of users: they cannot end or continue a run silently."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import trio

from trimcp.actors.containment import contained, is_only

SILENT: Final = (trio.Cancelled, GeneratorExit)
"""Exceptions of a lifespan that would end the run as if it had been cancelled or closed."""


@asynccontextmanager
async def entered(manager: AbstractAsyncContextManager[Any], owner: str) -> AsyncIterator[Any]:
    """Enter a lifespan; give the value that it yields.

    Args:
        manager: returned by the user's function.
        owner: names the lifespan, for the message.

    Raises:
        BaseException: the lifespan raised it, SystemExit too; or the run ended with it, and the lifespan swallowed it.
        RuntimeError: the lifespan raised a `Cancelled` out of a scope that is over, or GeneratorExit; or a scope around
            its `yield` was cancelled.
    """
    ended: BaseException | None = None
    with contained(owner, SILENT):
        async with manager as state:
            try:
                yield state
            except BaseException as exc:
                ended = exc
                raise
    if ended is None:
        return
    if is_only(ended, SILENT) and trio.current_effective_deadline() > -math.inf:
        raise RuntimeError(
            f"{owner} ended while the server was running: put its yield in no scope that is cancelled"
        ) from ended
    raise ended
