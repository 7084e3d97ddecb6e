"""The secrets of a server: what it gives to clients to keep, and must know again as its own.

Cursors, request states and the ids of events are made and read with keys derived from these. Processes that serve
the same clients share them; a new one put in front rotates them, as long as the old stay behind it.
"""

from __future__ import annotations

from trimcp.stores.memory import MemorySecretStore


class Keys(MemorySecretStore):
    """The secret store of a server, in memory: of the secrets that `Server(keys=…)` was given, or of one of its own."""

    def derive(self, purpose: bytes) -> list[bytes]:
        """Return a key of 32 bytes for one purpose from each secret, newest first."""
        return self.current.derive(purpose)
