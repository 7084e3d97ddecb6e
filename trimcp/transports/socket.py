"""TCP and Unix sockets: the byte stream of both ends, and connecting. `listener` accepts connections.

Sockets have the framing of stdio, one message per line, as the stdio page of 2026-07-28 says. Nothing here encrypts or
authenticates: use TCP on loopback, or behind a proxy that does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

import trio

from trimcp.errors import ConnectionClosed, ConnectionLost
from trimcp.framing.lines import DEFAULT_LINE_LIMIT
from trimcp.transports.lines import READ_CHUNK, ByteStream, LineDuplex
from trimcp.transports.traffic import TRAFFIC

UNREAD_AT_CLOSE: Final = 1024 * 1024
"""Unread bytes that are dropped at close, so that the kernel does not answer them with a reset."""
PATIENCE: Final = 16
"""Reads that wait at once, after a read without waiting has found no bytes."""


async def connect_tcp(host: str, port: int, *, limit: int = DEFAULT_LINE_LIMIT) -> LineDuplex:
    """Connect to a server that listens on TCP.

    All addresses of the name are tried, as `trio.open_tcp_stream` does.

    Args:
        host: name or address.
        port: port number.
        limit: bytes that an incoming line may have.

    Raises:
        ConnectionLost: no server answers there.
    """
    description = f"tcp {host_and_port(host, port)}"
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as exc:
        raise ConnectionLost(f"cannot connect to {description}: {reason(exc)}") from exc
    return socket_duplex(detached(stream.socket), description, limit=limit)


async def connect_unix(path: str | os.PathLike[str], *, limit: int = DEFAULT_LINE_LIMIT) -> LineDuplex:
    """Connect to a server that listens on a Unix socket.

    Args:
        path: the socket's file.
        limit: bytes that an incoming line may have.

    Raises:
        ConnectionLost: no server answers there.
    """
    description = f"unix {os.fspath(path)}"
    try:
        stream = await trio.open_unix_socket(path)
    except (OSError, RuntimeError) as exc:  # RuntimeError: the platform has none
        raise ConnectionLost(f"cannot connect to {description}: {reason(exc)}") from exc
    return socket_duplex(detached(stream.socket), description, limit=limit)


def socket_duplex(sock: socket.socket, description: str, *, limit: int = DEFAULT_LINE_LIMIT) -> LineDuplex:
    """Make a `Duplex` of a connected stream socket.

    Args:
        sock: owned from here on, and put in non-blocking mode.
        description: the name of the connection in logs and errors.
        limit: bytes that an incoming line may have.
    """
    return LineDuplex(SocketStream(sock, description), limit=limit)


def detached(sock: trio.socket.SocketType) -> socket.socket:
    """Return the plain socket of a socket of Trio's, which is of no use afterwards. It does not block."""
    # A socket of Trio's sends and accepts only by waiting; a plain socket can also be tried once.
    plain = socket.socket(fileno=sock.detach())
    plain.setblocking(False)
    return plain


def host_and_port(host: str, port: int) -> str:
    """Return an address as text: `HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(exc: BaseException) -> str:
    """Return why something failed, in the words of the system if it has any."""
    if isinstance(exc.__cause__, ExceptionGroup):
        # All addresses of a name were tried.
        return ", ".join(sorted({reason(cause) for cause in exc.__cause__.exceptions}))
    if isinstance(exc, OSError) and not isinstance(exc, socket.gaierror) and exc.errno:
        return os.strerror(exc.errno)
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


class SocketStream(ByteStream):
    """The byte stream of a connected stream socket."""

    def __init__(self, sock: socket.socket, description: str) -> None:
        """
        Args:
            sock: owned from here on, and put in non-blocking mode.
            description: the name of the connection in logs and errors.
        """
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Messages are small and wait for answers; the Writer joins those that leave together.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._description = description
        self._sending = True
        self._closed = False
        self._patience = 1

    def _error(self, exc: OSError, doing: str) -> ConnectionClosed | ConnectionLost:
        if self._closed:
            return self._was_closed()
        return ConnectionLost(f"{doing} {self._description} failed: {reason(exc)}")

    def _was_closed(self) -> ConnectionClosed:
        return ConnectionClosed(f"this side has closed the connection to {self._description}")

    async def receive_some(self, max_bytes: int) -> bytes:
        """See `ByteStream`."""
        # Waiting first is one pass of the scheduler in every case; see `descriptors`. In a process so busy that
        # the next message arrives before the other tasks had their turn, trying first saves a quarter of the cost
        # of a small message. So that is done for as long as it succeeds.
        if self._patience:
            self._patience -= 1
        else:
            await trio.lowlevel.checkpoint()
            data = self.receive_nowait(max_bytes)
            if data is not None:
                return data
            self._patience = PATIENCE
        while True:
            if self._closed:
                await trio.lowlevel.checkpoint()
                raise self._was_closed()
            try:
                await trio.lowlevel.wait_readable(self._socket)
            except trio.ClosedResourceError:
                raise self._was_closed() from None
            data = self.receive_nowait(max_bytes)
            if data is not None:
                return data

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return the bytes that have arrived; None where there are none, also of a socket that is readable."""
        try:
            data = self._socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise self._error(exc, "receiving from") from exc
        TRAFFIC.received += len(data)
        return data

    def try_send(self, data: bytes | memoryview) -> int:
        """See `ByteStream`."""
        if not self._sending:
            raise self._was_closed()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._error(exc, "sending to") from exc
        TRAFFIC.sent += sent
        return sent

    async def send_all(self, data: bytes) -> None:
        """See `ByteStream`."""
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        rest = rest[self.try_send(rest) :]
        while rest:
            await self.wait_writable()
            rest = rest[self.try_send(rest) :]

    async def wait_writable(self) -> bool:
        """See `ByteStream`."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise self._was_closed()
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except trio.ClosedResourceError:
            raise self._was_closed() from None
        return True

    async def send_eof(self) -> None:
        """See `ByteStream`."""
        await trio.lowlevel.checkpoint()
        if not self._sending:
            return
        self._sending = False
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise self._error(exc, "ending the output to") from exc

    def is_quiet(self) -> bool:
        """Return whether the peer has neither sent anything nor ended the connection."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close both directions, as `aclose`; it needs no checkpoint."""
        if not self._closed:
            self._sending = False
            self._closed = True
            trio.lowlevel.notify_closing(self._socket)
            with contextlib.suppress(OSError):
                # A socket that is closed with unread bytes sends a reset, which overtakes answers
                # that the peer has not read yet.
                self._socket.shutdown(socket.SHUT_WR)
                unread = UNREAD_AT_CLOSE
                while unread > 0 and (data := self._socket.recv(READ_CHUNK)):
                    unread -= len(data)
            self._socket.close()

    async def aclose(self) -> None:
        """See `ByteStream`."""
        self.close()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `ByteStream`."""
        return self._description
