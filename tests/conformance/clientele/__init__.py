"""What the client under test does in each scenario of the official suite."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

import trimcp


@attrs.frozen(kw_only=True)
class Visit:
    """Which server the suite has put up, and what for."""

    url: str
    scenario: str
    version: str
    """The revision to speak."""
    context: dict[str, Any]
    """What a scenario has to say beside its name."""

    def connected(self, **options: Any) -> AbstractAsyncContextManager[trimcp.Client]:
        """A client of that server."""
        return trimcp.connect(self.url, revision=self.version, name="everything", version="1.0.0", **options)
