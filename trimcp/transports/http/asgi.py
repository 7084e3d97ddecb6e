"""The ASGI door: an application that any ASGI server on Trio can run, alone or mounted in another.

Owns what lies between the three callables of ASGI and a `Handler`: the request's head and body,
who the peer is, who has gone, how long a peer may take, the lifespan. What is said in HTTP is
the handler's. `hypercorn.serve_hypercorn` runs it; `asgi_response` is the way back,
`asgi_websocket` the same for WebSocket.

A request whose response is there soon costs no task and no cancel scope beyond the one that its
body is read in: whether the peer has left is watched once the handler has really waited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

import trio

from trimcp.errors import ConnectionEnded, UsageError
from trimcp.observability import events, log
from trimcp.transports.duplex import Duplex
from trimcp.transports.http.asgi_requests import Connections, declared_length, has_body, peer_of, request_of
from trimcp.transports.http.asgi_response import AsgiResponse, Message, Receive, Send
from trimcp.transports.http.asgi_websocket import LEFT, AsgiWebSocketDuplex, accept, admitted, deny
from trimcp.transports.http.door import PLAIN, Connection, Handler, HttpRequest, Refusal
from trimcp.transports.websocket_messages import MESSAGE_BYTES, closing

NOT_UNDER_TRIO: Final = (
    "this application runs on Trio, and the server that runs it does not: "
    "serve it with hypercorn's trio worker (`hypercorn --worker-class trio …`, or hypercorn.trio.serve)"
)

WRITE_TIMEOUT: Final = 30.0
"""Seconds that the peer may take nothing of a response for."""
BODY_TIMEOUT: Final = 30.0
"""Seconds that may pass between two pieces of a request's body."""
BODY_TIME: Final = 300.0
"""Seconds that a body may take in all."""
PASSES: Final = 3
"""Passes of the scheduler that a response is waited for before anybody watches whether the peer has left."""
SHORT: Final = 65536
"""Bytes of a response that leave without being watched: they fit what is buffered below."""
DISCARDED: Final = 16 * 1024 * 1024
DISCARD_TIMEOUT: Final = 1.0
"""Bytes and seconds that the body of a refused request is read for, so that the refusal is not overtaken by
the reset that follows a close over unread bytes."""

_TOO_LONG: Final = Refusal(413, PLAIN, b"The body of the request is too long.\n")
_TOO_SLOW: Final = Refusal(408, PLAIN, b"The body of the request did not arrive in time.\n")
_NOT_RUNNING: Final = Refusal(500, PLAIN, b"The server behind this address is not running; its log says why.\n")


