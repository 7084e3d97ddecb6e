"""HTTP+SSE, the transport of 2024-11-05: one event stream out, and a path to post to (basic/transports).

The event stream is the connection, so it is served as a duplex, and its session ends with it. Where nodes share a
store, a message that is posted to another node is passed on to the one that has the stream: see `sse_posts`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

import attrs
import trio

from trimcp.errors import ConnectionClosed, ConnectionLost, UsageError
from trimcp.framing.lines import DEFAULT_LINE_LIMIT, HEAD, LineJoiner
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.server.content_negotiation import is_encoded
from trimcp.http.server.post_reply import EVENTS, delivery_of, respond_encoded, respond_error
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.session_node import digest_of
from trimcp.http.server.sse_posts import NOT_FOUND, UNAVAILABLE, SsePost, SsePosts, SseStreams
from trimcp.protocol.principal import key_of
from trimcp.session.delivery import Delivery
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.expiry import ended_at_expiry
from trimcp.session.refusals import retry_data
from trimcp.transports.duplex import Duplex, Frame, Oversized
from trimcp.types.jsonrpc import BUSY, INVALID_REQUEST, TOO_MANY_SESSIONS

INBOX_MESSAGES: Final = 64
INBOX_BYTES: Final = 1024 * 1024
"""Bounds of the posted messages that wait for the session. A single message may have more bytes, up to its limit."""
PIECE: Final = 65536
"""Bytes after which a sender waits until they have left."""

_REFERENCE: Final = re.compile(r"[!-\"$->@-~]*")
ACCEPTED: Final = 202
KEY: Final = "session_id"
"""The parameter of the POST URL that names the session."""


class SseDuplex(Duplex):
    """One event stream as the way out, and posted messages as the way in.

    Args:
        response: the way out, whose head was begun. It is owned, and ended with this.
        description: the other end, for logs and errors.
        limit: bytes that a posted message may have; a longer one arrives as `Oversized`.
    """

    half_closes = False

    def __init__(self, response: HttpResponse, description: str, *, limit: int = DEFAULT_LINE_LIMIT) -> None:
        self._response = response
        self._description = description
        self._limit = limit
        self._lines = LineJoiner()
        self._inbox: list[Frame] = []
        self._inbox_bytes = 0
        self._arrived = trio.Event()
        self._cleared = trio.Event()
        self._is_closed = False
        response.on_clear = self._on_clear
        response.on_gone = self._wake

    # --- for the endpoint -------------------------------------------------------------

    def open(self, endpoint: str) -> None:
        """Send the `endpoint` event, which tells the client where to post.

        Args:
            endpoint: a URI reference, relative to the URL of the stream.
        """
        self._response.write(b"event: endpoint\ndata: %s\n\n" % endpoint.encode())

    def feed(self, message: bytes) -> bool:
        """Take a posted message. Returns False, and does not take it, if too many wait for the session."""
        if self._is_over:
            return False
        size = len(message)
        if self._inbox and (len(self._inbox) >= INBOX_MESSAGES or self._inbox_bytes + size > INBOX_BYTES):
            return False
        if size > self._limit:
            self._inbox.append(Oversized(self._limit, message[:HEAD]))
        else:
            self._inbox.append(message)
            self._inbox_bytes += size
        self._arrived.set()
        return True

    def keep_alive(self) -> None:
        """Write a comment, so that proxies keep the stream open."""
        if not self._is_over and not self._response.is_clogged:
            self._response.write(b": \n\n")

    # --- Duplex -----------------------------------------------------------------------

    async def receive(self) -> Sequence[Frame]:
        """See `Duplex`."""
        if self._inbox or self._is_over:
            await trio.lowlevel.checkpoint()
        while not self._inbox and not self._is_over:
            self._arrived = trio.Event()
            await self._arrived.wait()
        if self._is_closed:
            raise self._closed()
        frames, self._inbox, self._inbox_bytes = self._inbox, [], 0
        return frames

    def try_send(self, data: bytes) -> int:
        """See `Duplex`."""
        self._check_sending()
        if self._response.is_clogged:
            return 0
        self._write(self._lines.feed(data))
        return len(data)

    async def send_all(self, data: bytes) -> None:
        """See `Duplex`."""
        self._check_sending()
        await trio.lowlevel.checkpoint()
        messages: list[str] = []
        size = 0
        for message in self._lines.feed(data):
            messages.append(message)
            size += len(message)
            if size >= PIECE:
                await self._write_out(messages)
                messages, size = [], 0
        if messages:
            await self._write_out(messages)

    async def send_eof(self) -> None:
        """See `Duplex`. Nothing is sent, since the stream is the connection."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """See `Duplex`."""
        if not self._is_closed:
            self._is_closed = True
            self._inbox.clear()
            self._response.end()
            self._wake()
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        """See `Duplex`."""
        return self._description

    async def _write_out(self, messages: list[str]) -> None:
        while True:
            self._check_sending()
            if not self._response.is_clogged:
                break
            self._cleared = trio.Event()
            await self._cleared.wait()
        self._write(messages)

    def _write(self, messages: list[str]) -> None:
        self._response.write(b"".join(b"event: message\ndata: %s\n\n" % message.encode() for message in messages))

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._response.is_gone

    def _on_clear(self) -> None:
        self._cleared.set()

    def _wake(self) -> None:
        self._arrived.set()
        self._cleared.set()

    def _check_sending(self) -> None:
        if self._is_closed:
            raise self._closed()
        if self._response.is_gone:
            raise ConnectionLost(f"the peer of {self._description} has gone")

    def _closed(self) -> ConnectionClosed:
        return ConnectionClosed(f"this side has closed {self._description}")


def check_reference(messages: str) -> None:
    """Check the URI reference that clients are told to post to.

    Raises:
        UsageError: it is not a URI reference, or has a query or a fragment.
    """
    if not _REFERENCE.fullmatch(messages):
        raise UsageError(
            f"Invalid messages={messages!r}: give a path as clients see it, such as /tools/messages, without a query"
        )


class Sse2024(SseStreams):
    """Serves `/sse` and `/messages` of one endpoint."""

    _posts: SsePosts | None = None

    def __init__(self, served: ServedRun, nursery: trio.Nursery, messages: str | None = None) -> None:
        """
        Args:
            served: the run of the server.
            nursery: where the sessions run.
            messages: the URI reference that clients are told to post to; None for `/messages` below the mount.
        """
        self._served = served
        self._nursery = nursery
        self._messages = messages
        self._open: dict[str, tuple[SseDuplex, DuplexSession]] = {}
        """The digest of a session's id to the stream, and the session of the principal that opened it."""

    def share(self, posts: SsePosts) -> None:
        """Pass posts on to other nodes, and take theirs, from now on."""
        self._posts = posts

    async def open(self, request: HttpRequest, response: HttpResponse) -> None:
        """Open a stream and its session: GET `/sse`."""
        served = self._served
        duplex = SseDuplex(response, f"sse {request.connection.peer}", limit=served.service.limits.message_bytes)
        session = DuplexSession(duplex, served.service, served.admission, delivery=delivery_of(request))
        if not served.admits(session):
            data = retry_data("too many sessions")
            respond_error(response, 503, TOO_MANY_SESSIONS, "Too many sessions: try again later", data)
            return
        served.service.opened(session)  # now, and not when it runs: another session may ask `admits` before
        id = secrets.token_urlsafe(24)
        if self._posts is not None:
            id = self._posts.new_id(id)
        digest = digest_of(id)
        self._open[digest] = (duplex, session)
        response.begin(200, EVENTS)
        mount = "" if request.scope is None else str(request.scope.get("root_path", "")).rstrip("/")
        duplex.open(f"{self._messages or f'{mount}/messages'}?{KEY}={id}")
        await self._nursery.start(self._run, digest, session)

    async def _run(self, digest: str, session: DuplexSession, *, task_status: trio.TaskStatus[object]) -> None:
        try:
            with ended_at_expiry(session, self._nursery):
                await session.run(task_status=task_status)
        finally:
            self._open.pop(digest, None)
            self._served.service.ended(session)

    async def post(self, request: HttpRequest, response: HttpResponse) -> None:
        """Hand a message to its session: POST `/messages`.

        Raises:
            StoreFailed: the session may be at another node, and the store does not tell whether that node lives.
        """
        if is_encoded(request.fields):
            respond_encoded(response)
            return
        id = parse_qs(request.query.decode("latin-1")).get(KEY, [""])[0]
        principal, digest = request.principal, digest_of(id)
        post = SsePost(digest, key_of(principal), frozenset() if principal is None else principal.scopes, request.body)
        if self._posts is not None and digest not in self._open:
            status = await self._posts.pass_on(id, post)
        else:
            status = self._take(post, delivery_of(request))
        if status == NOT_FOUND:
            respond_error(response, status, INVALID_REQUEST, "Session not found: open a stream by GET /sse")
        elif status == UNAVAILABLE:
            text = "Busy: earlier messages of this session have not been read yet"
            respond_error(response, status, BUSY, text, retry_data("busy"))
        else:
            response.respond(status, ())

    def take(self, post: SsePost) -> int:
        """See `SseStreams`. The header fields of the post stay at the node that got it."""
        _, session = self._open.get(post.session, (None, None))
        if session is None or session.principal is None:
            return self._take(post, None)
        return self._take(post, session.delivery.with_principal(attrs.evolve(session.principal, scopes=post.scopes)))

    def _take(self, post: SsePost, delivery: Delivery | None) -> int:
        """Hand a post to a session of this node; return the HTTP status."""
        duplex, session = self._open.get(post.session, (None, None))
        if duplex is None or session is None or key_of(session.principal) != post.sender:
            return NOT_FOUND
        if delivery is not None:
            widen(session, delivery)
        message = post.body
        if b"\n" in message.strip():
            # One line is one message to the session; JSON text may be spread over several lines.
            message = b" ".join(message.split(b"\n")).replace(b"\r", b" ")
        return ACCEPTED if duplex.feed(message) else UNAVAILABLE

    def end_all(self) -> None:
        """See `SseStreams`."""
        for _, session in list(self._open.values()):
            session.close()

    def leave(self) -> None:
        """Take no more posts of other nodes: the endpoint has ended."""
        if self._posts is not None:
            self._posts.leave()

    def check_times(self) -> None:
        """See `Timed`."""
        for duplex, _ in list(self._open.values()):
            duplex.keep_alive()


def widen(session: DuplexSession, delivery: Delivery) -> None:
    """Give a session the scopes of a newer token of its principal, which the client got by a step-up.

    The messages of a stream have one delivery, so a token with fewer scopes changes nothing: its own request was
    checked by its own scopes before.
    """
    known, shown = session.principal, delivery.principal
    if known is not None and shown is not None and shown.scopes > known.scopes:
        session.delivery = delivery
