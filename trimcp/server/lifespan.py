"""A lifespan of the user's, entered so that a run cannot end without a word over what it does.

The runs of a server enter one for the server and one for each extension that has one.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import trio

from trimcp.session.containment import contained, is_only

SILENT: Final = (trio.Cancelled, GeneratorExit)
"""What could end a run as if it had been cancelled, or closed."""


@asynccontextmanager
async def entered(manager: AbstractAsyncContextManager[Any], owner: str) -> AsyncIterator[Any]:
    """Enters a lifespan; gives what it yields.

    What ends the run cannot be swallowed. Anything that the lifespan raises, SystemExit too, ends the run as itself,
    but for what would do so without a word.

    Args:
        manager: returned by the user's function.
        owner: names it, for the message.

    Raises:
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
