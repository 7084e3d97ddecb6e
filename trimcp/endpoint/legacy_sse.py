"""HTTP+SSE, the transport of 2024-11-05: one event stream out, and a path to post to (basic/transports).

The stream is the connection: a duplex like any other, so the session on it is too, and it ends
with the stream.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import trio

from trimcp.endpoint.posting import delivery_of, refuse
from trimcp.endpoint.reply import EVENTS
from trimcp.protocol.principal import key_of
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.refusals import another_time
from trimcp.transports.http.door import HttpRequest, HttpResponse
from trimcp.transports.http.sse_duplex import SseDuplex
from trimcp.types.jsonrpc import BUSY, INVALID_REQUEST, TOO_MANY_SESSIONS

if TYPE_CHECKING:
    from trimcp.endpoint.host import Host

KEY: Final = "session_id"


class LegacySse:
    """The streams of one endpoint that clients of 2024-11-05 have open."""

    def __init__(self, host: Host, nursery: trio.Nursery) -> None:
        """Sessions live in `nursery`."""
        self._host = host
        self._nursery = nursery
        self._open: dict[str, tuple[SseDuplex, str | None]] = {}
        """By the session's id: its stream, and the key of the principal that opened it."""

    async def begin(self, request: HttpRequest, response: HttpResponse) -> None:
        """Take a GET of `/sse`: open a stream."""
        host = self._host
        duplex = SseDuplex(response, f"sse {request.connection.peer}", limit=host.service.limits.message_bytes)
        session = DuplexSession(duplex, host.service, host.admission, delivery=delivery_of(request))
        if not host.admits(session):
            data = another_time("too many sessions")
            refuse(response, 503, TOO_MANY_SESSIONS, "The server takes no more sessions now", data)
            return
        host.service.opened(session)  # now, and not when it runs: others may want to be let in before
        id = secrets.token_urlsafe(24)
        self._open[id] = (duplex, key_of(request.principal))
        response.begin(200, EVENTS)
        mount = "" if request.scope is None else str(request.scope.get("root_path", "")).rstrip("/")
        duplex.open(f"{mount}/messages?{KEY}={id}")
        await self._nursery.start(self._run, id, session)

    async def _run(self, id: str, session: DuplexSession, *, task_status: trio.TaskStatus[object]) -> None:
        try:
            await session.run(task_status=task_status)
        finally:
            self._open.pop(id, None)
            self._host.service.ended(session)

    def post(self, request: HttpRequest, response: HttpResponse) -> None:
        """Take a POST to `/messages`."""
        shown = parse_qs(request.query.decode("latin-1")).get(KEY, [""])[0]
        duplex, owner = self._open.get(shown, (None, None))
        # To anybody but its owner there is no such session.
        if duplex is None or owner != key_of(request.principal):
            refuse(response, 404, INVALID_REQUEST, "There is no such session")
        elif b"\n" in request.body.strip():
            # One line is one message to the session; JSON text may be spread over several.
            self._feed(duplex, b" ".join(request.body.split(b"\n")).replace(b"\r", b" "), response)
        else:
            self._feed(duplex, request.body, response)

    def _feed(self, duplex: SseDuplex, message: bytes, response: HttpResponse) -> None:
        if duplex.feed(message):
            response.respond(202, ())
        else:
            data = another_time("busy")
            refuse(response, 503, BUSY, "Busy: earlier messages of this session have not been read yet", data)

    def tend(self) -> None:
        """Keep the streams alive."""
        for duplex, _ in list(self._open.values()):
            duplex.keep_alive()
