"""Stands between clients and a server at a URL, passes HTTP requests on, and records messages."""

from __future__ import annotations

import functools
from typing import Final
from urllib.parse import urlsplit

import trio

from trimcp.errors import ExchangeFailed, UsageError
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal, cleared
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.tapped_client import TappedHttpClient
from trimcp.http.h1.server import HttpServer
from trimcp.http.server.origins import is_loopback
from trimcp.http.server.security import RequestGuard
from trimcp.observability.wire_tap import WireTap
from trimcp.transports.socket import host_and_port

OWN: Final = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("host", "content-length", "expect", "accept-encoding", "date", "server"),
    )
)
"""Fields that are of one connection, or written by each side itself."""
STUCK: Final = 60.0
"""Seconds for which a client may not read. Then its response is broken off."""
BODY_LIMIT: Final = 32 * 2**20


class RecordingProxy:
    """The `Handler` of a proxy in front of one server. It records only what is sent to the URL of the server."""

    body_limit: int = BODY_LIMIT

    def __init__(self, url: str, tap: WireTap) -> None:
        """
        Args:
            url: of the server.
            tap: is told of the exchanges.

        Raises:
            UsageError: the URL is not valid, or a library is missing.
        """
        self._plain = http_client_for(url, {})
        self._tapped = TappedHttpClient(self._plain, tap)
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._path = parts.path or "/"
        self._guard = RequestGuard(loopback=True)
        self._nursery: trio.Nursery | None = None

    async def serve(
        self, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled. The status is the URL for clients.

        Raises:
            UsageError: the address cannot be listened on.
        """
        self._guard = RequestGuard(loopback=is_loopback(host))
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                server = HttpServer(self, nursery)
                address = await nursery.start(functools.partial(server.serve_tcp, host=host, port=port))
                task_status.started(f"http://{host_and_port(*address)}{self._path}")
        finally:
            with trio.move_on_after(1, shield=True):
                await self._plain.aclose()

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        return self._guard.refuse(request)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        assert self._nursery is not None, "requests come while it serves"
        self._nursery.start_soon(self._pass_on, request, response)
        await trio.lowlevel.checkpoint()

    async def _pass_on(self, request: HttpRequest, response: HttpResponse) -> None:
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.fields.items()}
        fields = {name: value for name, value in fields.items() if name not in OWN}
        query = f"?{request.query.decode('latin-1')}" if request.query else ""
        is_mcp = request.path == self._path
        # Other paths are those of a sign-in, whose bodies are secrets.
        client = self._tapped if is_mcp else self._plain
        url = None if is_mcp and not query else f"{self._origin}{request.path}{query}"
        has_begun = False
        with trio.CancelScope() as scope:
            response.on_gone = scope.cancel
            try:
                async with client.request(request.method, fields, request.body or None, url=url) as answer:
                    kept = [(n.lower(), v) for n, v in answer.fields.items() if n.lower() not in OWN]
                    response.begin(answer.status, [(n.encode(), v.encode("latin-1")) for n, v in kept])
                    response.write(b"")  # the head leaves now: a stream may have nothing to say for long
                    has_begun = True
                    while (data := await answer.next_piece()) is not None:
                        response.write(data)
                        if not await cleared(response, STUCK):
                            response.abort()
                            return
                    response.end()
            except (ExchangeFailed, UsageError) as exc:
                if has_begun:
                    response.abort()
                else:
                    response.respond(502, PLAIN, f"{exc}\n".encode())
