"""The interface of a transport: frames in, bytes out, an end.

A transport is a `Duplex`; the session above is the same for a pipe, a socket and memory. A frame is the JSON text of
one message (or batch) without its delimiter. `trimcp.testing.check_transport` tests an implementation.
"""

from __future__ import annotations

import abc
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol

from trimcp.framing.lines import Frame, Oversized

__all__ = ["Duplex", "Frame", "Oversized", "write_some"]

PORTION: Final = 262_144
"""Bytes that are handed to a medium at once, where more wait."""
STEP: Final = 8192
"""Bytes that are handed at once to a medium that does not tell how many it took."""


class Writable(Protocol):
    """A medium that is written to: a `Duplex` or a `ByteStream`."""

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        """Wait until `try_send` may take something; return False where `send_all` must be used."""
        ...

    def try_send(self, data: bytes) -> int:
        """Write the bytes that are taken without waiting; return their number."""
        ...

    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Write all of it."""
        ...


async def write_some(medium: Writable, data: memoryview) -> int:
    """Wait until the peer takes a part of the data; return the number of bytes, which may be 0.

    A deadline around it is a limit on how long a slow peer may take nothing.

    Raises:
        ConnectionEnded: the medium failed, or this side has closed it.
    """
    if await medium.wait_writable():
        return medium.try_send(bytes(data[:PORTION]))
    step = bytes(data[:STEP])
    await medium.send_all(step)
    return len(step)


class Duplex(abc.ABC):
    """One connection to one peer.

    One task receives and one task sends; `try_send` may be called by any task of that
    session, since it does not wait; `aclose` may be called by any task at any time, and
    wakes the others. Every failure of the medium is a `trimcp.ConnectionLost`; use after
    `aclose`, and sending after `send_eof`, is a `trimcp.ConnectionClosed`.
    """

    half_closes: bool = True
    """Whether a peer that sends no more may still read; if not, the end of input ends the connection."""
    close_code: int = 1000
    """The status code of `aclose`, for a medium that has one (RFC 6455, section 7.4)."""
    delimiter: bytes = b"\n"
    """The bytes that the session appends to each message."""

    @abc.abstractmethod
    async def receive(self) -> Sequence[Frame]:
        """Wait for frames; return at least one, or an empty sequence at end of input.

        All complete frames that one read brought come at once, in order. A last line
        without a newline before the end of input is a frame as well. A receive that is
        cancelled has taken nothing.

        Raises:
            ConnectionLost: the medium failed.
            ConnectionClosed: this side has closed it, before or meanwhile.
        """

    @abc.abstractmethod
    def try_send(self, data: bytes) -> int:
        """Write the bytes that the medium takes without waiting; return their number.

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
        """End the outgoing direction; receiving goes on. Does nothing on a medium that cannot say so."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close both directions. Idempotent. Never waits for the peer."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """The name of the connection, for logs and errors: `stdio`, `tcp 127.0.0.1:8000`, `memory`, …"""
