"""What the stores of trimcp raise. Stores of users may raise anything: see `contained`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoreUnavailable(Exception):
    """A store is not connected, is full, or has not answered in time. It may be there again at the next call.

    A write that raises it may have been done.
    """


class RecordUnreadable(StoreUnavailable):
    """A record was written by another version of trimcp, and this version cannot read it. Other nodes may read it."""


@contextmanager
def reading(kind: str) -> Iterator[None]:
    """Decode a record in the block. Its errors become `RecordUnreadable`."""
    try:
        yield
    except Exception as exc:
        raise RecordUnreadable(
            f"The record of a {kind} cannot be read ({type(exc).__name__}: {exc}): another version of trimcp wrote it; "
            "run the same version on all nodes"
        ) from exc
