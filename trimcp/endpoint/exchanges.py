"""Modern exchanges: each POST stands alone, and those of one principal, else of one connection, share a turn.

There is no session in 2026-07-28. A stateless peer is the requests of one principal, or of one connection: a
register with the endpoint's Router, with a cap on how many of them run, a waiting list, a place in the ring.
It has no task and no nursery of its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.endpoint.reply import Reply
from trimcp.endpoint.stream_writer import StreamWriter
from trimcp.errors import ConnectionClosed, ConnectionEnded
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.principal import Principal, key_of
from trimcp.session.admission import Admission
from trimcp.session.cancellation_manager import CancellationManager
from trimcp.session.delivery import Delivery
from trimcp.session.eras import Eras
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.outlet import SessionOutlet, Stream
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.router import Router
from trimcp.session.service import Service
from trimcp.session.session import Session
from trimcp.transports.http.door import Connection, HttpResponse
from trimcp.types.jsonrpc import Request

KEPT: Final = 64
"""Principals that one connection is known for before those without a request are forgotten: a proxy brings many."""


class _Kept(dict["str | None", "StatelessPeer"]):
    """The callers of one connection, by the keys of their principals."""

    def __init__(self, exchanges: Exchanges) -> None:
        """A door may outlive a run of the server: they are good for those of one run."""
        super().__init__()
        self.exchanges = exchanges


class _Nowhere:
    """The session's own stream, which modern HTTP does not have: what is posted to it goes nowhere."""

    posted = 0
    waiting_bytes = 0
    is_over = False

    def post(self, frame: bytes) -> None:
        """See `Stream`."""

    def write(self, frame: bytes) -> None:
        """See `Stream`."""

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """See `Stream`."""

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """See `Stream`."""

    def drop(self, key: Hashable) -> None:
        """See `Stream`."""

    def post_log(self, frame: bytes) -> None:
        """See `Stream`."""

    async def wait_room(self) -> None:
        """See `Stream`."""

    async def flushed(self) -> None:
        """See `Stream`."""

    def close(self) -> None:
        """See `Stream`."""


class StatelessPeer(Session):
    """Those requests of one principal, or of one connection, that are in flight."""

    is_stateless = True

    def __init__(self, exchanges: Exchanges, *, peer: str, principal: Principal | None) -> None:
        """It shares the actors of the endpoint, and has a register of its own with their Router."""
        super().__init__(exchanges.service, delivery=Delivery(principal))
        self._peer = peer
        self.connections = 0
        """Those it is kept for."""
        self._posted = 0
        self.supervisor, self.router = exchanges.supervisor, exchanges.router
        self.progress, self.cancellation = exchanges.progress, exchanges.cancellation
        self._take_part()
        self.is_running = True

    @property
    def description(self) -> str:
        """Where it leads: `http 127.0.0.1:50000`."""
        return f"http {self._peer}"

    def _way_out(self, supervisor: Supervisor) -> tuple[Stream, SessionOutlet]:
        nowhere = _Nowhere()
        return nowhere, SessionOutlet(nowhere, self.limits.result_bytes, self.requests)

    async def _listen(self) -> None:
        raise AssertionError("a stateless peer has no run of its own")

    async def _close_medium(self) -> None:
        """There is none."""

    def lose(self, end: ConnectionEnded) -> None:
        """See `Session`. What it shares with others goes on; its requests are cancelled, and end by themselves."""
        if self._end is None:
            super().lose(end)
            self.is_running = False
            self._over.set()
            self.service.ended(self)

    @property
    def messages_read(self) -> int:
        """Messages that were posted so far."""
        return self._posted

    def ask(self, request: Request, reply: Reply, size: int, now: float) -> None:
        """Take a request."""
        self._posted += 1
        self.router.request(self.requests, request, reply, size, now)

    def reply_lost(self, reply: Reply) -> None:
        """The connection that a request came by is gone, and with it the client that wants the answer."""
        reply.lost()
        self.router.cancel_outlet(self.requests, reply, CancelReason.CONNECTION_LOST)

    def _tasks(self) -> int:
        return 0  # of its own


class Exchanges:
    """All callers of one endpoint."""

    def __init__(
        self,
        service: Service,
        admission: Admission,
        draining: trio.Event,
        supervisor: Supervisor,
        actors: HandlerActors,
        writer: StreamWriter,
    ) -> None:
        """
        Args:
            service: what is served.
            admission: the places shared with all sessions of the server.
            draining: once it is set, new requests are refused.
            supervisor: the endpoint's.
            actors: the endpoint's handler actors.
            writer: writes the streams of the endpoint.
        """
        self.service = service
        self.supervisor = supervisor
        self.progress = supervisor.add(ProgressTracker(supervisor, service.limits))
        self.cancellation = supervisor.add(CancellationManager(supervisor, self.progress, service.limits))
        # In the turn of the POST: a hop of its own costs a tenth of the rate (docs/benchmarks.md).
        router = Router(supervisor, Eras(service), actors, admission, self.cancellation, in_turn=True)
        self.router = supervisor.add(router)
        self._draining = draining
        self._writer = writer
        self._by_principal: dict[str, StatelessPeer] = {}
        self._open: set[Reply] = set()

    def caller(self, connection: Connection, principal: Principal | None) -> StatelessPeer:
        """Who asks, by that connection."""
        kept: _Kept | None = connection.kept
        if kept is None or kept.exchanges is not self:
            kept = connection.kept = _Kept(self)
            connection.on_closed = lambda: self._closed(kept)
        key = key_of(principal)
        caller = kept.get(key)
        if caller is None or caller.end is not None:
            if len(kept) >= KEPT:
                self._forget_idle(kept)
            caller = kept[key] = self._join(connection, principal, key)
        return caller

    def _join(self, connection: Connection, principal: Principal | None, key: str | None) -> StatelessPeer:
        caller = None if key is None else self._by_principal.get(key)
        if caller is None or caller.end is not None:
            caller = StatelessPeer(self, peer=connection.peer, principal=principal)
            if self._draining.is_set():
                self.router.drain(caller.requests)
            self.service.opened(caller)
            if key is not None:
                self._by_principal[key] = caller
        caller.connections += 1
        return caller

    def _closed(self, kept: _Kept) -> None:
        for caller in kept.values():
            self._leave(caller)

    def _forget_idle(self, kept: _Kept) -> None:
        for key, caller in list(kept.items()):
            if not len(caller.requests.in_flight):
                del kept[key]
                self._leave(caller)

    def _leave(self, caller: StatelessPeer) -> None:
        """One connection fewer that it is kept for."""
        caller.connections -= 1
        if caller.connections == 0:
            key = key_of(caller.principal)
            if key is not None and self._by_principal.get(key) is caller:
                del self._by_principal[key]
            caller.lose(ConnectionClosed("the connection was closed"))

    def open(
        self, caller: StatelessPeer, response: HttpResponse, delivery: Delivery, *, json: bool, sse: bool, peer: str
    ) -> Reply:
        """The outlet of one request of a caller's; `delivery`: who sent it."""
        limits = self.service.limits
        discard = self._open.discard
        reply = Reply(response, limits, self._writer, discard, json=json, sse=sse, peer=peer, delivery=delivery)
        self._open.add(reply)
        response.on_gone = lambda: caller.reply_lost(reply)
        return reply

    def tend(self) -> None:
        """Keep the connections of those alive that wait for long."""
        for reply in list(self._open):
            reply.keep_alive()
