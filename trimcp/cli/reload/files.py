"""Tells when Python files change, by watchfiles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final

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


async def watch_files(folders: Sequence[str], changed: trio.MemorySendChannel[str]) -> None:
    """Send the names of changed files, as one text for each burst of changes.

    A burst that follows one which is not yet taken is part of that.

    Args:
        folders: where to look, with all that is in them.
        changed: gets the names; it has room for one text.
    """
    from watchfiles import PythonFilter, awatch

    with changed:
        async with aclosing(awatch(*folders, watch_filter=PythonFilter())) as bursts:
            async for burst in bursts:
                names = sorted({os.path.basename(path) for _, path in burst})
                more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
                with suppress(trio.WouldBlock):
                    changed.send_nowait(", ".join(names[:MOST_SHOWN]) + more)
