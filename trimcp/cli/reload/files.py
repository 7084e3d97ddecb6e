"""Tells when Python files change, by watchfiles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

import trio

from trimcp.errors import UsageError

MOST_SHOWN: Final = 3
"""Names of changed files that are shown."""


def check_installed() -> None:
    """Check that watchfiles is there.

    Raises:
        UsageError: it is not.
    """
    try:
        import watchfiles  # noqa: F401
    except ModuleNotFoundError as exc:
        raise UsageError.not_installed(exc.name, "dev") from exc


async def watch_files(
    folders: Sequence[str], changed: trio.MemorySendChannel[str], *, task_status: trio.TaskStatus[None]
) -> None:
    """Send the names of changed files, as one text for each burst of changes. Started once the folders are watched.

    A burst that follows one which is not yet taken is part of that.

    Args:
        folders: where to look, with all that is in them.
        changed: gets the names; it has room for one text.
        task_status: is told when no change is missed any more.
    """
    from watchfiles import PythonFilter, awatch

    stop: Any = _Stop(task_status.started)  # awatch needs its two methods
    with changed:
        async with aclosing(awatch(*folders, watch_filter=PythonFilter(), stop_event=stop)) as bursts:
            async for burst in bursts:
                names = sorted({os.path.basename(path) for _, path in burst})
                more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
                with suppress(trio.WouldBlock):
                    changed.send_nowait(", ".join(names[:MOST_SHOWN]) + more)


class _Stop:
    """The event that ends a watch. The watch looks at it from its thread, the first time once the folders are watched.

    watchfiles has no other sign of that.
    """

    def __init__(self, begun: Callable[[], None]) -> None:
        self._begun: Callable[[], None] | None = begun
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        if (begun := self._begun) is not None:
            self._begun = None
            trio.from_thread.run_sync(begun)
        return self._event.is_set()
