"""The session of a client with a server over HTTP: one supervisor for its exchanges and actors.

In the modern era it has exchanges alone. A legacy session has an id that the server gave it, and two more actors: the
GetStream, and the SessionRecovery, which opens another session where the server has forgotten this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.errors import ConnectionClosed, ExchangeFailed, TrimcpError
from trimcp.http.client.exchange import OpenExchanges
from trimcp.http.client.get_stream import GetStream
from trimcp.http.client.http_client import ScopeDeadline
from trimcp.http.client.incoming import IncomingMessages
from trimcp.http.client.listen_recovery import ListenRecovery, NoticeSubscriber
from trimcp.http.client.post_queue import PostQueue
from trimcp.http.client.request_headers import RequestHeaders, ToolHeaders
from trimcp.http.client.session_recovery import FORGOTTEN, SessionRecovery
from trimcp.http.urls import shown
from trimcp.observability import events, log
from trimcp.session.negotiation import Agreement, Offer, initialize
from trimcp.session.reply_stream import SessionReplyStream
from trimcp.session.session import Session

if TYPE_CHECKING:
    from trimcp.http.client.http_client import HttpClient
    from trimcp.session.call import CallRoute
    from trimcp.session.session import Service
    from trimcp.types.jsonrpc import RequestId

DELETE_TIMEOUT: Final = 1.0
"""Seconds that the DELETE at the end of a legacy session may take."""


class HttpClientSession(Session):
    """The session with one server behind a URL."""

    supervisor: Supervisor

    def __init__(self, client: HttpClient, service: Service, *, reopen: bool) -> None:
        """
        Args:
            client: makes the requests; closed with the session.
            service: answers the requests of the server.
            reopen: whether another legacy session is opened where the server has forgotten this one.
        """
        super().__init__(service)
        self._http = client
        self._reopen = reopen
        self._headers = RequestHeaders(self)
        self._incoming = IncomingMessages(self, self._headers)
        self._closing = trio.Event()
        # Set when the session runs.
        self._exchanges: OpenExchanges
        self._posts: PostQueue
        self._recovery: SessionRecovery
        self._listen_recovery: ListenRecovery
        self._get_stream: GetStream

    # --- Session ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The URL, without its secrets."""
        return shown(self._http.url)

    def _open_streams(self, supervisor: Supervisor) -> tuple[PostQueue, SessionReplyStream]:
        http, fields, incoming = self._http, self._headers, self._incoming
        recovery = self._recovery = supervisor.add(SessionRecovery(supervisor, self, allowed=self._reopen))
        listens = self._listen_recovery = supervisor.add(ListenRecovery(supervisor))
        self._get_stream = supervisor.add(GetStream(self, http, fields, incoming, recovery, listens))
        self._exchanges = OpenExchanges(self, http, fields, incoming, recovery, listens)
        posts = self._posts = supervisor.add(PostQueue(supervisor, self.limits, self))
        return posts, SessionReplyStream(posts, self.limits.result_bytes, self.requests)

    async def _listen(self) -> None:
        await self._closing.wait()

    async def _close_medium(self) -> None:
        fields = self._headers.of_delete()
        if fields is not None:
            try:
                with trio.move_on_after(DELETE_TIMEOUT):
                    async with self._http.request("DELETE", fields, repeatable=True):
                        pass
            except ExchangeFailed as exc:
                log.debug(events.MESSAGE_LOST, peer=self.description, why=str(exc))
        if not self.is_running:  # called before as well, while an answer to `initialize` may still be read
            await self._http.aclose()

    @property
    def messages_read(self) -> int:
        """Messages that arrived so far."""
        return self._incoming.messages_read

    # --- for the connecting client ----------------------------------------------------

    @property
    def is_modern(self) -> bool:
        """Whether the revision that is spoken has no sessions."""
        return self._headers.is_modern

    @property
    def refusal(self) -> int | None:
        """The status of the response that refused `initialize`, if any."""
        return self._incoming.refusal

    @property
    def tool_headers(self) -> ToolHeaders:
        """The arguments of tools that go into header fields."""
        return self._headers.tool_headers

    async def tend(self, subscriber: NoticeSubscriber, offer: Offer) -> None:
        """Bring back lost notices and sessions from now on; open the GET stream of a legacy session.

        Args:
            subscriber: the part of the client that asks for notices.
            offer: the client's, for a legacy session that takes the place of this one.
        """
        revision = self.revision
        assert revision is not None, "client and server have agreed on a revision"
        self._listen_recovery.serve(subscriber)
        if self.is_modern:
            if offer.extensions is not None:
                self._headers.add_named_params(offer.extensions.named_params(revision))
            return
        self._recovery.allow(attrs.evolve(offer, revisions=[revision]))
        await self._get_stream.open()

    # --- calls and posts --------------------------------------------------------------

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: CallRoute | None
    ) -> None:
        """See `Session`."""
        if not self.is_running or self._end is not None:  # such as an unsubscribe after the end
            self.calls.failed(id, (self._end or ConnectionClosed("the session is not open")).again())
            return
        self._exchanges.start(id, method, params, frame)

    def give_up_call(self, id: RequestId, why: str, via: CallRoute | None) -> None:
        """See `Session`. It closes the response; in the legacy era the server is told first."""
        if not self.is_modern and self.revision is not None:
            super().give_up_call(id, why, None)
        self._exchanges.cancel(id)

    async def post(self, frame: bytes) -> None:
        """Post a notification or an answer, to the session that there is now and no later one.

        Raises:
            ExchangeFailed: it has not arrived.
        """
        generation, id = self._recovery.generation, self._headers.session_id
        with trio.move_on_after(self.limits.write_timeout) as scope:
            fields = self._headers.of_post()
            async with self._http.request("POST", fields, frame, deadline=ScopeDeadline(scope)) as reply:
                if 200 <= reply.status < 300:
                    if reply.media_type != "text/event-stream":
                        await reply.body(self.limits.message_bytes)  # its connection can be used again
                    return
                if reply.status == 404 and id is not None:
                    self._recovery.recover_soon(generation)
                    raise ExchangeFailed(FORGOTTEN, reply.status)
                raise ExchangeFailed(f"the server did not accept a message (status {reply.status})", reply.status)
        raise ExchangeFailed("the server did not accept a message in time")

    # --- for the SessionRecovery ------------------------------------------------------

    async def open_another(self, offer: Offer) -> Agreement:
        """Open a legacy session in the place of the one that the server has forgotten.

        Raises:
            TrimcpError: the server opens none.
        """
        self._headers.session_id = None
        self._posts.forget()
        try:
            return await initialize(self, offer, offer.revisions[0])
        except TrimcpError:
            self._headers.session_id = None
            raise
        finally:
            self._exchanges.give_up_initialize()

    async def replaced(self, agreement: Agreement) -> None:
        """Ask the new session for the notices and the GET stream of the old one."""
        self._listen_recovery.forgotten(agreement)
        await self._get_stream.open()
