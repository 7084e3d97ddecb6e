"""HTTP requests to a server, by httpx2: one at a time each, and what breaks one breaks no other.

Owns the library: what of it may go wrong becomes `ExchangeFailed` here, with words that say what
happened. What is sent, and what the answer means, is the client's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import trio

from trimcp.errors import ExchangeFailed, UsageError

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that a connection may take to be made."""
WRITE_TIMEOUT: Final = 30.0
"""Seconds that the server may take nothing of what is sent."""
CLOSE_TIMEOUT: Final = 1.0
"""Seconds that it may take to let go of a response."""
KEPT: Final = 32
"""Connections without a request that are kept."""


class RemoteReply:
    """The response to one request: its head, and its body as it comes."""

    __slots__ = ("_pieces", "_response", "fields", "status")

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._pieces = response.aiter_bytes()
        self.status: int = response.status_code
        self.fields: Mapping[str, str] = response.headers
        """Header fields; names in any case."""

    @property
    def media_type(self) -> str:
        """`text/event-stream`, `application/json`, …, or nothing."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server says to wait."""
        said = self.fields.get("retry-after", "")
        return float(said) if said.isdecimal() else None

    async def next_piece(self) -> bytes | None:
        """The next piece of the body that arrives; None at its end. For the task that made the request.

        Raises:
            ExchangeFailed: the connection broke.
        """
        import httpx2

        try:
            return await anext(self._pieces, None)
        except (httpx2.HTTPError, httpx2.StreamError) as exc:
            raise ExchangeFailed(f"the response broke off: {_reason(exc)}") from exc

    async def body(self, most: int) -> bytes:
        """The whole body.

        Raises:
            ExchangeFailed: the connection broke, or the body is longer than `most` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.next_piece()) is not None:
            size += len(piece)
            if size > most:
                raise ExchangeFailed(f"the response is longer than {most} bytes", self.status)
            pieces.append(piece)
        return b"".join(pieces)

    async def aclose(self) -> None:
        """Let go of it."""
        await self._pieces.aclose()
        await self._response.aclose()


class Remote:
    """One URL, and the connections to its server."""

    def __init__(self, url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None = None) -> None:
        """
        Args:
            url: of the endpoint.
            headers: sent with every request.
            client: one of the user's, for certificates, proxies and the like; it is not closed here.

        Raises:
            UsageError: that is no URL, or httpx2 is not installed.
        """
        try:
            import httpx2
        except ImportError as exc:
            raise UsageError("httpx2 is missing: pip install 'trimcp[http]'") from exc
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no URL of a server: write https://HOST/PATH")
        self.url = url
        self._headers = dict(headers)
        self._is_own = client is None
        self._client = client or httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT),
        )

    @asynccontextmanager
    async def request(
        self, verb: str, headers: Mapping[str, str], body: bytes | None = None, *, url: str | None = None
    ) -> AsyncIterator[RemoteReply]:
        """Make a request. Leaving the context lets go of the response; where it was not read to its end,
        its connection is closed.

        A redirect is followed where it leads to the same origin, and keeps method and body.

        Raises:
            ExchangeFailed: no response came.
        """
        reply = RemoteReply(await self._send(verb, headers, body, url or self.url))
        try:
            yield reply
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await reply.aclose()

    async def _send(self, verb: str, headers: Mapping[str, str], body: bytes | None, url: str) -> httpx2.Response:
        import httpx2

        client = self._client
        try:
            for _ in range(2):
                request = client.build_request(verb, url, content=body, headers={**self._headers, **headers})
                response = await client.send(request, stream=True, follow_redirects=False)
                if response.status_code not in (307, 308):
                    return response
                location = urljoin(url, response.headers.get("location", ""))
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await response.aclose()
                if urlsplit(location)[:2] != urlsplit(url)[:2]:
                    # What is sent may carry secrets for the server that was named, and nobody else.
                    raise ExchangeFailed(f"the server redirects elsewhere, to {_shown(location)}", response.status_code)
                url = location
                if verb == "POST":
                    self.url = url
        except httpx2.ConnectError as exc:
            raise ExchangeFailed(f"cannot connect to {_shown(url)}: {_reason(exc)}") from exc
        except httpx2.TimeoutException as exc:
            raise ExchangeFailed(f"{_shown(url)} did not take the request in time") from exc
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as exc:
            raise ExchangeFailed(f"the connection to {_shown(url)} broke: {_reason(exc)}") from exc
        raise ExchangeFailed(f"{_shown(url)} redirects again and again")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._is_own:
            await self._client.aclose()


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    parts: Any = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
