"""TCP and Unix sockets as a `Duplex`: the connecting side, and the stream both sides use.

Owns how bytes pass a stream socket; accepting connections is `listener`'s. The stdio page of
2026-07-28 keeps its framing for sockets, one message per line. Nothing here encrypts or
authenticates: TCP is for loopback or behind something that does.
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

UNREAD_AT_CLOSE: Final = 1024 * 1024
"""Bytes thrown away at close so that the kernel does not answer them with a reset."""
PATIENCE: Final = 16
"""Reads that wait at once, after one that was tried in vain."""


async def connect_tcp(host: str, port: int, *, limit: int = DEFAULT_LINE_LIMIT) -> LineDuplex:
    """Connect to a server that listens on TCP.

    All addresses of the name are tried, as `trio.open_tcp_stream` does.

    Args:
        host: name or address.
        port: port number.
        limit: bytes that an incoming line may have.

    Raises:
        ConnectionLost: nobody answers there.
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
        ConnectionLost: nobody answers there.
    """
    description = f"unix {os.fspath(path)}"
    try:
        stream = await trio.open_unix_socket(path)
    except (OSError, RuntimeError) as exc:  # RuntimeError: the platform has none
        raise ConnectionLost(f"cannot connect to {description}: {reason(exc)}") from exc
    return socket_duplex(detached(stream.socket), description, limit=limit)


def socket_duplex(sock: socket.socket, description: str, *, limit: int = DEFAULT_LINE_LIMIT) -> LineDuplex:
    """Make a `Duplex` of a connected stream socket, which it then owns.

    Args:
        sock: the socket; it is put in non-blocking mode.
        description: what it calls itself in logs and errors.
        limit: bytes that an incoming line may have.
    """
    return LineDuplex(socket_stream(sock, description), limit=limit)


def socket_stream(sock: socket.socket, description: str) -> ByteStream:
    """Make a byte stream of a connected stream socket, which it then owns, for another framing than lines.

    Args:
        sock: the socket; it is put in non-blocking mode.
        description: what it calls itself in logs and errors.
    """
    return _SocketStream(sock, description)


def detached(sock: trio.socket.SocketType) -> socket.socket:
    """Take the plain socket out of Trio's."""
    # Trio's socket can send only by waiting; the plain one behind it can also be asked once.
    return socket.socket(fileno=sock.detach())


def host_and_port(host: str, port: int) -> str:
    """Write an address as people do, also an IPv6 one."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(exc: BaseException) -> str:
    """Say why, in the system's words where there are such."""
    if isinstance(exc.__cause__, ExceptionGroup):
        # All addresses of a name were tried.
        return ", ".join(sorted({reason(cause) for cause in exc.__cause__.exceptions}))
    if isinstance(exc, OSError) and not isinstance(exc, socket.gaierror) and exc.errno:
        return os.strerror(exc.errno)
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


class _SocketStream(ByteStream):
    def __init__(self, sock: socket.socket, description: str) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Messages are small and wait for answers: joining them is the Writer's business.
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

    def _check_sending(self) -> None:
        if not self._sending:
            raise self._was_closed()

    async def receive_some(self, max_bytes: int) -> bytes:
        # Waiting first is one pass of the scheduler in every case; see `descriptors`. Where a process
        # is so busy that the peer's next message is there before the others have had their turn,
        # trying first saves a quarter of what a small message costs. So it is tried while that is so.
        if self._patience:
            self._patience -= 1
        else:
            await trio.lowlevel.checkpoint()
            data = self._received(max_bytes)
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
            data = self._received(max_bytes)
            if data is not None:
                return data

    def _received(self, max_bytes: int) -> bytes | None:
        """What is there; None where nothing is, which a kernel may say of a readable socket too."""
        try:
            return self._socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise self._error(exc, "receiving from") from exc

    def try_send(self, data: bytes | memoryview) -> int:
        self._check_sending()
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._error(exc, "sending to") from exc

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        rest = rest[self.try_send(rest) :]
        while rest:
            await self.wait_writable()
            rest = rest[self.try_send(rest) :]

    async def wait_writable(self) -> bool:
        try:
            await trio.lowlevel.wait_writable(self._socket)
        except trio.ClosedResourceError:
            raise self._was_closed() from None
        return True

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self._sending:
            return
        self._sending = False
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise self._error(exc, "ending the output to") from exc

    async def aclose(self) -> None:
        if not self._closed:
            self._sending = False
            self._closed = True
            trio.lowlevel.notify_closing(self._socket)
            with contextlib.suppress(OSError):
                # A socket closed over unread bytes sends a reset, and a reset overtakes
                # answers that the peer has not read yet.
                self._socket.shutdown(socket.SHUT_WR)
                unread = UNREAD_AT_CLOSE
                while unread > 0 and (data := self._socket.recv(READ_CHUNK)):
                    unread -= len(data)
            self._socket.close()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return self._description
