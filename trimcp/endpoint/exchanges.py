"""Modern exchanges: each POST stands alone, and those of one principal, else of one connection, share a turn.

There is no session in 2026-07-28. What is one here is only what the requests of one caller have in
common: a cap on how many of them run, a waiting list, a place in the ring. It has no task and no
nursery of its own: the work of all callers is done by the crew of the endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.actors.crew import Crew
from trimcp.endpoint.cork import CorkedCrew
from trimcp.endpoint.reply import Reply
from trimcp.errors import ConnectionClosed
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.principal import Principal, key_of
from trimcp.session.admission import Admission
from trimcp.session.delivery import Delivery
from trimcp.session.lane import Lane
from trimcp.session.outlet import SessionOutlet
from trimcp.session.service import Service
from trimcp.session.session import Session
from trimcp.transports.http.door import Connection, HttpResponse
from trimcp.types.jsonrpc import Request

if TYPE_CHECKING:
    from collections.abc import Callable


KEPT: Final = 64
"""Principals that one connection is known for before those without a request are forgotten: a proxy brings many."""


class _Kept(dict["str | None", "Caller"]):
    """The callers of one connection, by the keys of their principals."""

    def __init__(self, exchanges: Exchanges) -> None:
        """A door may outlive a run of the server: they are good for those of one run."""
        super().__init__()
        self.exchanges = exchanges


class _Nowhere(Lane):
    """The session's own stream, which modern HTTP does not have: nothing is to be posted to it."""

    def _flush(self) -> None:
        self._take()

    @property
    def waiting_bytes(self) -> int:
        """Nothing ever waits."""
        return 0

    def _has_left(self) -> bool:
        return True


class Caller(Session):
    """Those requests of one principal, or of one connection, that are in flight."""

    is_stateless = True

    def __init__(
        self,
        service: Service,
        admission: Admission,
        nursery: trio.Nursery,
        crew: Crew,
        *,
        peer: str,
        principal: Principal | None,
        when_over: Callable[[Caller], None],
    ) -> None:
        """`nursery` and `crew` are the endpoint's."""
        super().__init__(service, admission, delivery=Delivery(principal))
        self._peer = peer
        self._shared_crew = crew
        self._when_over = when_over
        self.connections = 0
        """Those it is kept for."""
        self._posted = 0
        self._assemble(nursery)

    @property
    def description(self) -> str:
        """Where it leads: `http 127.0.0.1:50000`."""
        return f"http {self._peer}"

    def _way_out(self, nursery: trio.Nursery) -> tuple[Lane, SessionOutlet]:
        nowhere = _Nowhere(self.limits, self.description)
        return nowhere, SessionOutlet(nowhere, self.limits.result_bytes)

    def _crew(self, nursery: trio.Nursery) -> Crew:
        return self._shared_crew

    async def _listen(self) -> None:
        raise AssertionError("a caller has no run of its own")

    async def _close_medium(self) -> None:
        """There is none."""

    def _cut(self) -> None:
        """What it shares with others goes on; its requests were cancelled, and end by themselves."""
        self._over.set()
        self._when_over(self)

    @property
    def messages_read(self) -> int:
        """Messages that were posted so far."""
        return self._posted

    def now_idle(self) -> None:
        """See `Session`. A caller may be one of thousands that came, left, and must not leave a task behind."""
        super().now_idle()
        self.cancellation.nothing_unwinds()

    def ask(self, request: Request, reply: Reply, size: int, now: float) -> None:
        """Take a request."""
        self._posted += 1
        self.router.accept(request, reply, size, now)

    def reply_lost(self, reply: Reply) -> None:
        """The connection that a request came by is gone, and with it whoever wants to know."""
        reply.lost()
        for request in self.router.inbound:
            if request.outlet is reply:
                self.cancellation.cancel(request, CancelReason.CONNECTION_LOST)

    def _tasks(self) -> int:
        return 0  # of its own


class Exchanges:
    """All callers of one endpoint."""

    def __init__(
        self,
        service: Service,
        admission: Admission,
        draining: trio.Event,
        nursery: trio.Nursery,
        crew: CorkedCrew,
    ) -> None:
        """`nursery` and `crew` are the endpoint's. Once `draining` is set, whoever comes is refused."""
        self._service = service
        self._admission = admission
        self._draining = draining
        self._nursery = nursery
        self._crew = crew
        self._by_principal: dict[str, Caller] = {}
        self._open: set[Reply] = set()

    def caller(self, connection: Connection, principal: Principal | None) -> Caller:
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

    def _join(self, connection: Connection, principal: Principal | None, key: str | None) -> Caller:
        caller = None if key is None else self._by_principal.get(key)
        if caller is None or caller.end is not None:
            caller = Caller(
                self._service,
                self._admission,
                self._nursery,
                self._crew,
                peer=connection.peer,
                principal=principal,
                when_over=self._service.ended,
            )
            caller.router.draining = self._draining.is_set()
            self._service.opened(caller)
            if key is not None:
                self._by_principal[key] = caller
        caller.connections += 1
        return caller

    def _closed(self, kept: _Kept) -> None:
        for caller in kept.values():
            self._leave(caller)

    def _forget_idle(self, kept: _Kept) -> None:
        for key, caller in list(kept.items()):
            if not len(caller.router.inbound):
                del kept[key]
                self._leave(caller)

    def _leave(self, caller: Caller) -> None:
        """One connection fewer that it is kept for."""
        caller.connections -= 1
        if caller.connections == 0:
            key = key_of(caller.principal)
            if key is not None and self._by_principal.get(key) is caller:
                del self._by_principal[key]
            caller._lose(ConnectionClosed("the connection was closed"))

    def open(
        self, caller: Caller, response: HttpResponse, delivery: Delivery, *, json: bool, sse: bool, peer: str
    ) -> Reply:
        """The outlet of one request of a caller's; `delivery`: who sent it."""
        limits = self._service.limits
        discard = self._open.discard
        reply = Reply(response, limits, self._crew.cork, discard, json=json, sse=sse, peer=peer, delivery=delivery)
        self._open.add(reply)
        response.on_gone = lambda: caller.reply_lost(reply)
        return reply

    def tend(self) -> None:
        """Keep the connections of those alive that wait for long."""
        for reply in list(self._open):
            reply.keep_alive()
