"""The ASGI binding: an application that any ASGI server on Trio can run, alone or mounted in another application.

It reads requests, sends responses, notices that peers have gone or read nothing, and serves the lifespan. A `Handler`
decides how requests are answered. A request that is answered soon costs no task and no cancel scope beyond the one that
its body is read in: a task watches the peer only after the handler has really waited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import trio

from trimcp.errors import ConnectionEnded, UsageError
from trimcp.http.asgi.requests import Connections, declared_length, has_body, peer_of, request_of
from trimcp.http.asgi.response import AsgiResponse, Message, Receive, Send
from trimcp.http.asgi.websocket import LEFT, AsgiWebSocketDuplex, accept, admitted, deny
from trimcp.http.binding import PLAIN, Handler, HttpRequest, PeerConnection, Refusal
from trimcp.http.websocket.duplex import MESSAGE_BYTES, closing
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex

NOT_UNDER_TRIO: Final = (
    "this application runs on Trio, and the server that runs it does not: "
    "serve it with hypercorn's trio worker (`hypercorn --worker-class trio …`, or hypercorn.trio.serve)"
)

WRITE_TIMEOUT: Final = 30.0
"""Seconds that the peer may take nothing of a response."""
BODY_TIMEOUT: Final = 30.0
"""Seconds that may pass between two pieces of a request's body."""
BODY_TIME: Final = 300.0
"""Seconds that a body may take in all."""
LAST_EVENT: Final = 0.5
"""Seconds that the last event of a response may take after the server has told that the peer has left."""
PASSES: Final = 3
"""Passes of the scheduler that a response may take before a task watches whether the peer has left."""
SHORT: Final = 65536
"""Bytes of a response that are sent without such a task: they fit the buffers beneath."""
DISCARDED: Final = 16 * 1024 * 1024
DISCARD_TIMEOUT: Final = 1.0
"""Bounds for reading the body of a refused request. Unread bytes would turn the close into a reset, which may overtake
the refusal."""

_TOO_LONG: Final = Refusal(413, PLAIN, b"The body of the request is too long.\n")
_TOO_SLOW: Final = Refusal(408, PLAIN, b"The body of the request did not arrive in time.\n")
_NOT_RUNNING: Final = Refusal(500, PLAIN, b"The server behind this address is not running; its log says why.\n")


