"""WebSocket servers and clients: the opening handshake with its TLS, path, subprotocol and authorization."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, NoReturn
from urllib.parse import unquote, urlsplit

import trio
import trio_websocket

from trimcp.actors.containment import unwrapped
from trimcp.errors import ConnectionLost, ExchangeFailed, UsageError
from trimcp.framing.headers import HeaderFields
from trimcp.http.binding import PLAIN, HttpRequest, PeerConnection, Refusal
from trimcp.http.client.authorization import Authorization, AuthorizedRequest
from trimcp.http.websocket.duplex import (
    CLOSING,
    EARLY_DATA,
    GOING_AWAY,
    MESSAGE_BYTES,
    NO_COMMON_SUBPROTOCOL,
    SUBPROTOCOL,
    closing,
    select,
    speaks_mcp,
)
from trimcp.http.websocket.trio_duplex import TrioWebSocketDuplex, WatchedStream, run_connection
from trimcp.observability import events, log
from trimcp.observability.cleaning import escaped
from trimcp.transports.duplex import Duplex
from trimcp.transports.endpoints import endpoint_at
from trimcp.transports.lines import READ_CHUNK, ByteStream
from trimcp.transports.listener import MAX_CONNECTIONS, serve_streams
from trimcp.transports.socket import SocketStream, detached, host_and_port, reason

PING_INTERVAL: Final = 20.0
"""Seconds between pings."""
Handler = Callable[[Duplex, HttpRequest], Awaitable[None]]
"""A function that serves one connection, opened by a request. The connection is closed when it returns or raises."""
Admit = Callable[[HttpRequest], Awaitable[Refusal | None]]
"""A function that judges the request that opens a WebSocket, and may wait; None lets it in."""

SERVER_READ: Final = 8 * 2**10
"""Bytes that a server reads at once. The library handles all frames in them before another task runs, at 20 to 40 µs
each, and the smallest has six bytes."""


# --- the server -----------------------------------------------------------------------


async def serve_websocket(
    handler: Handler,
    *,
    port: int,
    host: str = "127.0.0.1",
    path: str = "/mcp",
    sockets: Sequence[socket.socket] | None = None,
    refuse: Callable[[HttpRequest], Refusal | None] | None = None,
    admit: Admit | None = None,
    ssl_context: ssl.SSLContext | None = None,
    message_bytes: int = MESSAGE_BYTES,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen for WebSockets on TCP until cancelled. The status is the bound address, as (host, port).

    A client that offers no subprotocol is served; one that offers others than `mcp` is refused with 400.

    Args:
        handler: serves each connection, in a task of its own.
        port: port number; 0 lets the system choose.
        host: address to listen on; the default is reachable from this machine alone.
        path: the path of the WebSocket; others are answered with 404.
        sockets: listen on these bound sockets instead; the function owns and closes them.
        refuse: judges Host and Origin in the head of the upgrade.
        admit: judges the upgrade after that, and may wait. It is cancelled when the client leaves.
        ssl_context: for TLS.
        message_bytes: bytes that an incoming message may have.
        max_connections: connections at once; more wait unaccepted.
        connections: the nursery that the handlers run in, so that they may outlive the
            listener; None ends them with it. A connection that is not open yet ends with it in any case.

    Raises:
        UsageError: listening on the address fails. Later failures are logged, and listening is tried again.
    """

    openings: set[trio.CancelScope] = set()

    async def serve(stream: ByteStream) -> None:
        with trio.CancelScope() as opening:
            openings.add(opening)
            try:
                await serve_one(stream, opening)
            finally:
                openings.discard(opening)

    async def serve_one(stream: ByteStream, opening: trio.CancelScope) -> None:
        watched = WatchedStream(stream)
        with unwrapped() as block:
            async with trio.open_nursery() as nursery:
                accept = functools.partial(_accept, watched, ssl_context, message_bytes)
                upgrade = await nursery.start(functools.partial(run_connection, watched, accept))
                if isinstance(upgrade, Exception):
                    log.debug(events.WEBSOCKET_REFUSED, peer=stream.description, reason=_why(upgrade))
                    return
                watched.upgrade = upgrade
                request = _request(upgrade, stream, secure=ssl_context is not None)
                refusal = _judge(request, upgrade.proposed_subprotocols, path, refuse)
                if refusal is None and admit is not None:
                    with trio.CancelScope() as judging:
                        watched.on_end = judging.cancel
                        refusal = await admit(request)
                    watched.on_end = None
                    if judging.cancelled_caught:
                        nursery.cancel_scope.cancel()
                        return
                if refusal is None and watched.has_early_data:
                    refusal = EARLY_DATA
                connection: trio_websocket.WebSocketConnection | None = None
                with suppress(trio_websocket.ConnectionClosed):  # the client has gone, or has broken the protocol
                    if refusal is None:
                        connection = await upgrade.accept(subprotocol=select(upgrade.proposed_subprotocols))
                    else:
                        log.debug(events.WEBSOCKET_REFUSED, peer=stream.description, status=refusal.status)
                        with trio.move_on_after(CLOSING):
                            await upgrade.reject(refusal.status, extra_headers=list(refusal.fields), body=refusal.body)
                if connection is None:
                    nursery.cancel_scope.cancel()
                    return
                watched.upgrade = None
                openings.discard(opening)
                watched.limit_pieces(connection, message_bytes)
                description = f"websocket {request.connection.peer}"
                duplex = TrioWebSocketDuplex(connection, watched, nursery, description, message_bytes=message_bytes)
                nursery.start_soon(duplex.keep_alive, PING_INTERVAL)
                try:
                    with block:
                        async with closing(duplex):
                            await handler(duplex, request)
                finally:
                    request.connection.close()

    try:
        await serve_streams(
            serve,
            endpoint_at(host, port, uds=None, sockets=sockets),
            max_connections=max_connections,
            connections=connections,
            task_status=task_status,
        )
    finally:
        for opening in openings:  # a client that does not finish its upgrade would hold up the end of the server
            opening.cancel()


