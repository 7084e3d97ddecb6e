"""One HTTP/1.1 connection: the task that reads it and serves its requests, one after the other.

The task always reads, also while a request is being answered, since that is how the peer's leaving
is seen; only behind a request that was sent before the last was answered (pipelining) it waits for
its turn. It makes no task and no scope for a request. Times are kept by noting when they are up;
the server's watch looks at them once a second, since setting a deadline costs more than parsing.
"""

from __future__ import annotations

import contextlib
import math
from typing import Final

import trio

from trimcp.errors import ConnectionEnded
from trimcp.transports.http import answers, heads
from trimcp.transports.http.door import Connection, Handler, HttpRequest, Refusal
from trimcp.transports.http.limits import HttpLimits
from trimcp.transports.http.output import Output
from trimcp.transports.http.parsing import Incoming, RequestParser
from trimcp.transports.http.response import DirectResponse, Owner, whole
from trimcp.transports.lines import READ_CHUNK, ByteStream

_TOO_SLOW: Final = heads.refusal(408, "The request took too long to arrive.")


class HttpConnection(Owner):
    """Serves one connection. Its server makes it, runs it, and looks at `expires`."""

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
        "_request",
        "_response",
        "_scope",
        "_stream",
        "expires",
    )

    def __init__(self, stream: ByteStream, handler: Handler, limits: HttpLimits, nursery: trio.Nursery) -> None:
        """`nursery`: where a task is started when the peer is slow to take its responses."""
        self._stream = stream
        self._handler = handler
        self._limits = limits
        self._known = Connection(stream.description.removeprefix("tcp "))
        self._parser = RequestParser(limits, handler.body_limit)
        self._request: HttpRequest | None = None
        self._response: DirectResponse | None = None
        self._scope = trio.CancelScope()
        self._can_go_on = trio.Event()
        self._is_waiting = False  # so that the scope may be cancelled, which must not hit the handler
        self._is_over = False  # nothing more is read
        self._is_cut = False  # nothing more is written
        self._lingers = False
        self._in_head = False
        self._body_until = math.inf
        self.output = Output(stream, limits.write_timeout, nursery, self._cleared, self._cut_off)
        self.is_last = False
        self.expires = trio.current_time() + limits.keep_alive
        """The time at which `expire` is due."""

    async def run(self) -> None:
        """Serve the connection until either side ends it. The stream is the caller's to close."""
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
        """Serve no further request: at once where there is none, else after the one that is on its way."""
        self.is_last = True
        if not (self._is_busy() or self._parser.queue or self._parser.in_head):
            self._stop_reading()

    def expire(self) -> None:
        """What the connection waits for has not come in time."""
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
                # What was answered already may still leave: only one direction has ended for certain.
                self._is_cut = self._response is not None
                return
            parser.feed(data)
            self._look_at_clock()

    def _is_busy(self) -> bool:
        return self._response is not None or self.output.is_clogged

    async def _serve_next(self) -> bool:
        """Serve what has arrived; False where more of it must come first."""
        parser = self._parser
        queue = parser.queue
        if queue:
            incoming = queue[0]
            if not incoming.is_judged:
                self._judge(incoming)
            if incoming.is_complete and not self._is_over:
                queue.popleft()
                if incoming.is_refused:
                    self._await_request()
                else:
                    await self._hand_in(incoming)
                if queue:
                    # Many requests may have come in one read, and others want their turn.
                    await trio.lowlevel.checkpoint()
                return True
        if parser.fault is not None and not self._is_over:
            # Never that of a body which is being dropped: it has a length, and so nothing can break in it.
            self._close_with(queue[0] if queue else None, parser.fault)
        return self._is_over

    def _judge(self, incoming: Incoming) -> None:
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
                self.output.send(answers.CONTINUE)
        if not incoming.is_complete:
            self._in_head = False
            self._body_until = trio.current_time() + self._limits.body_timeout
            self._look_at_clock()

    def _is_droppable(self, incoming: Incoming) -> bool:
        """Whether the rest of a body is worth reading, to keep the connection."""
        # A client that waits for `100 Continue` and is refused may send its body or not: nobody knows.
        if incoming.length is None or incoming.expects_continue:
            return False
        return incoming.length - incoming.body_bytes <= self._limits.refused_body

    async def _hand_in(self, incoming: Incoming) -> None:
        request, self._request = self._request, None
        assert request is not None
        request.body = incoming.body
        self.expires = math.inf
        response = self._response = DirectResponse(self, incoming)
        await self._handler.handle(request, response)

    def _answer(self, incoming: Incoming | None, refusal: Refusal) -> None:
        self.output.send(whole(self, incoming, refusal.status, refusal.fields, refusal.body))
        if self.is_last:
            self._lingers = True
            self._stop_reading()

    def _close_with(self, incoming: Incoming | None, refusal: Refusal) -> None:
        self.is_last = True
        self._answer(incoming, refusal)

    # --- what is told from other tasks' turns -----------------------------------------

    def finished(self, *, cut: bool) -> None:
        self._response = None
        if cut:
            self._cut_off()
        else:
            self._go_on()

    def _cleared(self) -> None:
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

    def _cut_off(self) -> None:
        self._is_cut = True
        self.output.close()
        # Whose response it was is told in the connection's own turn, not within a call of theirs.
        self._stop_reading()

    def _stop_reading(self) -> None:
        self._is_over = True
        if self._is_waiting:
            self._scope.cancel()

    # --- times ------------------------------------------------------------------------

    def _await_request(self) -> None:
        """From now on the connection has no request, or one whose head is on its way."""
        self._in_head = False
        self.expires = math.inf if self._is_busy() else trio.current_time() + self._limits.keep_alive
        self._look_at_clock()

    def _look_at_clock(self) -> None:
        """Something has arrived: note when more must have."""
        if self._is_busy():
            return
        parser = self._parser
        if parser.queue:
            incoming = parser.queue[0]
            if incoming.is_judged and not incoming.is_complete:
                self.expires = min(trio.current_time() + self._limits.body_idle_timeout, self._body_until)
        elif parser.in_head and not self._in_head:
            # Once only: a head that arrives byte by byte has no more time than another.
            self._in_head = True
            self.expires = trio.current_time() + self._limits.head_timeout

    # --- the end ----------------------------------------------------------------------

    async def _leave(self) -> None:
        """Let what was written leave, and the last response arrive, before the stream is closed."""
        await self.output.emptied()
        if not self._lingers or self.output.is_over:
            return
        unread = self._limits.linger_bytes
        with trio.move_on_after(self._limits.linger), contextlib.suppress(ConnectionEnded):
            await self._stream.send_eof()
            while unread > 0 and (data := await self._stream.receive_some(READ_CHUNK)):
                unread -= len(data)
