"""A modern server for `trimcp.connect` that answers by a table: that of the kit."""

from __future__ import annotations

from trimcp.testing.fake_peer import FakeServer

answering = FakeServer.answering

HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
