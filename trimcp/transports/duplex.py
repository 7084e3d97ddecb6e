"""What a session needs of a connection: frames in, bytes out, an end.

A transport is a `Duplex`; everything above it is the same for a pipe, a socket and memory.
A frame is the JSON text of one message (or batch) without its delimiter. This file owns the
interface alone; `trimcp.testing.check_transport` holds an implementation to it.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import ClassVar

from trimcp.framing.lines import Frame, Oversized

__all__ = ["Duplex", "Frame", "Oversized"]


class Duplex(abc.ABC):
    """One connection to one peer.

    One task receives and one task sends; `try_send` may be called by any task of that
    session, since it does not wait; `aclose` may be called by any task at any time, and
    wakes the others. Every failure of the medium is a `trimcp.ConnectionLost`; use after
    `aclose`, and sending after `send_eof`, is a `trimcp.ConnectionClosed`.
    """

    half_closes: ClassVar[bool] = True
    """Whether a peer that sends no more may still read; where not, the end of input is the end of the connection."""
    close_code: int = 1000
    """What `aclose` says to the peer, where the medium has a code for it (RFC 6455, section 7.4)."""
    delimiter: bytes = b"\n"
    """What follows each message on the way out; the session appends it."""

    @abc.abstractmethod
    async def receive(self) -> Sequence[Frame]:
        """Wait for what has arrived: at least one frame, or an empty sequence at end of input.

        All complete frames that one read brought come at once, in order. A last line
        without a newline before the end of input is a frame as well. A receive that is
        cancelled has taken nothing.

        Raises:
            ConnectionLost: the medium failed.
            ConnectionClosed: this side has closed it, before or meanwhile.
        """

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write what the medium takes without waiting; return how many bytes it took.

        Returns 0 where the medium cannot write without waiting, or is full.
        Only called while no `send_all` is under way.

        Raises:
            ConnectionLost: the peer no longer reads, or the medium failed.
            ConnectionClosed: this side has closed it, or said that it sends no more.
        """

    @abc.abstractmethod
    async def send_all(self, data: bytes) -> None:
        """Write all of it, waiting as long as the peer takes. Cancelling it leaves the stream unusable.

        Raises:
            ConnectionLost: the peer no longer reads, or the medium failed.
            ConnectionClosed: this side has closed it, or said that it sends no more.
        """

    async def wait_writable(self) -> bool:
        """Wait until `try_send` may take something, or the connection ends.

        Returns False at once where the medium cannot tell; `send_all` is used instead. Only called while no
        `send_all` is under way. Cancelling it changes nothing.

        Raises:
            ConnectionClosed: this side has closed it.
        """
        return False

    @abc.abstractmethod
    async def send_eof(self) -> None:
        """Say that nothing more will be written; receiving goes on. No-op where the medium cannot."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close both directions. Idempotent. Never waits for the peer."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Where it leads, for logs and errors: `stdio`, `tcp 127.0.0.1:8000`, `memory`, …"""
