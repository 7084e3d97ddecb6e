"""One HTTP/1.1 connection of the built-in server: a task that reads it and serves its requests in order.

The task always reads, also while a request is being answered, since that shows when the client leaves. Only with the
next request at hand (pipelining) it waits until the last is answered. A request needs no task and no scope. Deadlines
are noted in `expires`; the server looks at them once a second, since setting a deadline costs more than parsing.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

import trio

from trimcp.actors.loop import current_clock
from trimcp.errors import ConnectionEnded
from trimcp.http.binding import Handler, HttpRequest, PeerConnection, Refusal
from trimcp.http.h1 import request_checks as heads
from trimcp.http.h1.output import Output
from trimcp.http.h1.request_parser import OTHER_PROTOCOLS, IncomingRequest, RequestParser
from trimcp.http.h1.response import CONTINUE, Http1Response, ResponseOwner, whole
from trimcp.limits import HttpLimits
from trimcp.observability import events, log
from trimcp.transports.lines import READ_CHUNK, ByteStream

_TOO_SLOW: Final = heads.refusal(408, "The request took too long to arrive.")


class ServerConnection(ResponseOwner):
    """Serves one connection. The server runs it, and calls `expire` when `expires` has passed."""

    __slots__ = (
        "_body_until",
        "_can_go_on",
        "_handler",
        "_in_head",
        "_is_cut",
        "_is_over",
        "_is_waiting",
        "_known",
        "_limits",
        "_lingers",
        "_parser",
        "_read_clock",
        "_request",
        "_response",
        "_scope",
        "_stream",
        "expires",
    )

    def __init__(self, stream: ByteStream, handler: Handler, limits: HttpLimits, nursery: trio.Nursery) -> None:
        """`nursery`: of the task that writes to a slow client."""
        self._stream = stream
        self._handler = handler
        self._limits = limits
        self._read_clock = current_clock()
        self._known = PeerConnection(stream.description.removeprefix("tcp "))
        self._parser = RequestParser(limits, handler.body_limit)
        self._request: HttpRequest | None = None
        self._response: Http1Response | None = None
        self._scope = trio.CancelScope()
        self._can_go_on = trio.Event()
        self._is_waiting = False  # for bytes or its turn; the scope is cancelled only then, so never within a handler
        self._is_over = False  # nothing more is read
        self._is_cut = False  # nothing more is written
        self._lingers = False
        self._in_head = False
        self._body_until = math.inf
        self.output: Output = Output(self, stream, limits.write_timeout, nursery)
        self.is_last: bool = False
        self.expires: float = self._read_clock() + limits.keep_alive
        """The time, by Trio's clock, at which `expire` is due."""

    async def run(self) -> None:
        """Serve the connection until either side ends it. The caller closes the stream."""
        try:
            with self._scope:
                await self._serve()
            self.expires = math.inf
            if not self._is_cut:
                await self._leave()
        finally:
            self.output.close()
            response, self._response = self._response, None
            if response is not None:
                response.gone()
            self._known.close()

    def stop(self) -> None:
        """Serve no further request; end at once if there is none, else after the current one."""
        self.is_last = True
        if not (self._is_busy() or self._parser.queue or self._parser.in_head):
            self._stop_reading()

    def expire(self) -> None:
        """End the connection, since the client did not send the next bytes in time."""
        self.expires = math.inf
        queue = self._parser.queue
        if self._parser.in_head or (queue and not queue[0].is_refused):
            self._close_with(queue[0] if queue else None, _TOO_SLOW)
        else:
            self._stop_reading()

    # --- reading and serving ----------------------------------------------------------

    async def _serve(self) -> None:
        parser = self._parser
        while not self._is_over:
            if parser.queue or parser.fault is not None:
                if self._is_busy():
                    self._is_waiting = True
                    self._can_go_on = trio.Event()
                    await self._can_go_on.wait()
                    self._is_waiting = False
                    continue
                if await self._serve_next():
                    continue
            try:
                self._is_waiting = True
                data = await self._stream.receive_some(READ_CHUNK)
                self._is_waiting = False
            except ConnectionEnded:
                self._is_cut = True
                return
            if not data:
                # Responses may still leave: the client has ended its own direction only.
                self._is_cut = self._response is not None
                return
            parser.feed(data)
            if not (parser.queue and parser.queue[0].is_complete):
                self._look_at_clock()

    def _is_busy(self) -> bool:
        return self._response is not None or self.output.is_clogged

    async def _serve_next(self) -> bool:
        """Serve a request that has arrived; return False if more of it must arrive first."""
        parser = self._parser
        queue = parser.queue
        if queue:
            incoming = queue[0]
            if not incoming.is_judged:
                self._judge(incoming)
            if incoming.is_complete and not self._is_over:
                queue.popleft()
                request, self._request = self._request, None
                if request is None:
                    self._await_request()  # it was refused
                else:
                    request.body = incoming.body
                    self.expires = math.inf
                    response = self._response = Http1Response(self, incoming)
                    await self._handler.handle(request, response)
                if queue:
                    # One read may have brought many requests, and other connections want their turn.
                    await trio.lowlevel.checkpoint()
                return True
        if parser.fault is not None and not self._is_over:
            # Never a fault in a body that is being dropped: that has a length, so nothing in it is parsed.
            if parser.fault in OTHER_PROTOCOLS:
                why = parser.fault.body.decode().rstrip()
                log.warning(events.PROTOCOL_MISTAKEN, peer=self._stream.description, why=why)
            self._close_with(queue[0] if queue else None, parser.fault)
        return self._is_over

    def _judge(self, incoming: IncomingRequest) -> None:
        incoming.is_judged = True
        request = HttpRequest(incoming.method, incoming.path, incoming.query, incoming.fields, self._known)
        refusal = self._handler.refuse(request)
        if refusal is not None:
            incoming.drop()
            if not incoming.is_complete and not self._is_droppable(incoming):
                self.is_last = True
            self._answer(incoming, refusal)
        else:
            self._request = request
            if incoming.expects_continue and not incoming.is_complete and not incoming.body_bytes:
                self.output.send(CONTINUE)
        if not incoming.is_complete:
            self._in_head = False
            self._body_until = self._read_clock() + self._limits.body_timeout
            self._look_at_clock()

    def _is_droppable(self, incoming: IncomingRequest) -> bool:
        """Return whether the rest of a body is short enough to read it and keep the connection."""
        # A client that waits for `100 Continue` and is refused may send its body or not.
        if incoming.length is None or incoming.expects_continue:
            return False
        return incoming.length - incoming.body_bytes <= self._limits.refused_body

    def _answer(self, incoming: IncomingRequest | None, refusal: Refusal) -> None:
        self.output.send(whole(self, incoming, refusal.status, refusal.fields, refusal.body))
        if self.is_last:
            self._lingers = True
            self._stop_reading()

    def _close_with(self, incoming: IncomingRequest | None, refusal: Refusal) -> None:
        self.is_last = True
        self._answer(incoming, refusal)

    # --- called by the response and the output, from any task -------------------------

    def finished(self, *, cut: bool) -> None:
        """See `ResponseOwner`."""
        self._response = None
        if cut:
            self.cut_off()
        else:
            self._go_on()

    def cleared(self) -> None:
        """See `OutputOwner`."""
        if self._response is not None:
            self._response.cleared()
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self.is_last:
            self._lingers = True
            self._stop_reading()
            return
        self._await_request()
        if self._parser.queue or self._parser.fault is not None:
            self._can_go_on.set()

    def cut_off(self) -> None:
        """See `OutputOwner`."""
        self._is_cut = True
        self.output.close()
        # The handler is told later, in the connection's task, and not within a call of its own.
        self._stop_reading()

    def _stop_reading(self) -> None:
        self._is_over = True
        if self._is_waiting:
            self._scope.cancel()

    # --- times ------------------------------------------------------------------------

    def _await_request(self) -> None:
        """Note that the connection waits for a request, or for the rest of its head."""
        self._in_head = False
        if self._is_busy():
            self.expires = math.inf
            return
        self.expires = self._read_clock() + self._limits.keep_alive
        if self._parser.queue or self._parser.in_head:
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        """Note by when more of the request must arrive."""
        if self._is_busy():
            return
        parser = self._parser
        if parser.queue:
            incoming = parser.queue[0]
            if incoming.is_judged and not incoming.is_complete:
                self.expires = min(self._read_clock() + self._limits.body_idle_timeout, self._body_until)
        elif parser.in_head and not self._in_head:
            # Once for each head, so a head that arrives byte by byte gets no more time.
            self._in_head = True
            self.expires = self._read_clock() + self._limits.head_timeout

    # --- the end ----------------------------------------------------------------------

    async def _leave(self) -> None:
        """Let the output leave, and the last response arrive, before the stream is closed."""
        await self.output.emptied()
        if not self._lingers or self.output.is_over:
            return
        unread = self._limits.linger_bytes
        with trio.move_on_after(self._limits.linger), contextlib.suppress(ConnectionEnded):
            await self._stream.send_eof()
            while unread > 0 and (data := await self._stream.receive_some(READ_CHUNK)):
                unread -= len(data)
