"""An HTTP client whose requests and responses a wire tap is told of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from trimcp.http.client.http_client import Deadline, HttpClient, HttpClientResponse, WrappedHttpClient
from trimcp.observability.wire_tap import ExchangeTap, WireTap


class TappedHttpClient(WrappedHttpClient):
    """Tells the tap of the requests and responses of another client."""

    def __init__(self, client: HttpClient, tap: WireTap) -> None:
        """`client`: see `WrappedHttpClient`."""
        super().__init__(client)
        self._tap = tap

    @asynccontextmanager
    async def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Deadline | None = None,
    ) -> AsyncIterator[HttpClientResponse]:
        """See `HttpClient`."""
        session_id = next((value for name, value in headers.items() if name.lower() == "mcp-session-id"), None)
        exchange = self._tap.exchange(verb, session_id, body or b"")
        left = False
        try:
            asked = self._client.request(verb, headers, body, url=url, repeatable=repeatable, deadline=deadline)
            async with asked as inner:
                response = _TappedResponse(inner, exchange)
                left = True
                yield response
                left = not response.has_ended
        finally:
            exchange.ended(left=left)


class _TappedResponse(HttpClientResponse):
    """Passes on to another response, and tells the tap of what is read."""

    __slots__ = ("_inner", "_tap", "has_ended")

    def __init__(self, inner: HttpClientResponse, tap: ExchangeTap) -> None:
        self.status = inner.status
        self.has_ended: bool = False
        self._inner = inner
        self._tap = tap
        tap.answered(inner.status, self.media_type, inner.fields.get("mcp-session-id"))

    @property
    def fields(self) -> Mapping[str, str]:
        """See `HttpClientResponse`."""
        return self._inner.fields

    async def next_piece(self) -> bytes | None:
        """See `HttpClientResponse`."""
        piece = await self._inner.next_piece()
        if piece is None:
            self.has_ended = True
        else:
            self._tap.piece(piece)
        return piece