class AsgiBinding:
    """An ASGI 3 application for HTTP, WebSocket and lifespan.

    Args:
        handler: returns the endpoint, at each request. If it raises `UsageError` (the server does not run, since the
            lifespan was not forwarded to this application), the request is answered with 500, and the text is
            logged once.
        websocket: serves a WebSocket that was let in, until it returns; without it WebSockets are refused.
        admit: judges the request that opens a WebSocket, and may wait; None lets it in. It is cancelled
            when the client leaves.
        lifespan: entered at the server's startup, left at its shutdown.
        message_bytes: bytes that one message of a WebSocket may have.
        write_timeout: seconds that the peer may take nothing of a response.
    """

    def __init__(
        self,
        handler: Callable[[], Handler],
        *,
        websocket: Callable[[Duplex, HttpRequest], Awaitable[None]] | None = None,
        admit: Callable[[HttpRequest], Awaitable[Refusal | None]] | None = None,
        lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None,
        message_bytes: int = MESSAGE_BYTES,
        write_timeout: float = WRITE_TIMEOUT,
    ) -> None:
        self._handler = handler
        self._websocket = websocket
        self._admit = admit
        self._lifespan = lifespan
        self._message_bytes = message_bytes
        self._write_timeout = write_timeout
        self._connections = Connections()
        self._has_complained = False
        self._in_progress: set[object] = set()
        self._one_ended: trio.Event | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one scope, as ASGI 3 defines it.

        Raises:
            UsageError: it does not run under Trio, or the type of the scope is not served.
        """
        kind = scope["type"]
        if kind == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        if not _under_trio():
            raise UsageError(NOT_UNDER_TRIO)
        if kind == "http":
            await self._serve_http(scope, receive, send)
        elif kind == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            raise UsageError(f"Invalid ASGI scope of type {kind!r}: send http, websocket or lifespan")

    def _running_handler(self) -> Handler | None:
        try:
            return self._handler()
        except UsageError as exc:
            if not self._has_complained:
                self._has_complained = True
                log.error(events.APPLICATION_NOT_RUNNING, reason=str(exc))
            return None

    # --- lifespan ---------------------------------------------------------------------

    def lifespan(self, app: object = None) -> AbstractAsyncContextManager[None]:
        """Return the lifespan as a context manager, for an application that this one is mounted in.

            Starlette(routes=[Mount("/tools", tools)], lifespan=tools.lifespan)

        Args:
            app: the application that it is entered for; not used.

        Raises:
            UsageError: the program does not run under Trio.
        """
        if not _under_trio():
            raise UsageError(NOT_UNDER_TRIO)
        return nullcontext() if self._lifespan is None else self._lifespan()

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if not _under_trio():
            await send({"type": "lifespan.startup.failed", "message": NOT_UNDER_TRIO})
            return
        stage = "startup"
        try:
            if self._lifespan is None:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            else:
                async with self._lifespan():
                    stage = "shutdown"
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
        except Exception as exc:  # noqa: BLE001
            # The server decides whether it ends.
            log.error(events.LIFESPAN_FAILED, exc_info=exc, stage=stage)
            await send({"type": f"lifespan.{stage}.failed", "message": text_of(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    # --- HTTP -------------------------------------------------------------------------

    async def _serve_http(self, scope: Message, receive: Receive, send: Send) -> None:
        handler = self._running_handler()
        key, connection = self._connections.enter(scope)
        entry = object()
        self._in_progress.add(entry)
        try:
            request = request_of(scope, connection)
            if handler is None:
                await _refuse(_NOT_RUNNING, receive, send, unread=has_body(request))
            else:
                await self._serve_request(handler, request, receive, send)
        finally:
            self._connections.leave(key, connection)
            self._in_progress.discard(entry)
            if self._one_ended is not None:
                self._one_ended.set()
                self._one_ended = None

    async def finished(self) -> None:
        """Wait until the HTTP requests that are in progress now have ended and their responses have left.

        It does not wait for requests that come meanwhile, since under load that might never end.
        """
        awaited = set(self._in_progress)
        while not awaited.isdisjoint(self._in_progress):
            if self._one_ended is None:
                self._one_ended = trio.Event()
            await self._one_ended.wait()

    async def _serve_request(self, handler: Handler, request: HttpRequest, receive: Receive, send: Send) -> None:
        refusal = handler.refuse(request)
        if refusal is None and declared_length(request) > handler.body_limit:
            refusal = _TOO_LONG
        if refusal is not None:
            await _refuse(refusal, receive, send, unread=has_body(request), is_head=request.method == "HEAD")
            return
        if has_body(request) and not await _read_body(request, receive, send, handler.body_limit):
            return
        response = AsgiResponse(is_head=request.method == "HEAD")
        try:
            await handler.handle(request, response)
            passes = 0
            while not response.has_ended and passes < PASSES:
                # Most requests are answered in the turn of another task, and soon.
                passes += 1
                await trio.lowlevel.checkpoint()
            if response.has_ended and response.waiting_bytes <= SHORT:
                await response.leave(send)
            else:
                await self._send_watched(response, receive, send)
        finally:
            if not response.has_left:
                response.gone()

    async def _send_watched(self, response: AsgiResponse, receive: Receive, send: Send) -> None:
        """Send a slow response, and watch meanwhile whether the peer is there and reads."""
        patience = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            response.cut = nursery.cancel_scope.cancel
            nursery.start_soon(self._watch, response, receive, patience)
            await response.leave(send, patience, self._write_timeout)
            response.cut = None
            nursery.cancel_scope.cancel()

    async def _watch(self, response: AsgiResponse, receive: Receive, patience: trio.CancelScope) -> None:
        # The deadline is here and not around `send`, since some servers shield their `send` from being cancelled.
        with patience:
            while (await receive())["type"] != "http.disconnect":
                pass
            if response.is_last_leaving:
                # A server may send `http.disconnect` when the response is complete, before `send` has returned. With
                # HTTP/2 the last `send` of hypercorn never returns if the peer has left.
                await trio.sleep(LAST_EVENT)
        if patience.cancelled_caught:
            log.warning(events.WRITER_BLOCKED, seconds=self._write_timeout)
        response.gone()

    # --- WebSocket --------------------------------------------------------------------

    async def _serve_websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        handler = self._running_handler()
        connection = PeerConnection(peer_of(scope))
        request = request_of(scope, connection, method="GET")
        await receive()  # `websocket.connect`
        try:
            if handler is None:
                refusal: Refusal | None = _NOT_RUNNING
            elif self._websocket is None:
                refusal = Refusal(404, PLAIN, b"Not found: this path takes no WebSocket.\n")
            else:
                refusal = handler.refuse(request)
            if refusal is None and self._admit is not None:
                admission = await admitted(self._admit, request, receive)
                if admission is LEFT:
                    return
                refusal = admission
            if refusal is not None:
                await deny(refusal, scope, send)
                return
            if await accept(scope, send):
                description = f"websocket {connection.peer}"
                duplex = AsgiWebSocketDuplex(receive, send, description, message_bytes=self._message_bytes)
                await self._serve_duplex(duplex, request)
        finally:
            connection.close()

    async def _serve_duplex(self, duplex: AsgiWebSocketDuplex, request: HttpRequest) -> None:
        assert self._websocket is not None
        try:
            async with closing(duplex):
                await self._websocket(duplex, request)
        except ConnectionEnded as exc:
            log.warning(events.CONNECTION_LOST, peer=duplex.description, reason=str(exc))
        except Exception as exc:  # noqa: BLE001
            # The boundary of a connection: a failure must not end other connections.
            log.error(events.CONNECTION_FAILED, peer=duplex.description, reason=str(exc), exc_info=exc)


def _under_trio() -> bool:
    try:
        trio.current_time()
    except RuntimeError:
        return False
    return True


def text_of(exc: BaseException) -> str:
    """Return the text of an exception; for a group, the messages of its members."""
    if isinstance(exc, BaseExceptionGroup):
        return "; ".join(text_of(each) for each in exc.exceptions)
    return str(exc) or type(exc).__name__


async def _read_body(request: HttpRequest, receive: Receive, send: Send, limit: int) -> bool:
    """Read the body into the request. Returns False, and answers the request, if that fails."""
    pieces: list[bytes] = []
    size, more = 0, True
    with trio.move_on_after(BODY_TIMEOUT) as patience:
        last = patience.deadline - BODY_TIMEOUT + BODY_TIME
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return False
            more = event.get("more_body", False)
            piece = event.get("body", b"")
            if piece:
                size += len(piece)
                if size > limit:
                    break
                pieces.append(piece)
            if not more:
                request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                return True
            if len(pieces) > 1:  # most bodies are one piece, and an empty piece as the end
                patience.deadline = min(trio.current_time() + BODY_TIMEOUT, last)
    if patience.cancelled_caught:
        await _refuse(_TOO_SLOW, receive, send, unread=True)
    else:
        await _refuse(_TOO_LONG, receive, send, unread=more)
    return False


async def _refuse(refusal: Refusal, receive: Receive, send: Send, *, unread: bool, is_head: bool = False) -> None:
    """Answer a request; `unread`: whether more of its body may come; `is_head`: whether it is a HEAD."""
    response = AsgiResponse(is_head=is_head)
    response.respond(refusal.status, refusal.fields, refusal.body)
    if not unread or await _discard(receive):
        await response.leave(send)
        return
    # hypercorn delays the end of a response until the application has taken the received part of the body.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard_all, receive)
        await response.leave(send)
        nursery.cancel_scope.cancel()


async def _discard(receive: Receive) -> bool:
    """Read the rest of a body, within bounds; return whether it is complete."""
    size = 0
    with trio.move_on_after(DISCARD_TIMEOUT):
        while size < DISCARDED:
            event = await receive()
            if not event.get("more_body", False):
                return True
            size += len(event.get("body", b""))
    return False


async def _discard_all(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass
