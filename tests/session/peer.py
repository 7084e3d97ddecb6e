"""The raw peers of the kit under the names that the tests use, the revisions, and what is logged, as a list."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from trimcp.observability import log
from trimcp.testing.fake_peer import (
    META,
    MODERN,
    PATIENCE,
    cancelled,
    discovered,
    error,
    notification,
    result,
)
from trimcp.testing.fake_peer import FakePeer as Peer
from trimcp.testing.fake_peer import FakeServer as RawServer
from trimcp.testing.fake_peer import open_fake_client as served

__all__ = [
    "ALL", "ERAS", "LEGACY", "META", "MODERN", "PATIENCE", "Logged", "Peer", "RawServer", "cancelled", "discovered",
    "error", "logged", "notification", "result", "served",
]  # fmt: skip

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ERAS = ("2025-11-25", MODERN)
"""One revision of each era, for what must hold in both."""
ALL = (*LEGACY, MODERN)


@attrs.frozen
class Logged:
    """What trimcp has logged."""

    lines: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)

    def of(self, event: str) -> list[dict[str, Any]]:
        """The keys of each line of that event."""
        return [keys for _, name, keys in self.lines if name == event]

    def levels(self, event: str) -> list[str]:
        """The level of each line of that event."""
        return [level for level, name, _ in self.lines if name == event]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Take down what is logged, from `debug` on."""
    kept = Logged()
    monkeypatch.setattr(log, "_threshold", 10)
    monkeypatch.setattr(log, "_emit", lambda level, event, keys: kept.lines.append((level, event, keys)))
    return kept
