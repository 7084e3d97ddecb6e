"""`AuditLog`: a line of JSON for each decision, in a file of its owner's alone, which is rotated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import orjson
import trio

from trimcp.consent.decisions import private_directory
from trimcp.observability.cleaning import loggable

FILE: Final = "audit.ndjson"
MOST_BYTES: Final = 2**20
"""Bytes of the log; then it becomes `audit.1.ndjson`, and a new one begins."""
KEPT: Final = 4
"""Former logs that are kept."""


class AuditLog:
    """Adds lines to the log. Arguments of tools and contents of messages are not in it."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        """Makes nothing yet; `directory` as in `DecisionFile`."""
        self._files = private_directory(directory)

    async def write(self, entry: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            UsageError: the directory or the file is not the user's alone, or is a link.
        """
        line = orjson.dumps({name: loggable(value) for name, value in entry.items()}) + b"\n"
        await trio.to_thread.run_sync(self._append, line)

    def _append(self, line: bytes) -> None:
        self._files.make()
        if self._files.append(FILE, line) >= MOST_BYTES:
            self._rotate()

    def _rotate(self) -> None:
        from filelock import Timeout

        lock = self._files.lock("audit.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return  # another process does it
        try:
            if (self._files.path / FILE).stat().st_size < MOST_BYTES:
                return
            names = [FILE, *(f"audit.{number}.ndjson" for number in range(1, KEPT + 1))]
            for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
                if (self._files.path / newer).exists():
                    self._files.rename(newer, older)
        finally:
            lock.release()
