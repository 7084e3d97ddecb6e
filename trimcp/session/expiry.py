"""Ends a session on a connection when the authentication of its sender ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.session.session import Session


@contextmanager
def ended_at_expiry(session: Session, nursery: trio.Nursery) -> Iterator[None]:
    """Close a session at `expires_at` of the principal that opened its connection, while the block runs.

    Args:
        session: on a duplex connection.
        nursery: where the wait is, which outlives the session.
    """
    principal = session.delivery.principal
    if principal is None or principal.expires_at is None:
        yield
        return
    waiting = trio.CancelScope()
    nursery.start_soon(_end, session, principal.expires_at, waiting)
    try:
        yield
    finally:
        waiting.cancel()


async def _end(session: Session, expires_at: float, waiting: trio.CancelScope) -> None:
    with waiting:
        await trio.sleep(max(0.0, expires_at - time.time()))
        log.info(events.SESSION_EXPIRED, session=session.number)
        session.close()
