"""`TRAFFIC`: the bytes that the sockets of this process have carried.

The system counts the bytes of pipes for each process (`/proc/PID/io` on Linux), and not those of sockets.
"""

from __future__ import annotations

from typing import Final


class Traffic:
    """Counts bytes, those of lost connections too. Bytes within TLS count as they are before it."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.sent: int = 0
        self.received: int = 0


TRAFFIC: Final = Traffic()
"""Added to by the byte streams of sockets, and read by nothing but measurements."""
