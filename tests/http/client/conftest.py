"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.session.peer import logged
from trimcp.actors.backoff import Backoff
from trimcp.http.client.known_servers import KNOWN_SERVERS

__all__ = ["logged"]


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    """What one test finds out about a server is not known to the next."""
    KNOWN_SERVERS.clear()
    yield
    KNOWN_SERVERS.clear()


@pytest.fixture(params=["memory", "tcp"])
def carrier(request: pytest.FixtureRequest) -> str:
    """By what the client reaches the server."""
    return str(request.param)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over sockets no clock can be turned: what is waited for between tries is tested elsewhere."""
    next_pause = Backoff.next_pause

    def at_once(self: Backoff, asked: float | None = None) -> float | None:
        return None if next_pause(self, asked) is None else 0.0

    monkeypatch.setattr(Backoff, "next_pause", at_once)