async def _accept(
    watched: WatchedStream, ssl_context: ssl.SSLContext | None, message_bytes: int, nursery: trio.Nursery
) -> trio_websocket.WebSocketRequest:
    stream: trio.abc.Stream = watched
    if ssl_context is not None:
        stream = trio.SSLStream(watched, ssl_context, server_side=True, https_compatible=True)
    return await trio_websocket.wrap_server_stream(
        nursery, stream, max_message_size=message_bytes, receive_buffer_size=SERVER_READ
    )


def _request(upgrade: trio_websocket.WebSocketRequest, stream: ByteStream, *, secure: bool) -> HttpRequest:
    fields: dict[bytes, bytes] = {}
    for name, value in upgrade.headers:
        fields[name.lower()] = value if name.lower() not in fields else fields[name.lower()] + b", " + value
    # The library gives all fields but Host, which is needed to recognise pages of other sites.
    fields[b"host"] = upgrade._event.host.encode("idna")
    target = urlsplit(upgrade.path)
    peer = stream.description.removeprefix("tcp ")
    return HttpRequest(
        "GET", unquote(target.path), target.query.encode("latin-1"), fields, PeerConnection(peer), secure=secure
    )


def _judge(
    request: HttpRequest,
    subprotocols: Sequence[str],
    path: str,
    refuse: Callable[[HttpRequest], Refusal | None] | None,
) -> Refusal | None:
    if request.path != path:
        return Refusal(404, PLAIN, b"Not found: no route has this path.\n")
    refusal = refuse(request) if refuse is not None else None
    if refusal is None and not speaks_mcp(subprotocols):
        refusal = NO_COMMON_SUBPROTOCOL
    return refusal


# --- the client -----------------------------------------------------------------------


@asynccontextmanager
async def open_websocket_duplex(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    message_bytes: int = MESSAGE_BYTES,
) -> AsyncIterator[TrioWebSocketDuplex]:
    """Connect to a server that speaks MCP over WebSocket; close the connection when the block ends.

    Args:
        url: `ws://…` or `wss://…`.
        headers: further header fields of the upgrade.
        ssl_context: for `wss`, in place of Python's default.
        message_bytes: bytes that an incoming message may have.

    Raises:
        UsageError: the URL is not that of a WebSocket.
        ConnectionLost: no WebSocket was opened; `ExchangeFailed` if the upgrade was refused with a status.
    """
    # The URL is not in it, since it may hold secrets.
    invalid = UsageError("Invalid WebSocket URL: write ws://HOST:PORT/PATH, or wss://…")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise invalid from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise invalid
    secure = parts.scheme == "wss"
    port = port or (443 if secure else 80)
    description = f"websocket {parts.scheme}://{host_and_port(host, port)}{parts.path}"
    watched = WatchedStream(await _connect(host, port, description))
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            context = ssl_context or ssl.create_default_context() if secure else None
            resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            extra = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
            upgrade = functools.partial(_upgrade, watched, context, host, port, resource, extra, message_bytes)
            opened = await nursery.start(functools.partial(run_connection, watched, upgrade))
            with block:
                if isinstance(opened, Exception):
                    raise _unopened(f"cannot open {description}: {_why(opened)}", opened) from opened
                watched.limit_pieces(opened, message_bytes)
                duplex = TrioWebSocketDuplex(opened, watched, nursery, description, message_bytes=message_bytes)
                nursery.start_soon(duplex.keep_alive, PING_INTERVAL)
                async with closing(duplex, failed=GOING_AWAY):
                    yield duplex


