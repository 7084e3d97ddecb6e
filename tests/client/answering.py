"""A modern server for `trimcp.connect` that answers by a table, that of the kit; and the next notice of a client."""

from __future__ import annotations

import trio

from tests.session.peer import PATIENCE
from trimcp.client.notifications.notices import Notice, Notices
from trimcp.testing.fake_peer import FakeServer

answering = FakeServer.answering

HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


async def following(notices: Notices) -> Notice:
    """The next notice."""
    with trio.fail_after(PATIENCE):
        return await anext(notices)