class AsgiDoor:
    """An ASGI 3 application for HTTP, WebSocket and lifespan.

    Args:
        handler: gives what is behind the door, at each request. Where it raises `UsageError`
            (nothing runs there: the lifespan was not forwarded to this application) the request
            is answered with 500, and the words are logged once.
        websocket: serves a WebSocket that was let in, as a `Duplex` session, until it returns;
            without it there are none.
        admit: judges the request that opens a WebSocket, and may wait; None lets it in. It is cancelled
            when the client leaves.
        lifespan: entered at the server's startup, left at its shutdown.
        message_bytes: bytes that one message of a WebSocket may have.
        write_timeout: seconds that the peer of a response may take nothing for.
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
        self._exchanges: set[object] = set()
        self._one_ended: trio.Event | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one scope, as ASGI 3 defines it.

        Raises:
            UsageError: it does not run under Trio, or the scope is of a kind that is not served here.
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
            raise UsageError(f"an ASGI scope of type {kind!r} is not served here")

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
        """The lifespan as a context manager, for an application that this one is mounted in and that has its own.

            Starlette(routes=[Mount("/tools", door)], lifespan=door.lifespan)

        Args:
            app: the application that it is entered for; it does not matter which.

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
            # What the lifespan let pass is told to the server, whose business it is to end then.
            log.error(events.LIFESPAN_FAILED, exc_info=exc, stage=stage)
            await send({"type": f"lifespan.{stage}.failed", "message": words(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    # --- HTTP -------------------------------------------------------------------------

    async def _serve_http(self, scope: Message, receive: Receive, send: Send) -> None:
        handler = self._running_handler()
        key, connection = self._connections.enter(scope)
        exchange = object()
        self._exchanges.add(exchange)
        try:
            request = request_of(scope, connection)
            if handler is None:
                await _refuse(_NOT_RUNNING, receive, send, unread=has_body(request))
            else:
                await self._exchange(handler, request, receive, send)
        finally:
            self._connections.leave(key, connection)
            self._exchanges.discard(exchange)
            if self._one_ended is not None:
                self._one_ended.set()
                self._one_ended = None

    async def finished(self) -> None:
        """Wait for the HTTP requests that are in progress now, and until their responses have left.

        Not for those that come meanwhile: under load there might never be none.
        """
        awaited = set(self._exchanges)
        while not awaited.isdisjoint(self._exchanges):
            if self._one_ended is None:
                self._one_ended = trio.Event()
            await self._one_ended.wait()

    async def _exchange(self, handler: Handler, request: HttpRequest, receive: Receive, send: Send) -> None:
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
                # Most are answered in another task's turn, and soon.
                passes += 1
                await trio.lowlevel.checkpoint()
            if response.has_ended and response.waiting_bytes <= SHORT:
                await response.leave(send)
            else:
                await self._attend(response, receive, send)
        finally:
            if not response.has_left:
                response.gone()

    async def _attend(self, response: AsgiResponse, receive: Receive, send: Send) -> None:
        """Send a response that takes its time, and watch meanwhile whether the peer is there and reads."""
        patience = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            response.cut = nursery.cancel_scope.cancel
            nursery.start_soon(self._watch, response, receive, patience)
            await response.leave(send, patience, self._write_timeout)
            response.cut = None
            nursery.cancel_scope.cancel()

    async def _watch(self, response: AsgiResponse, receive: Receive, patience: trio.CancelScope) -> None:
        # The time is kept here and not round `send`, which some servers shield from being cancelled.
        with patience:
            while (await receive())["type"] != "http.disconnect":
                pass
            if response.is_last_leaving:
                # So a server may say that the response is complete, before `send` has returned.
                await trio.sleep_forever()
        if patience.cancelled_caught:
            log.warning(events.WRITER_BLOCKED, seconds=self._write_timeout)
        response.gone()

    # --- WebSocket --------------------------------------------------------------------

    async def _serve_websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        handler = self._running_handler()
        connection = Connection(peer_of(scope))
        request = request_of(scope, connection, method="GET")
        await receive()  # `websocket.connect`
        try:
            if handler is None:
                refusal: Refusal | None = _NOT_RUNNING
            elif self._websocket is None:
                refusal = Refusal(404, PLAIN, b"There is no WebSocket here.\n")
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
            # The boundary of a connection: what a session lets pass must not end its siblings.
            log.error(events.CONNECTION_FAILED, peer=duplex.description, reason=str(exc), exc_info=exc)


def _under_trio() -> bool:
    try:
        trio.current_time()
    except RuntimeError:
        return False
    return True


def words(exc: BaseException) -> str:
    """What an exception says, of a group all that its members say."""
    if isinstance(exc, BaseExceptionGroup):
        return "; ".join(words(each) for each in exc.exceptions)
    return str(exc) or type(exc).__name__


async def _read_body(request: HttpRequest, receive: Receive, send: Send, limit: int) -> bool:
    """Read the body into the request; False where that came to nothing, which was answered."""
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
            if len(pieces) > 1:  # most bodies are one piece and the note that it was the last
                patience.deadline = min(trio.current_time() + BODY_TIMEOUT, last)
    if patience.cancelled_caught:
        await _refuse(_TOO_SLOW, receive, send, unread=True)
    else:
        await _refuse(_TOO_LONG, receive, send, unread=more)
    return False


async def _refuse(refusal: Refusal, receive: Receive, send: Send, *, unread: bool, is_head: bool = False) -> None:
    """Answer a request; `unread`: of whose body there may be more; `is_head`: which wants no body itself."""
    response = AsgiResponse(is_head=is_head)
    response.respond(refusal.status, refusal.fields, refusal.body)
    if not unread or await _discard(receive):
        await response.leave(send)
        return
    # hypercorn holds up the end of a response until the application has taken what it holds of the body.
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard_all, receive)
        await response.leave(send)
        nursery.cancel_scope.cancel()


async def _discard(receive: Receive) -> bool:
    """Read what little there may be of a body; whether that was all."""
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
