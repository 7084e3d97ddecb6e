"""Connects to a server: a byte stream of plain TCP, or of TLS above it."""

from __future__ import annotations

import functools
import select
import ssl
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import trio

from trimcp.errors import ConnectionClosed, ConnectionEnded, ConnectionLost, ExchangeFailed
from trimcp.http.urls import Origin
from trimcp.transports.lines import ByteStream
from trimcp.transports.socket import SocketStream, detached, host_and_port, reason
from trimcp.transports.traffic import TRAFFIC

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that connecting may take, TLS included."""
WRITE_TIMEOUT: Final = 30.0
"""Seconds for which a server may take no byte of a request."""
MAX_IDLE_CONNECTIONS: Final = 32
"""Connections without a request that a client keeps."""


class ClientStream(Protocol):
    """A byte stream to a server, as a connection of the client uses it. See `ByteStream`."""

    async def receive_some(self, max_bytes: int) -> bytes:
        """Wait for bytes; none at the end of input."""
        ...

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return the bytes that have arrived; None where there are none, or where only waiting would tell."""
        ...

    def try_send(self, data: bytes) -> int:
        """Write the bytes that leave without waiting; return their number."""
        ...

    def send_all(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Write all of it."""
        ...

    def wait_writable(self) -> Coroutine[Any, Any, bool]:
        """Wait until `try_send` may take something; return False where `send_all` must be used."""
        ...

    def is_quiet(self) -> bool:
        """Return whether the server has neither sent anything nor ended the connection."""
        ...

    def close(self) -> None:
        """Close it and wake the tasks that wait for it. Idempotent; never waits."""
        ...


class TlsStream(ByteStream):
    """A byte stream within TLS. See `ClientStream`."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], description: str) -> None:
        """`stream`: owned from here on; its handshake is done."""
        self._stream = stream
        self._socket = stream.transport_stream.socket
        self._description = description

    async def receive_some(self, max_bytes: int) -> bytes:
        """See `ByteStream`."""
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise _ended(exc) from exc
        TRAFFIC.received += len(data)
        return data

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """See `ClientStream`. Bytes that have arrived are still encrypted."""
        return None

    def try_send(self, data: bytes) -> int:
        """See `ByteStream`. TLS sends only by waiting."""
        return 0

    async def send_all(self, data: bytes) -> None:
        """See `ByteStream`."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise _ended(exc) from exc
        TRAFFIC.sent += len(data)

    async def send_eof(self) -> None:
        """See `ByteStream`. TLS has no such half close."""
        await trio.lowlevel.checkpoint()

    def is_quiet(self) -> bool:
        """See `ClientStream`."""
        if self._socket.fileno() < 0:
            return False
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLIN)
            return not poll.poll(0)
        return not select.select([self._socket.fileno()], [], [], 0)[0]

    def close(self) -> None:
        """See `ClientStream`. TLS's own goodbye is left out, since it might wait; HTTP frames its messages itself."""
        self._socket.close()

    async def aclose(self) -> None:
        """See `ByteStream`."""
        self.close()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `ByteStream`."""
        return self._description


async def connect(origin: Origin, shown: str) -> ClientStream:
    """Connect to a server, by any address of its name, as `trio.open_tcp_stream` does.

    Args:
        origin: the server.
        shown: the URL that errors show.

    Raises:
        ExchangeFailed: the server cannot be reached in time, or its certificate is not accepted.
    """
    description = f"tcp {host_and_port(origin.host, origin.port)}"
    with trio.move_on_after(CONNECT_TIMEOUT):
        try:
            stream = await trio.open_tcp_stream(origin.host, origin.port)
        except (OSError, UnicodeError) as exc:
            raise ExchangeFailed(f"cannot connect to {shown}: {reason(exc)}") from exc
        if not origin.is_secure:
            return SocketStream(detached(stream.socket), description)
        return TlsStream(await _secured(stream, origin.host, shown), description)
    raise ExchangeFailed(f"cannot connect to {shown}: no answer within {CONNECT_TIMEOUT:.0f} s")


async def _secured(stream: trio.SocketStream, host: str, shown: str) -> trio.SSLStream[trio.SocketStream]:
    secure = trio.SSLStream(stream, tls_context(), server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException as exc:
        stream.socket.close()
        if isinstance(exc, trio.BrokenResourceError):
            raise ExchangeFailed(f"cannot connect to {shown}: {_tls_reason(exc)}") from exc
        raise
    return secure


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the settings of TLS: it trusts the authorities of the system, or those of `SSL_CERT_FILE`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def end_reason(end: ConnectionEnded) -> str:
    """Return why a connection to a server ended, as the end of a sentence."""
    if isinstance(end, ConnectionClosed):
        return "this side has closed it"
    return reason(end.__cause__) if isinstance(end.__cause__, OSError) else str(end)


def _ended(exc: trio.BrokenResourceError | trio.ClosedResourceError) -> ConnectionEnded:
    if isinstance(exc, trio.ClosedResourceError):
        return ConnectionClosed("this side has closed the connection")
    return ConnectionLost(_tls_reason(exc))


def _tls_reason(exc: trio.BrokenResourceError) -> str:
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLEOFError):
        return "the server ended the connection in the middle of TLS"
    if isinstance(cause, ssl.SSLError):
        name: Any = cause.reason or "no reason given"
        return f"it breaks TLS, or does not speak it ({name.replace('_', ' ').lower()})"
    return reason(cause or exc)
