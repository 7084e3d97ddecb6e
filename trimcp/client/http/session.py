"""A client's session over HTTP: requests as exchanges of their own, and one supervisor for all of them.

In the modern era there is nothing else. A legacy session has an id that the server gave it, and a
standing stream; where the server does not know it any more, another is begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.client.http.exchange import Exchange
from trimcp.client.http.posts import Posts
from trimcp.client.http.standing import StandingListener
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import ExchangeFailed
from trimcp.framing import headers
from trimcp.observability import events, log, tracing
from trimcp.session.outlet import SessionOutlet
from trimcp.session.session import Session
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.http.resuming import Resumer
    from trimcp.framing.header_params import HeaderParams
    from trimcp.session.calls import Way
    from trimcp.session.service import Service
    from trimcp.transports.http.remote import Remote
    from trimcp.types.jsonrpc import Message, RequestId

ACCEPT: Final = "application/json, text/event-stream"
SAYING_GOODBYE: Final = 1.0
"""Seconds that telling the server of the end may take."""
STANDING_PATIENCE: Final = 5.0
"""Seconds that the server has to open its standing stream before the client is handed out."""

SESSION_ID: Final = headers.SHOWN[headers.SESSION_ID]
VERSION: Final = headers.SHOWN[headers.PROTOCOL_VERSION]
METHOD: Final = headers.SHOWN[headers.METHOD]
NAME: Final = headers.SHOWN[headers.NAME]
LAST_EVENT_ID: Final = headers.SHOWN[headers.LAST_EVENT_ID]


class RemoteSession(Session):
    """One server behind a URL."""

    def __init__(self, remote: Remote, service: Service, *, reopen: bool) -> None:
        """
        Args:
            remote: where the server is; it is closed with the session.
            service: what the client answers.
            reopen: whether another legacy session is begun where the server has forgotten this one.
        """
        super().__init__(service)
        self.remote = remote
        self.generation = 0
        """Counts the legacy sessions that were begun."""
        self.header_params: dict[str, HeaderParams] = {}
        """What of the arguments of a tool goes into header fields, by the tool's name."""
        self.initialize: Callable[[], Awaitable[None]] | None = None
        """Opens a legacy session; set once the first is there."""
        self.named_params: Mapping[str, str] = headers.NAMED_PARAMS
        """The member of params that goes into `Mcp-Name`, by method."""
        self.resumer: Resumer | None = None
        """Brings back what the server was to tell."""
        self._reopen = reopen
        self._id: str | None = None
        self._exchanges: dict[RequestId, Exchange] = {}
        self._beginning = trio.Lock()
        self._closing = trio.Event()
        self._standing: StandingListener | None = None
        self._read = 0

    # --- Session ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The URL."""
        return self.remote.url

    def _way_out(self, nursery: trio.Nursery) -> tuple[Posts, SessionOutlet]:
        posts = Posts(self.limits, self.description, nursery, self._post)
        return posts, SessionOutlet(posts, self.limits.result_bytes)

    async def _listen(self) -> None:
        await self._closing.wait()

    async def _close_medium(self) -> None:
        if self._id is not None:
            id, self._id = self._id, None
            fields = {SESSION_ID: id, **self._version_field()}
            try:
                with trio.move_on_after(SAYING_GOODBYE):
                    async with self.remote.request("DELETE", fields):
                        pass
            except ExchangeFailed as exc:
                log.debug(events.MESSAGE_LOST, peer=self.description, why=str(exc))
        await self.remote.aclose()

    @property
    def _cut_short(self) -> bool:
        return False

    @property
    def messages_read(self) -> int:
        """Messages that came so far."""
        return self._read

    @property
    def is_modern(self) -> bool:
        """Whether what is spoken has no sessions."""
        return self.revision is not None and self.revision.era is Era.MODERN

    # --- what comes -------------------------------------------------------------------

    def take_text(self, text: bytes) -> None:
        """Take what came as one event: a message, or, in 2025-03-26, several."""
        try:
            value = loads(text, max_depth=self.limits.json_depth)
            for one in value if type(value) is list else [value]:
                self.take(read_message(one), len(text))
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
        self.intake.take(message, self.outlet, size, trio.current_time())

    # --- what goes --------------------------------------------------------------------

    def _send(self, id: RequestId, method: str, params: dict[str, Any] | None, frame: bytes, via: Way | None) -> None:
        exchange = self._exchanges[id] = Exchange(self, id, method, frame)
        exchange.fields = self._fields_of(method, params)
        assert self._nursery is not None
        self._nursery.start_soon(exchange.run, name=f"trimcp {method}")

    def _give_up(self, id: RequestId, reason: str, via: Way | None) -> None:
        """Nobody waits for an answer: close its stream, and, in the legacy era, say so first."""
        if not self.is_modern and self.revision is not None:
            super()._give_up(id, reason, None)
        exchange = self._exchanges.get(id)
        if exchange is not None:
            exchange.scope.cancel()

    def exchange_over(self, exchange: Exchange) -> None:
        """An exchange has ended, however it did."""
        self._exchanges.pop(exchange.id, None)

    async def _post(self, frame: bytes) -> None:
        """Post a notification or an answer."""
        for attempt in (1, 2):
            generation = self.generation
            async with self.remote.request("POST", self.fields(), frame) as reply:
                if reply.status in (200, 202, 204):
                    return
                if reply.status != 404 or attempt == 2 or not self.may_begin_again(None):
                    raise ExchangeFailed(f"the server did not take it (status {reply.status})", reply.status)
            await self.begin_again(generation)

    # --- header fields ----------------------------------------------------------------

    def fields(self) -> dict[str, str]:
        """The header fields of every POST."""
        fields = {"Content-Type": "application/json", "Accept": ACCEPT}
        if self._id is not None:
            fields[SESSION_ID] = self._id
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
        fields |= {key: meta[key] for key in tracing.KEYS if key in meta}
        name = headers.named_param(method, params, self.named_params)
        if name is not None:
            fields[NAME] = headers.encode_value(name)
        if method == "tools/call":
            mirrored = self.header_params.get(params["name"])
            if mirrored is not None:
                fields |= mirrored.extract(params.get("arguments"))
        return fields

    def listening_fields(self, last_event_id: bytes) -> dict[str, str]:
        """The header fields of a GET."""
        fields = {"Accept": "text/event-stream", **self._version_field()}
        if self._id is not None:
            fields[SESSION_ID] = self._id
        if last_event_id:
            fields[LAST_EVENT_ID] = last_event_id.decode("latin-1")
        return fields

    # --- a legacy session -------------------------------------------------------------

    def learn_id(self, fields: Mapping[str, str]) -> None:
        """The server has answered `initialize`, and may have given the session an id."""
        self._id = fields.get(SESSION_ID)

    async def stand(self) -> None:
        """Open the standing stream, as far as the server has one."""
        assert self._nursery is not None
        self._standing = StandingListener(self)
        self._nursery.start_soon(self._standing.run, name="trimcp standing stream")
        with trio.move_on_after(STANDING_PATIENCE):
            await self._standing.decided.wait()

    def may_begin_again(self, method: str | None) -> bool:
        """Whether a session that the server does not know any more is replaced by another."""
        return self._reopen and self._id is not None and method != "initialize" and self.initialize is not None

    async def begin_again(self, generation: int) -> None:
        """Begin another session in place of the one of that generation, unless somebody has done so already.

        Raises:
            ExchangeFailed: it cannot be begun.
        """
        async with self._beginning:
            if self.generation != generation:
                return
            assert self.initialize is not None
            log.info(events.SESSION_REOPENED, peer=self.description)
            self._id = None
            self.generation += 1
            await self.initialize()
            await self.stand()
            self.missed_something()

    def missed_something(self) -> None:
        """What the server said meanwhile is lost: whoever listens gets to know."""
        if self.resumer is not None:
            self.resumer.forgotten()

    def stream_lost(self) -> None:
        """A stream by which the server was to tell of changes has broken."""
        if self.resumer is not None:
            self.resumer.lost()
