"""Requests of 2026-07-28, which has no sessions: each POST stands alone.

Requests of one principal, or else of one connection, share a turn, so that one client does not take all places. They
are a `StatelessPeer`: a register with the Router of the endpoint, with a cap on the requests that run and a waiting
list. A peer has no task and no nursery of its own.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import Final

from trimcp.actors.loop import current_clock
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import ConnectionClosed, ConnectionEnded
from trimcp.framing import headers
from trimcp.http.binding import HttpRequest, HttpResponse, PeerConnection
from trimcp.http.server.content_negotiation import AcceptedTypes
from trimcp.http.server.post_reply import PostReply, delivery_of, respond_error
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.stream_writer import StreamWriter
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.principal import Principal, key_of
from trimcp.session.cancellation_manager import CancellationManager
from trimcp.session.delivery import Delivery
from trimcp.session.handler_actors import HandlerActors
from trimcp.session.progress_tracker import ProgressTracker
from trimcp.session.reply_stream import SessionReplyStream, SessionStream
from trimcp.session.router import Router
from trimcp.session.session import Session
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import HEADER_MISMATCH, INVALID_REQUEST, Message, Notification, Request
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era

LISTEN: Final = "subscriptions/listen"
PEERS_PER_CONNECTION: Final = 64
"""Principals that one connection is known for before those without a request are forgotten: a proxy brings many."""


class _NullStream:
    """The session's own stream, which a stateless peer does not have: posted frames are dropped."""

    posted = 0
    waiting_bytes = 0
    is_over = False

    def post(self, frame: bytes) -> None:
        """See `SessionStream`."""

    def write(self, frame: bytes) -> None:
        """See `SessionStream`."""

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """See `SessionStream`."""

    def post_reports(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """See `SessionStream`."""

    def drop(self, key: Hashable) -> None:
        """See `SessionStream`."""

    def post_log(self, frame: bytes) -> None:
        """See `SessionStream`."""

    async def wait_room(self) -> None:
        """See `SessionStream`."""

    async def flushed(self) -> None:
        """See `SessionStream`."""

    def close(self) -> None:
        """See `SessionStream`."""


class StatelessPeer(Session):
    """The requests in flight of one principal, or of one connection."""

    is_stateless = True

    def __init__(self, requests: StatelessRequests, *, peer: str, principal: Principal | None) -> None:
        """`requests`: whose actors it shares; `peer`: the other end, for logs."""
        super().__init__(requests.service, delivery=Delivery(principal))
        self._peer = peer
        self.connections: int = 0
        """The connections that it is kept for."""
        self._posted = 0
        self.supervisor: Supervisor = requests.supervisor
        self.router: Router = requests.router
        self.progress: ProgressTracker = requests.progress
        self.cancellation: CancellationManager = requests.cancellation
        self._make_parts()
        self.is_running: bool = True

    @property
    def description(self) -> str:
        """The other end, for logs: `http 127.0.0.1:50000`."""
        return f"http {self._peer}"

    def _open_streams(self, supervisor: Supervisor) -> tuple[SessionStream, SessionReplyStream]:
        stream = _NullStream()
        return stream, SessionReplyStream(stream, self.limits.result_bytes, self.requests)

    async def _listen(self) -> None:
        raise AssertionError("a stateless peer has no run of its own")

    async def _close_medium(self) -> None:
        """See `Session`. There is no medium."""

    def lose(self, end: ConnectionEnded) -> None:
        """See `Session`. The shared actors go on; the peer's requests are cancelled, and end by themselves."""
        if self._end is None:
            super().lose(end)
            self.is_running = False
            self._over.set()
            self.service.ended(self)

    @property
    def messages_read(self) -> int:
        """Messages that were posted so far."""
        return self._posted

    def ask(self, request: Request, reply: PostReply, size: int, now: float) -> None:
        """Hand a request to the Router."""
        self._posted += 1
        self.router.requests(self.requests, ((request, size),), reply, size, now)

    def reply_lost(self, reply: PostReply) -> None:
        """Cancel a request whose connection is lost."""
        reply.lost()
        self.router.cancel_reply_stream(self.requests, reply, CancelReason.CONNECTION_LOST)

    def _tasks(self) -> int:
        return 0  # of its own


class _PeersOfConnection(dict["str | None", StatelessPeer]):
    """The peers of one connection, by the keys of their principals."""

    def __init__(self, owner: StatelessRequests) -> None:
        """`owner`: the peers are good for one run of the server, and a connection may outlive it."""
        super().__init__()
        self.owner = owner


class StatelessRequests:
    """Serves the POSTs of 2026-07-28 at one endpoint."""

    def __init__(self, served: ServedRun, supervisor: Supervisor, actors: HandlerActors, writer: StreamWriter) -> None:
        """
        Args:
            served: the run of the server.
            supervisor: of the endpoint.
            actors: the handler actors of the endpoint.
            writer: writes the streams of the endpoint.
        """
        service = served.service
        self.service: Final = service
        self.supervisor: Final = supervisor
        self.progress: Final = supervisor.add(ProgressTracker(supervisor, service.limits))
        self.cancellation: Final = supervisor.add(CancellationManager(supervisor, self.progress, service.limits))
        # In the turn of the POST: a hop of its own costs a tenth of the rate (docs/benchmarks.md).
        router = Router(supervisor, service, actors, served.admission, self.cancellation, in_turn=True)
        self.router: Final = supervisor.add(router)
        self._served = served
        self._offered = [r.version for r in service.revisions]
        self._modern = {r.version for r in service.revisions if r.era is Era.MODERN}
        self._writer = writer
        self._read_clock = current_clock()
        self._by_principal: dict[str, StatelessPeer] = {}
        self._open: set[PostReply] = set()

    # --- one POST ---------------------------------------------------------------------

    def post(self, message: Message, request: HttpRequest, response: HttpResponse, accepts: AcceptedTypes) -> None:
        """Check one message against its header fields, and hand it to the Router."""
        if type(message) is not Request:
            if type(message) is Notification:
                # The revision defines none; a cancel is the end of the connection.
                log.debug(events.MESSAGE_IGNORED, method=message.method, why="a modern client has none by HTTP")
                response.respond(202, ())
            else:
                text = "Unexpected response: a client must not send responses in 2026-07-28"
                respond_error(response, 400, INVALID_REQUEST, text)
            return
        problem = self._mismatch(message, request)
        if problem is not None:
            # A legacy client that meets a modern server learns the revisions from this error alone.
            data = {"supported": self._offered} if message.method == "initialize" else ABSENT
            respond_error(response, 400, HEADER_MISMATCH, problem, data, message.id)
            return
        if message.method == LISTEN and not accepts.sse:
            text = f"Not acceptable: accept text/event-stream for {LISTEN}"
            respond_error(response, 406, INVALID_REQUEST, text, id=message.id)
            return
        connection = request.connection
        peer = self._peer(connection, request.principal)
        reply = PostReply(
            response,
            self.service.limits,
            self._writer,
            owner=self,
            json=accepts.json,
            sse=accepts.sse,
            peer=connection.peer,
            delivery=delivery_of(request),
        )
        reply.is_listen = message.method == LISTEN
        self._open.add(reply)
        response.on_gone = lambda: peer.reply_lost(reply)
        peer.ask(message, reply, len(request.body), self._read_clock())

    def _mismatch(self, message: Request, request: HttpRequest) -> str | None:
        """Return which header field does not agree with the body, as the text of an error; None if all agree."""
        params, fields = message.params, request.fields
        meta = None if params is None else params.get("_meta")
        version = meta.get(PROTOCOL_VERSION) if type(meta) is dict else None
        if type(version) is not str:
            version = None
        elif version not in self._modern and fields.get(headers.PROTOCOL_VERSION) == version.encode():
            return None  # a revision that is not spoken here, and whose rules for headers are unknown
        problem = headers.check_request_headers(fields, message.method, params, version, self._served.named_params)
        if problem is None and message.method == "tools/call" and params is not None:
            mirrored = self._served.header_params(params.get("name"))
            arguments = params.get("arguments")
            if mirrored is not None and (arguments is None or type(arguments) is dict):
                problem = mirrored.check(arguments, fields)
        return problem

    # --- peers ------------------------------------------------------------------------

    def _peer(self, connection: PeerConnection, principal: Principal | None) -> StatelessPeer:
        """Return the peer of a principal, or of an anonymous connection."""
        peers: _PeersOfConnection | None = connection.state
        if peers is None or peers.owner is not self:
            peers = connection.state = _PeersOfConnection(self)
            connection.on_closed = lambda: self._closed(peers)
        key = key_of(principal)
        peer = peers.get(key)
        if peer is None or peer.end is not None:
            if len(peers) >= PEERS_PER_CONNECTION:
                self._forget_idle(peers)
            peer = peers[key] = self._join(connection, principal, key)
        return peer

    def _join(self, connection: PeerConnection, principal: Principal | None, key: str | None) -> StatelessPeer:
        peer = None if key is None else self._by_principal.get(key)
        if peer is None or peer.end is not None:
            peer = StatelessPeer(self, peer=connection.peer, principal=principal)
            if self._served.draining.is_set():
                self.router.drain(peer.requests)
            self.service.opened(peer)
            if key is not None:
                self._by_principal[key] = peer
        peer.connections += 1
        return peer

    def _closed(self, peers: _PeersOfConnection) -> None:
        for peer in peers.values():
            self._leave(peer)

    def _forget_idle(self, peers: _PeersOfConnection) -> None:
        for key, peer in list(peers.items()):
            if not len(peer.requests.in_flight):
                del peers[key]
                self._leave(peer)

    def _leave(self, peer: StatelessPeer) -> None:
        """Count one connection less for a peer, and end the peer after its last one."""
        peer.connections -= 1
        if peer.connections == 0:
            key = key_of(peer.principal)
            if key is not None and self._by_principal.get(key) is peer:
                del self._by_principal[key]
            peer.lose(ConnectionClosed("the connection was closed"))

    # --- open replies -----------------------------------------------------------------

    def forget(self, reply: PostReply) -> None:
        """See `OpenReplies`."""
        self._open.discard(reply)

    def check_times(self) -> None:
        """Keep the connections alive of requests that take long, and end listens whose authentication has ended."""
        now = time.time()
        for reply in list(self._open):
            if reply.response.expires_at <= now:
                reply.expire()
            reply.keep_alive()
