"""A client's session over HTTP: requests as exchanges of their own, and one supervisor for all of them.

In the modern era there is nothing else. A legacy session has an id that the server gave it, and two actors: the
GetStream, and the SessionRecovery, which opens another session where the server has forgotten this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.client.http.exchange import Exchange
from trimcp.client.http.get_stream import GetStream
from trimcp.client.http.post_queue import PostQueue
from trimcp.client.http.session_recovery import FORGOTTEN, SessionRecovery
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import ConnectionClosed, ConnectionLost, ExchangeFailed, UsageError
from trimcp.framing import headers
from trimcp.observability import events, log, tracing
from trimcp.session.outlet import SessionOutlet
from trimcp.session.session import Session
from trimcp.transports.http.remote import ScopeDeadline, shown
from trimcp.types.jsonrpc import ErrorResponse, Request, Response
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.http.listen_recovery import ListenRecovery
    from trimcp.client.negotiation import Agreement
    from trimcp.framing.header_params import HeaderParams
    from trimcp.session.calls import Way
    from trimcp.session.service import Service
    from trimcp.transports.http.remote import Remote, RemoteReply
    from trimcp.types.jsonrpc import Message, RequestId

ACCEPT: Final = "application/json, text/event-stream"
SAYING_GOODBYE: Final = 1.0
"""Seconds that telling the server of the end may take."""

SESSION_ID: Final = headers.SHOWN[headers.SESSION_ID]
VERSION: Final = headers.SHOWN[headers.PROTOCOL_VERSION]
METHOD: Final = headers.SHOWN[headers.METHOD]
NAME: Final = headers.SHOWN[headers.NAME]
LAST_EVENT_ID: Final = headers.SHOWN[headers.LAST_EVENT_ID]


class RemoteSession(Session):
    """One server behind a URL."""

    supervisor: Supervisor
    recovery: SessionRecovery
    get_stream: GetStream

    def __init__(self, remote: Remote, service: Service, *, reopen: bool) -> None:
        """
        Args:
            remote: where the server is; it is closed with the session.
            service: what the client answers.
            reopen: whether another legacy session is begun where the server has forgotten this one.
        """
        super().__init__(service)
        self.remote = remote
        self._reopen = reopen
        self.session_id: str | None = None
        """What the server calls the legacy session; None where it gave it no name."""
        self.refusal: int | None = None
        """The status of the response that answered `initialize` with an error, if one did."""
        self.header_params: dict[str, HeaderParams] = {}
        """What of the arguments of a tool goes into header fields, by the tool's name."""
        self.named_params: Mapping[str, str] = headers.NAMED_PARAMS
        """The member of params that goes into `Mcp-Name`, by method."""
        self.listen_recovery: ListenRecovery | None = None
        """Brings back what the server was to tell, once there is a client."""
        self._exchanges: dict[RequestId, Exchange] = {}
        self._closing = trio.Event()
        self._posts: PostQueue
        self._read = 0

    # --- Session ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The URL, without what may be secret in it."""
        return shown(self.remote.url)

    def _way_out(self, supervisor: Supervisor) -> tuple[PostQueue, SessionOutlet]:
        self.recovery = supervisor.add(SessionRecovery(self, allowed=self._reopen))
        self.get_stream = supervisor.add(GetStream(self))
        posts = self._posts = supervisor.add(PostQueue(supervisor, self.limits, self))
        return posts, SessionOutlet(posts, self.limits.result_bytes, self.requests)

    async def _listen(self) -> None:
        await self._closing.wait()

    async def _close_medium(self) -> None:
        id, self.session_id = self.session_id, None
        if id is not None:
            fields = {SESSION_ID: id, **self._version_field()}
            try:
                with trio.move_on_after(SAYING_GOODBYE):
                    async with self.remote.request("DELETE", fields, repeatable=True):
                        pass
            except ExchangeFailed as exc:
                log.debug(events.MESSAGE_LOST, peer=self.description, why=str(exc))
        if not self.is_running:  # called before as well, while an answer to `initialize` may still be read
            await self.remote.aclose()

    @property
    def messages_read(self) -> int:
        """Messages that came so far."""
        return self._read

    @property
    def is_modern(self) -> bool:
        """Whether what is spoken has no sessions."""
        return self.revision is not None and self.revision.era is Era.MODERN

    # --- what comes -------------------------------------------------------------------

    def take_text(self, text: bytes, *, to: RequestId | None = None) -> None:
        """Take what came as one event: a message, or, in 2025-03-26, several.

        `to`: the request whose response it came in; None where it came by the GET stream.
        """
        try:
            value = loads(text, max_depth=self.limits.json_depth)
            for one in value if type(value) is list else [value]:
                message = read_message(one)
                if to is not None and type(message) is ErrorResponse and message.id is None:
                    message = ErrorResponse(to, message.error)  # whose id the server could not read
                if to is not None and self.is_modern and _answers_another(message, to):
                    log.debug(events.RESPONSE_IGNORED, id=to, why="nobody asked for it here")
                    continue
                self.take(message, len(text))
        except InvalidJson as exc:
            log.warning(events.MESSAGE_REFUSED, peer=self.description, why=exc.reason)
        except InvalidMessage as exc:
            if exc.kind == "response":
                self.calls.invalid_response(exc.id, str(exc))
            else:
                log.warning(events.MESSAGE_REFUSED, peer=self.description, why=str(exc))

    def take(self, message: Message, size: int) -> None:
        """Hand a message to whom it concerns."""
        self._read += 1
        if type(message) is Request and self.is_modern:
            # It must not be answered: there is no such thing as a request of a server's any more.
            log.warning(events.MESSAGE_IGNORED, peer=self.description, method=message.method, why="it is a request")
            return
        try:
            self.dispatcher.take(message, self.outlet, size, trio.current_time())
        except ConnectionLost as exc:
            self.lose(exc)

    # --- what goes --------------------------------------------------------------------

    def send_call(
        self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None
    ) -> None:
        """See `Session`."""
        if not self.is_running or self._end is not None:  # what is taken back when all is over, such as subscriptions
            self.calls.failed(id, (self._end or ConnectionClosed("the session is not open")).again())
            return
        try:
            fields = self._fields_of(method, params)
        except UsageError as exc:  # what cannot be said in a header
            self.calls.failed(id, exc)
            return
        exchange = self._exchanges[id] = Exchange(self, id, method, frame, fields)
        self.supervisor.nursery.start_soon(exchange.run, name=f"trimcp {method}")

    def give_up_call(self, id: RequestId, why: str, via: Way | None) -> None:
        """Nobody waits for an answer: close its stream, and, in the legacy era, say so first."""
        if not self.is_modern and self.revision is not None:
            super().give_up_call(id, why, None)
        exchange = self._exchanges.get(id)
        if exchange is not None:
            exchange.scope.cancel()

    def exchange_over(self, exchange: Exchange) -> None:
        """An exchange has ended, however it did."""
        self._exchanges.pop(exchange.id, None)

    async def post(self, frame: bytes) -> None:
        """Post a notification or an answer. One that a session was to have is not for another.

        Raises:
            ExchangeFailed: it has not arrived.
        """
        generation, id = self.recovery.generation, self.session_id
        with trio.move_on_after(self.limits.write_timeout) as scope:
            async with self.remote.request("POST", self.fields(), frame, deadline=ScopeDeadline(scope)) as reply:
                if 200 <= reply.status < 300:
                    if reply.media_type != "text/event-stream":
                        await reply.body(self.limits.message_bytes)  # its connection can be used again
                    return
                if reply.status == 404 and id is not None:
                    self.begin_again_soon(generation)
                    raise ExchangeFailed(FORGOTTEN, reply.status)
                raise ExchangeFailed(f"the server did not take it (status {reply.status})", reply.status)
        raise ExchangeFailed("the server did not say in time that it has taken it")

    # --- header fields ----------------------------------------------------------------

    def fields(self, method: str | None = None) -> dict[str, str]:
        """The header fields of every POST, but for what a modern request has beside them."""
        fields = {"Content-Type": "application/json", "Accept": ACCEPT}
        if method == "initialize":
            return fields
        if self.session_id is not None:
            fields[SESSION_ID] = self.session_id
        if not self.is_modern:
            fields |= self._version_field()
        return fields

    def _version_field(self) -> dict[str, str]:
        return {} if self.revision is None else {VERSION: self.revision.version}

    def _fields_of(self, method: str, params: Mapping[str, Any] | None) -> dict[str, str]:
        """What a modern request says in its head as well as in its body."""
        meta = None if params is None else params.get("_meta")
        if type(meta) is not dict or params is None or PROTOCOL_VERSION not in meta:
            return {}
        version = meta[PROTOCOL_VERSION]
        fields = {VERSION: version, METHOD: method}
        fields |= {key: meta[key] for key in tracing.KEYS if type(meta.get(key)) is str}
        name = headers.named_param(method, params, self.named_params)
        if name is not None:
            fields[NAME] = headers.encode_value(name)
        if method == "tools/call" and name is not None:
            mirrored = self.header_params.get(name)
            if mirrored is not None:
                fields |= mirrored.extract(params.get("arguments"))
        return fields

    def listening_fields(self, last_event_id: bytes) -> dict[str, str]:
        """The header fields of a GET."""
        fields = {"Accept": "text/event-stream", **self._version_field()}
        if self.session_id is not None:
            fields[SESSION_ID] = self.session_id
        if last_event_id:
            fields[LAST_EVENT_ID] = last_event_id.decode("latin-1")
        return fields

    # --- a legacy session -------------------------------------------------------------

    def initialized(self, reply: RemoteReply) -> None:
        """The server has answered `initialize`, and may have given the session an id."""
        if reply.status == 200:
            self.session_id = reply.fields.get(SESSION_ID)
        else:
            self.refusal = reply.status

    def may_begin_again(self) -> bool:
        """Whether a session that the server does not know any more is replaced by another."""
        return self.recovery.is_allowed

    async def ready(self) -> int:
        """Wait until there is a session to say something in; its generation. See `SessionRecovery.ready`."""
        return await self.recovery.ready()

    async def begin_again(self, generation: int) -> None:
        """Begin another session in place of the one of that generation. See `SessionRecovery.recover`."""
        await self.recovery.recover(generation)

    def begin_again_soon(self, generation: int) -> None:
        """The same for a task that does not wait."""
        self.recovery.recover_soon(generation)

    def session_replaced(self, agreement: Agreement) -> None:
        """There is another session, which knows nothing of what the server was to tell in the one before."""
        if self.listen_recovery is not None:
            self.listen_recovery.forgotten(agreement)

    def give_up_initialize(self) -> None:
        """Nobody waits any more for the answer to an `initialize` that timed out. The server is not told."""
        for exchange in self._exchanges.values():
            if exchange.method == "initialize":
                exchange.scope.cancel()

    def forget_posts(self) -> None:
        """What waits to leave was for a session that is gone."""
        self._posts.forget()

    # --- what the server tells --------------------------------------------------------

    def stream_lost(self) -> None:
        """A stream by which the server was to tell of changes has broken."""
        if self.listen_recovery is not None:
            self.listen_recovery.lost()

    def listen_lost(self, *, was_open: bool) -> None:
        """A `subscriptions/listen` has failed; one that the server never took up is its caller's business alone."""
        if was_open or (self.listen_recovery is not None and self.listen_recovery.is_asking):
            self.stream_lost()

    def deaf(self, why: str) -> None:
        """There will be no such stream any more."""
        if self.listen_recovery is not None:
            self.listen_recovery.give_up(why)


def _answers_another(message: Message, id: RequestId) -> bool:
    return isinstance(message, Response | ErrorResponse) and message.id != id