@asynccontextmanager
async def open_authorized_websocket(
    url: str, authorization: Authorization, *, headers: Mapping[str, str], message_bytes: int
) -> AsyncIterator[TrioWebSocketDuplex]:
    """Connect as `open_websocket_duplex` does, with an upgrade that a hook authorizes, also again after 401 or 403.

    Raises:
        UsageError, ConnectionLost: as `open_websocket_duplex`; `ConnectionLost` also if the hook fails.
    """
    request = AuthorizedRequest(authorization, "GET", url)
    async with AsyncExitStack() as stack:
        while True:
            fields = await request.headers(url, headers)
            opening = open_websocket_duplex(url, headers=fields, message_bytes=message_bytes)
            try:
                duplex = await stack.enter_async_context(opening)
                break
            except ExchangeFailed as exc:
                refusal = exc
            rejected = _rejection(refusal.__cause__)
            if rejected is None or not request.is_challenge(rejected.status_code, refusal.challenge):
                raise refusal
            answered = HeaderFields({name.lower(): value for name, value in rejected.headers})
            if not await request.challenged(rejected.status_code, refusal.challenge, answered):
                raise refusal
        yield duplex


def _unopened(text: str, exc: BaseException) -> ConnectionLost:
    """Return why a WebSocket was not opened: an `ExchangeFailed` if the server has answered with a status."""
    rejected = _rejection(exc)
    if rejected is None:
        return ConnectionLost(text)
    said = [value.decode("latin-1") for name, value in rejected.headers if name.lower() == b"www-authenticate"]
    return ExchangeFailed(text, rejected.status_code, challenge=", ".join(said) or None)


def _rejection(exc: BaseException | None) -> trio_websocket.ConnectionRejected | None:
    if isinstance(exc, BaseExceptionGroup):
        return next(filter(None, map(_rejection, exc.exceptions)), None)
    return exc if isinstance(exc, trio_websocket.ConnectionRejected) else None


async def _connect(host: str, port: int, description: str) -> ByteStream:
    try:
        stream = await trio.open_tcp_stream(host, port)
    except OSError as exc:
        raise ConnectionLost(f"cannot connect to {description}: {reason(exc)}") from exc
    return SocketStream(detached(stream.socket), description)


async def _upgrade(
    watched: WatchedStream,
    context: ssl.SSLContext | None,
    host: str,
    port: int,
    resource: str,
    headers: list[tuple[bytes, bytes]],
    message_bytes: int,
    nursery: trio.Nursery,
) -> trio_websocket.WebSocketConnection:
    stream: trio.abc.Stream = watched
    if context is not None:
        stream = secured = trio.SSLStream(watched, context, server_hostname=host, https_compatible=True)
        # The library would report a refused certificate as a timeout.
        await secured.do_handshake()
    return await trio_websocket.wrap_client_stream(
        nursery,
        stream,  # type: ignore[arg-type]  # declared as a SocketStream, and used as any stream
        host_and_port(host, port) if port not in (80, 443) else host_and_port(host, port).rpartition(":")[0],
        resource,
        subprotocols=[SUBPROTOCOL],
        extra_headers=headers,
        max_message_size=message_bytes,
        receive_buffer_size=READ_CHUNK,
    )


def _why(exc: BaseException) -> str:
    if isinstance(exc, BaseExceptionGroup):
        return ", ".join(sorted({_why(each) for each in exc.exceptions}))
    if isinstance(exc, trio_websocket.ConnectionRejected):
        body = escaped((exc.body or b"").decode("utf-8", "replace").strip(), 200)
        return f"the server refused with status {exc.status_code}{f': {body}' if body else ''}"
    cause = exc.__cause__
    return reason(cause) if isinstance(exc, trio.BrokenResourceError) and cause is not None else reason(exc)
