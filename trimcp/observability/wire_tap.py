"""The interface of a wire tap, which is told of the bytes of connections and HTTP exchanges.

A session without a tap makes none of this. `trimcp.recording` has the tap that writes recordings.
"""

from __future__ import annotations

from typing import Literal, Protocol

Sender = Literal["client", "server"]


class ConnectionTap(Protocol):
    """Is told of one duplex connection. Its methods never wait, and never raise."""

    def passed(self, sender: Sender, data: bytes) -> None:
        """Take note of bytes, which hold lines or parts of lines."""
        ...

    def frame_passed(self, sender: Sender, frame: bytes) -> None:
        """Take note of a whole frame."""
        ...

    def oversized(self, sender: Sender, limit: int) -> None:
        """Take note of a frame of more than `limit` bytes, which was not kept."""
        ...

    def ended(self) -> None:
        """Take note of the end of the connection. Idempotent."""
        ...


class ExchangeTap(Protocol):
    """Is told of one HTTP request and its response. Its methods never wait, and never raise."""

    def answered(self, status: int, media_type: str, session_id: str | None) -> None:
        """Take note of the head of the response."""
        ...

    def piece(self, data: bytes) -> None:
        """Take note of a piece of its body."""
        ...

    def ended(self, *, left: bool) -> None:
        """Take note of the end of the exchange; `left`: the client let go of it before. Idempotent."""
        ...


class WireTap(Protocol):
    """Is told of the connections and exchanges of one server or client."""

    def connection(self) -> ConnectionTap:
        """Begin a duplex connection."""
        ...

    def exchange(self, verb: str, session_id: str | None, body: bytes) -> ExchangeTap:
        """Begin an HTTP exchange, of which the request has been read or sent."""
        ...
