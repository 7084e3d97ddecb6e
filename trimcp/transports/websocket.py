"""WebSocket on both ends: a custom transport, with one message per text message.

Owns the opening handshake: TLS, the path, the subprotocol, who may come in. `websocket_duplex` is
what is opened; the rules that the ASGI door shares are in `websocket_messages`.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NoReturn
from urllib.parse import unquote, urlsplit

import trio
import trio_websocket

from trimcp.errors import ConnectionLost, ExchangeFailed, UsageError
from trimcp.framing.header_fields import HeaderFields
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex
from trimcp.transports.http.authorization import CHALLENGES, Authorization
from trimcp.transports.http.client_auth import AuthChallenge, AuthRequest
from trimcp.transports.http.door import PLAIN, Connection, HttpRequest, Refusal
from trimcp.transports.lines import READ_CHUNK, ByteStream
from trimcp.transports.listener import MAX_CONNECTIONS, Report, serve_tcp_streams
from trimcp.transports.socket import detached, host_and_port, reason, socket_stream
from trimcp.transports.websocket_duplex import WebSocketDuplex, Wire, attend
from trimcp.transports.websocket_messages import (
    CLOSING,
    GOING_AWAY,
    MESSAGE_BYTES,
    NO_COMMON_SUBPROTOCOL,
    SUBPROTOCOL,
    closing,
    select,
    speaks_mcp,
)

PING_INTERVAL: Final = 20.0
"""Seconds between pings."""
Handler = Callable[[Duplex, HttpRequest], Awaitable[None]]
"""Serves one connection, given the request that opened it. It is closed when the handler returns or raises."""
Admit = Callable[[HttpRequest], Awaitable[Refusal | None]]
"""Judges the request that opens a WebSocket before it is accepted, and may wait; None lets it in."""


# --- the server -----------------------------------------------------------------------


async def serve_websocket(
    handler: Handler,
    *,
    port: int,
    host: str = "127.0.0.1",
    path: str = "/mcp",
    refuse: Callable[[HttpRequest], Refusal | None] | None = None,
    admit: Admit | None = None,
    ssl_context: ssl.SSLContext | None = None,
    message_bytes: int = MESSAGE_BYTES,
    ping_interval: float = PING_INTERVAL,
    max_connections: int = MAX_CONNECTIONS,
    connections: trio.Nursery | None = None,
    report: Report | None = None,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Listen for WebSockets on TCP until cancelled. The status is the address that was bound, as (host, port).

    A client that offers no subprotocol is served; one that offers others than `mcp` is refused with 400.

    Args:
        handler: serves each connection, in a task of its own.
        port: port number; 0 lets the system choose.
        host: address to listen on; the default is reached from this machine alone.
        path: the one path there is; others are answered with 404.
        refuse: judges the upgrade by its head, as `Handler.refuse` does: Origin and Host are its business.
        admit: judges it after that, and may wait. It is cancelled when the client leaves.
        ssl_context: speaks TLS by it.
        message_bytes: bytes that an incoming message may have.
        ping_interval: seconds between pings.
        max_connections: connections at once; more wait unaccepted.
        connections: the nursery that the handlers run in, so that they may outlive the
            listener; None ends them with it.
        report: told of what goes wrong; None logs it.

    Raises:
        UsageError: the address cannot be listened on. Later failures are reported and retried.
    """

    async def serve(stream: ByteStream) -> None:
        wire = Wire(stream)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            accept = functools.partial(_accept, wire, ssl_context, message_bytes)
            upgrade = await nursery.start(functools.partial(attend, wire, accept))
            if isinstance(upgrade, Exception):
                log.debug(events.WEBSOCKET_REFUSED, peer=stream.description, reason=_why(upgrade))
                return
            request = _request(upgrade, stream, secure=ssl_context is not None)
            refusal = _judge(request, upgrade.proposed_subprotocols, path, refuse)
            if refusal is None and admit is not None:
                with trio.CancelScope() as judging:
                    wire.on_end = judging.cancel
                    refusal = await admit(request)
                wire.on_end = None
                if judging.cancelled_caught:
                    nursery.cancel_scope.cancel()
                    return
            if refusal is not None:
                log.debug(events.WEBSOCKET_REFUSED, peer=stream.description, status=refusal.status)
                with trio.move_on_after(CLOSING):
                    await upgrade.reject(refusal.status, extra_headers=list(refusal.fields), body=refusal.body)
                nursery.cancel_scope.cancel()
                return
            connection = await upgrade.accept(subprotocol=select(upgrade.proposed_subprotocols))
            description = f"websocket {request.connection.peer}"
            duplex = WebSocketDuplex(connection, wire, nursery, description, message_bytes=message_bytes)
            nursery.start_soon(duplex.keep_alive, ping_interval)
            try:
                async with closing(duplex):
                    await handler(duplex, request)
            except Exception as exc:  # noqa: BLE001
                failure = exc  # leaves below as itself, rather than in a group
            finally:
                request.connection.close()
        if failure is not None:
            raise failure

    await serve_tcp_streams(
        serve,
        port=port,
        host=host,
        max_connections=max_connections,
        connections=connections,
        report=report,
        task_status=task_status,
    )


async def _accept(
    wire: Wire, ssl_context: ssl.SSLContext | None, message_bytes: int, nursery: trio.Nursery
) -> trio_websocket.WebSocketRequest:
    stream: trio.abc.Stream = wire
    if ssl_context is not None:
        stream = trio.SSLStream(wire, ssl_context, server_side=True, https_compatible=True)
    return await trio_websocket.wrap_server_stream(
        nursery, stream, max_message_size=message_bytes, receive_buffer_size=READ_CHUNK
    )


