"""The own event stream of a legacy HTTP session, which its client opens by GET.

basic/transports of 2025-03-26 to 2025-11-25, "Listening for Messages from the Server".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from trimcp.framing.sse import COMMENT
from trimcp.http.binding import HttpResponse
from trimcp.http.server.legacy_streams import ResumableStream, StreamOwner
from trimcp.http.server.post_reply import EVENTS
from trimcp.http.server.sse_stream import SseStream

RESUMABLE_GET_STREAMS: Final = 4
"""GET streams of one session without a connection that can still be resumed; the oldest is forgotten first."""
PUSHED_FRAMES: Final = 256
"""Frames that are remembered with the node that they came from: a notice that several nodes have leaves once."""


class LegacyGetStream(ResumableStream):
    """The session's own stream: its messages leave by the latest of the streams that the client opened by GET.

    Each message leaves by one stream only. While none is open, notices wait, the newest of each kind, and other
    messages up to `Limits.out_bytes`; further messages are dropped. Where the latest GET stream is at another node,
    messages go there; notices of changes do not, since each node makes them itself.
    """

    def __init__(self, session: StreamOwner) -> None:
        super().__init__(session)
        self.connected: Final[list[SseStream]] = []
        """GET streams with a connection, the latest last."""
        self._resumable: list[SseStream] = []
        self._pushed: dict[bytes, int] = {}

    @property
    def is_elsewhere(self) -> bool:
        """Whether the client has opened its latest GET stream at another node."""
        node = self._session.node
        return node is not None and node.listener is not None

    @property
    def has_listener(self) -> bool:
        """Whether messages reach the client, as far as this node knows."""
        node = self._session.node
        return bool(self.connected) or self.is_elsewhere or (node is not None and node.will_ask)

    # --- connections ------------------------------------------------------------------

    def open(self, response: HttpResponse) -> None:
        """Open one more GET stream."""
        self._open(response, b"")

    def continue_from(self, response: HttpResponse, missed: bytes) -> None:
        """Open a GET stream in the place of one of another node; `missed`: its events that the client lacks."""
        self._open(response, missed)

    def _open(self, response: HttpResponse, missed: bytes) -> None:
        session = self._session
        sse = SseStream(session.next_stream(is_get=True), response)
        response.write(self._begin(sse, response, missed) or COMMENT)
        if session.node is None:
            self._carry(sse, response)
            return
        session.node.opened_get_stream()
        # What waited here may have waited at other nodes too, which push it soon.
        waiting: list[bytes] = []
        while self.outbox.waiting:
            waiting += self.outbox.take()
        self._pushed = dict.fromkeys(waiting, session.node.incarnation)
        self._carry(sse, response)
        for frame in waiting:
            self.post(frame)

    def _carry(self, sse: SseStream, response: HttpResponse) -> None:
        self.connected.append(sse)
        response.on_gone = lambda: self._lost(sse)
        response.on_clear = self.send_waiting
        if response.is_gone:
            self._lost(sse)
        else:
            self.send_waiting()

    @property
    def numbered(self) -> tuple[SseStream, ...]:
        """The GET streams that are open or can be resumed."""
        return (*self._resumable, *self.connected)

    def resume_head(self, response: HttpResponse, missed: bytes) -> None:
        """Write the head of a response, and the events that its client has missed."""
        response.begin(200, EVENTS)
        response.write(missed or COMMENT)

    def find(self, number: int) -> SseStream | None:
        """Return the GET stream of that number, if it is open or can be resumed."""
        return next((sse for sse in self.numbered if sse.number == number), None)

    def resume(self, sse: SseStream, response: HttpResponse) -> None:
        """Go on with the response of a client that has come back, behind the stored events."""
        if sse in self._resumable:
            self._resumable.remove(sse)
        sse.attach(response)
        if self._session.node is not None:
            self._session.node.opened_get_stream()
        self._carry(sse, response)

    def let_go(self, sse: SseStream) -> None:
        """End the connection of a GET stream."""
        response = sse.detach()
        if sse in self.connected:
            self.connected.remove(sse)
            self._resumable = [*self._resumable, sse][-RESUMABLE_GET_STREAMS:]
            if not self.connected and self._session.node is not None:
                self._session.node.lost_get_stream()
        if response is not None:
            response.end()

    def let_all_go(self, retry: float) -> None:
        """End every connection, and tell the client to come back in `retry` seconds: this node stops."""
        self.send_waiting()
        for sse in list(self.connected):
            if sse.response is not None and not sse.response.is_gone:
                sse.response.write(b"retry: %d\n\n" % int(retry * 1000))
            self.let_go(sse)

    def _lost(self, sse: SseStream) -> None:
        self.let_go(sse)
        self._session.touch()
        self.send_waiting()

    # --- messages ---------------------------------------------------------------------

    def post(self, frame: bytes) -> None:
        """Post a message. It is dropped if no GET stream is open and too much waits."""
        if self.is_elsewhere:
            self._push([frame])
        elif self.connected or not self.is_over:
            super().post(frame)

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """See `EventStream`. The node that has the GET stream makes the notice itself."""
        if self.is_elsewhere:
            return
        node = self._session.node
        if node is not None and self.connected:
            self._pushed[frame] = node.incarnation
            self._forget_pushed()
        super().post_latest(key, frame)

    def _push(self, frames: Iterable[bytes]) -> None:
        node = self._session.node
        assert node is not None
        node.push(frames)

    def take_pushed(self, sender: int, frames: Iterable[bytes]) -> None:
        """Take frames that another node has for the client."""
        for frame in frames:
            if self._pushed.setdefault(frame, sender) == sender:
                self.post(frame)
        self._forget_pushed()

    def _forget_pushed(self) -> None:
        while len(self._pushed) > PUSHED_FRAMES:
            del self._pushed[next(iter(self._pushed))]

    def moved(self, listener: int, opened_at: float) -> None:
        """Take note that the client has opened a GET stream at another node, and send what waits there."""
        node = self._session.node
        assert node is not None
        if self.connected and node.listener is None and node.opened_at > opened_at:
            node.confirm_listener(listener)  # the one here is the latest
            return
        node.listener = listener
        self._pushed.clear()  # from now on other nodes may have notices that are not made here
        while self.outbox.waiting:
            self._push(self.outbox.take())
        self._wake_waiting()

    def came_back(self, listener: int) -> None:
        """Take note that the client has no GET stream any more at a node that had the latest one."""
        node = self._session.node
        assert node is not None
        if node.listener == listener:
            node.listener = None
            if self.connected:
                node.opened_get_stream()
                self.send_waiting()

    def send_waiting(self) -> None:
        """See `WritableStream`."""
        if self.is_closed:
            return
        if not (self.connected and self._waits):
            self._wake_waiting()
            return
        outbox = self.outbox
        sse = self.connected[-1]
        response = sse.response
        assert response is not None
        while outbox.waiting and not response.is_clogged:
            response.write(self._events(sse, outbox.take()))
        self._wake_waiting()

    def end(self) -> None:
        """End every GET stream, since the session is over."""
        self.send_waiting()
        for sse in list(self.connected):
            self.let_go(sse)
        self.close()

    def _has_left(self) -> bool:
        response = self.connected[-1].response if self.connected else None
        return response is None or not (self._waits or response.is_clogged)

    def _is_behind(self) -> bool:
        response = self.connected[-1].response if self.connected else None
        return response is None or response.is_clogged
