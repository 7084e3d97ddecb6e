"""Wires: connections to a server as bytes, plain or encrypted, and how they are made.

A wire does little, and does it without a scope or a task of its own. What passes over it is the
business of `remote_connection`.
"""

from __future__ import annotations

import abc
import functools
import select
import socket
import ssl
from typing import Any, Final

import trio

from trimcp.errors import ExchangeFailed
from trimcp.transports.http.remote import CONNECT_TIMEOUT, WRITE_TIMEOUT, Origin
from trimcp.transports.lines import READ_CHUNK
from trimcp.transports.socket import detached, reason

SMALL: Final = 16 * 1024
"""Bytes that are encrypted and sent before anything is listened for: what one record of TLS holds."""


class WireBroken(Exception):
    """Nothing passes any more. The text says why, as the end of a sentence."""


class Wire(abc.ABC):
    """A connection to a server."""

    __slots__ = ()

    @abc.abstractmethod
    async def send_first(self, data: bytes) -> int:
        """Send what leaves without a wait worth the name; return how many bytes that was. No checkpoint.

        Raises:
            WireBroken: the server is gone, or takes nothing for `WRITE_TIMEOUT`.
        """

    @abc.abstractmethod
    async def send_some(self, data: memoryview) -> int:
        """Wait until the server takes something; return how many bytes that was.

        Raises:
            WireBroken: the server is gone.
        """

    @abc.abstractmethod
    async def receive(self) -> bytes:
        """Wait for what comes; nothing at its end. Cancelling it takes nothing.

        Raises:
            WireBroken: the connection broke, or was closed here.
        """

    @abc.abstractmethod
    def receive_nowait(self) -> bytes | None:
        """What is there; None where nothing is, or where that cannot be told without waiting.

        Raises:
            WireBroken: the connection broke.
        """

    @abc.abstractmethod
    def is_quiet(self) -> bool:
        """Whether the server has neither said anything nor ended it, as it should be between requests."""

    @abc.abstractmethod
    def close(self) -> None:
        """End it, and wake whoever waits for it. Idempotent; waits for nobody."""


class SocketWire(Wire):
    """A plain TCP connection."""

    __slots__ = ("_is_closed", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: a connected one, which it then owns; it is put in non-blocking mode."""
        sock.setblocking(False)
        self._socket = sock
        self._is_closed = False

    def _broken(self, exc: OSError) -> WireBroken:
        return WireBroken(_CLOSED_HERE if self._is_closed else reason(exc))

    async def send_first(self, data: bytes) -> int:
        return self._send(data)

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._broken(exc) from exc

    async def send_some(self, data: memoryview) -> int:
        while True:
            if self._is_closed:
                await trio.lowlevel.checkpoint()
                raise WireBroken(_CLOSED_HERE)
            try:
                await trio.lowlevel.wait_writable(self._socket)
            except trio.ClosedResourceError:
                raise WireBroken(_CLOSED_HERE) from None
            sent = self._send(data)
            if sent:
                return sent

    async def receive(self) -> bytes:
        # What answers a request is hardly ever there yet, so waiting comes first.
        while True:
            if self._is_closed:
                await trio.lowlevel.checkpoint()
                raise WireBroken(_CLOSED_HERE)
            try:
                await trio.lowlevel.wait_readable(self._socket)
            except trio.ClosedResourceError:
                raise WireBroken(_CLOSED_HERE) from None
            data = self.receive_nowait()
            if data is not None:
                return data

    def receive_nowait(self) -> bytes | None:
        try:
            return self._socket.recv(READ_CHUNK)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise self._broken(exc) from exc

    def is_quiet(self) -> bool:
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class SecureWire(Wire):
    """A connection within TLS."""

    __slots__ = ("_socket", "_stream")

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """`stream`: one whose handshake is done, which it then owns."""
        self._stream = stream
        self._socket = stream.transport_stream.socket

    async def send_first(self, data: bytes) -> int:
        if len(data) > SMALL:
            return 0
        with trio.move_on_after(WRITE_TIMEOUT):
            return await self._send(data)
        raise WireBroken(TAKES_NOTHING)

    async def _send(self, data: bytes) -> int:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise WireBroken(_reason(exc)) from exc
        return len(data)

    async def send_some(self, data: memoryview) -> int:
        return await self._send(bytes(data[:SMALL]))

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(READ_CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise WireBroken(_reason(exc)) from exc

    def receive_nowait(self) -> bytes | None:
        return None

    def is_quiet(self) -> bool:
        if self._socket.fileno() < 0:
            return False
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLIN)
            return not poll.poll(0)
        return not select.select([self._socket.fileno()], [], [], 0)[0]

    def close(self) -> None:
        # Without a word of TLS's, which could make us wait; in HTTP the framing says what is whole.
        self._socket.close()


TAKES_NOTHING: Final = f"the server took nothing for {WRITE_TIMEOUT:.0f} s"
_CLOSED_HERE: Final = "this side has closed it"


async def connect(origin: Origin, shown: str) -> Wire:
    """Connect to a server, over all addresses of its name, as `trio.open_tcp_stream` does.

    Args:
        origin: the server.
        shown: what it is called in errors.

    Raises:
        ExchangeFailed: nobody answers there in time, or it is somebody else.
    """
    with trio.move_on_after(CONNECT_TIMEOUT):
        try:
            stream = await trio.open_tcp_stream(origin.host, origin.port)
        except (OSError, UnicodeError) as exc:
            raise ExchangeFailed(f"cannot connect to {shown}: {reason(exc)}") from exc
        if not origin.is_secure:
            return SocketWire(detached(stream.socket))
        return await _secured(stream, origin.host, shown)
    raise ExchangeFailed(f"cannot connect to {shown}: nobody answered within {CONNECT_TIMEOUT:.0f} s")


async def _secured(stream: trio.SocketStream, host: str, shown: str) -> SecureWire:
    secure = trio.SSLStream(stream, tls_context(), server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException as exc:
        stream.socket.close()
        if isinstance(exc, trio.BrokenResourceError):
            raise ExchangeFailed(f"cannot connect to {shown}: {_reason(exc)}") from exc
        raise
    return SecureWire(secure)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """What certificates are judged by: the system's authorities, or those of `SSL_CERT_FILE`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _reason(exc: BaseException) -> str:
    """Why a connection within TLS broke, in words."""
    cause = exc.__cause__
    if isinstance(exc, trio.ClosedResourceError):
        return _CLOSED_HERE
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLEOFError):
        return "the server ended the connection in the middle of TLS"
    if isinstance(cause, ssl.SSLError):
        said: Any = cause.reason or "no reason given"
        return f"it breaks TLS, or does not speak it ({said.replace('_', ' ').lower()})"
    return reason(cause or exc)