def _request(upgrade: trio_websocket.WebSocketRequest, stream: ByteStream, *, secure: bool) -> HttpRequest:
    fields: dict[bytes, bytes] = {}
    for name, value in upgrade.headers:
        fields[name.lower()] = value if name.lower() not in fields else fields[name.lower()] + b", " + value
    # It gives all fields but this one, by which a page of another site is told from ours.
    fields[b"host"] = upgrade._event.host.encode("idna")
    target = urlsplit(upgrade.path)
    peer = stream.description.removeprefix("tcp ")
    return HttpRequest(
        "GET", unquote(target.path), target.query.encode("latin-1"), fields, Connection(peer), secure=secure
    )


def _judge(
    request: HttpRequest,
    subprotocols: Sequence[str],
    path: str,
    refuse: Callable[[HttpRequest], Refusal | None] | None,
) -> Refusal | None:
    if request.path != path:
        return Refusal(404, PLAIN, b"There is nothing here.\n")
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
    ping_interval: float = PING_INTERVAL,
) -> AsyncIterator[WebSocketDuplex]:
    """Connect to a server that speaks MCP over WebSocket; it is closed when the block ends.

    Args:
        url: `ws://…` or `wss://…`.
        headers: fields to send with the upgrade.
        ssl_context: for `wss`, instead of Trio's and Python's own.
        message_bytes: bytes that an incoming message may have.
        ping_interval: seconds between pings.

    Raises:
        UsageError: the URL is none of a WebSocket.
        ConnectionLost: nobody answers there, or not so; `ExchangeFailed` where the upgrade was refused by a status.
    """
    # The URL is not in it, since it may hold secrets.
    none = UsageError("that is no address of a WebSocket: write ws://HOST:PORT/PATH, or wss://…")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise none from None
    if parts.scheme not in ("ws", "wss") or not host:
        raise none
    secure = parts.scheme == "wss"
    port = port or (443 if secure else 80)
    description = f"websocket {parts.scheme}://{host_and_port(host, port)}{parts.path}"
    wire = Wire(await _connect(host, port, description))
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            context = ssl_context or ssl.create_default_context() if secure else None
            resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            extra = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
            upgrade = functools.partial(_upgrade, wire, context, host, port, resource, extra, message_bytes)
            opened = await nursery.start(functools.partial(attend, wire, upgrade))
            if isinstance(opened, Exception):
                failure = _unopened(f"cannot open {description}: {_why(opened)}", opened)
                failure.__cause__ = opened
            else:
                duplex = WebSocketDuplex(opened, wire, nursery, description, message_bytes=message_bytes)
                nursery.start_soon(duplex.keep_alive, ping_interval)
                try:
                    async with closing(duplex, failed=GOING_AWAY):
                        yield duplex
                except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
                    failure = exc  # leaves below as itself, rather than in a group
    finally:
        if failure is not None:  # not lost either where the scope around it is cancelled
            raise failure


@asynccontextmanager
async def open_authorized_websocket(
    url: str, authorization: Authorization, *, headers: Mapping[str, str], message_bytes: int
) -> AsyncIterator[WebSocketDuplex]:
    """The same, where a hook authorizes the upgrade: one that is answered with 401 or 403 may be made again.

    Raises:
        UsageError, ConnectionLost: as `open_websocket_duplex`; the latter also where the hook fails.
    """
    request = AuthRequest(method="GET", url=url)
    repeated: set[int] = set()
    async with AsyncExitStack() as stack:
        while True:
            sent, generation = await authorization.headers(request)
            own = {name.lower() for name in sent}
            fields = {**{name: value for name, value in headers.items() if name.lower() not in own}, **sent}
            opening = open_websocket_duplex(url, headers=fields, message_bytes=message_bytes)
            try:
                duplex = await stack.enter_async_context(opening)
                break
            except ExchangeFailed as exc:
                refusal = exc
            rejected = _rejection(refusal.__cause__)
            if rejected is None or rejected.status_code not in CHALLENGES or rejected.status_code in repeated:
                raise refusal
            repeated.add(rejected.status_code)
            challenge = AuthChallenge(
                status=rejected.status_code,
                www_authenticate=refusal.challenge,
                request=request,
                sent=sent,
                headers=HeaderFields({name.lower(): value for name, value in rejected.headers}),
            )
            if not await authorization.challenged(challenge, generation):
                raise refusal
        yield duplex


def _unopened(text: str, exc: BaseException) -> ConnectionLost:
    """Why a WebSocket was not opened: the server has refused it by a status, or something else."""
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
    return socket_stream(detached(stream.socket), description)


async def _upgrade(
    wire: Wire,
    context: ssl.SSLContext | None,
    host: str,
    port: int,
    resource: str,
    headers: list[tuple[bytes, bytes]],
    message_bytes: int,
    nursery: trio.Nursery,
) -> trio_websocket.WebSocketConnection:
    stream: trio.abc.Stream = wire
    if context is not None:
        stream = secured = trio.SSLStream(wire, context, server_hostname=host, https_compatible=True)
        # The library would take a certificate that is refused for a connection that is slow.
        await secured.do_handshake()
    return await trio_websocket.wrap_client_stream(
        nursery,
        stream,  # type: ignore[arg-type]  # it says a socket's, and uses no more than any stream's
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
        body = (exc.body or b"").decode("utf-8", "replace").strip()[:200]
        return f"the server refused with status {exc.status_code}{f': {body}' if body else ''}"
    cause = exc.__cause__
    return reason(cause) if isinstance(exc, trio.BrokenResourceError) and cause is not None else reason(exc)
