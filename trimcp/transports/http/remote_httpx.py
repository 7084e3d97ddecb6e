"""Requests to a server by httpx2: where the user brings a client of their own, or a proxy is in between.

Owns the library: what of it may go wrong becomes `ExchangeFailed` here. Imported by `remote`, and
only where it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx2
import trio

from trimcp.errors import ExchangeFailed, TrimcpError, UsageError
from trimcp.transports.http.remote import (
    CONNECT_TIMEOUT,
    KEPT,
    REDIRECTS,
    WRITE_TIMEOUT,
    Deadline,
    Remote,
    RemoteReply,
    redirected,
    shown,
)

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that it may take to let go of a response."""


class HttpxReply(RemoteReply):
    """See `RemoteReply`."""

    __slots__ = ("_pieces", "_response")

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        response.headers.encoding = "latin-1"  # as they are sent back, and as the direct way reads them
        self._pieces = response.aiter_bytes()
        self.status = response.status_code

    @property
    def fields(self) -> Mapping[str, str]:
        """See `RemoteReply`."""
        return self._response.headers

    async def next_piece(self) -> bytes | None:
        """See `RemoteReply`. For the task that made the request."""
        try:
            return await anext(self._pieces, None)
        except (httpx2.HTTPError, httpx2.StreamError) as exc:
            raise ExchangeFailed(f"the response broke off: {_reason(exc)}") from exc

    async def aclose(self) -> None:
        """See `RemoteReply`."""
        await self._pieces.aclose()
        await self._response.aclose()


class HttpxRemote(Remote):
    """See `Remote`."""

    def __init__(self, url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None) -> None:
        """`client`: one of the user's, which is not closed here.

        Its timeouts hold, but for that of reading: how long an answer may take is said by those of MCP's client,
        and a stream may be quiet for as long as nothing happens.
        """
        self.url = url
        self._headers = headers
        self._is_own = client is None
        self._client = client or httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT),
        )
        waits = self._client.timeout
        self._timeout = httpx2.Timeout(connect=waits.connect, read=None, write=waits.write, pool=waits.pool)

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
    ) -> AsyncIterator[RemoteReply]:
        """See `Remote`. Nothing is sent twice here."""
        reply = HttpxReply(await self._send(verb, headers, body, url or self.url))
        try:
            yield reply
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await reply.aclose()

    async def _send(self, verb: str, headers: Mapping[str, str], body: bytes | None, url: str) -> httpx2.Response:
        client = self._client
        if client.is_closed:
            raise ExchangeFailed(f"the httpx2 client for {shown(url)} is closed")
        is_endpoint = verb == "POST" and url == self.url
        named = {**self._headers, **{name.lower(): value for name, value in headers.items()}}
        try:
            fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        except UnicodeEncodeError:
            raise UsageError("the value of a header would not stay one line of Latin-1") from None
        try:
            for _ in range(2):
                request = client.build_request(verb, url, content=body, headers=fields, timeout=self._timeout)
                response = await client.send(request, stream=True, follow_redirects=False)
                if response.status_code not in REDIRECTS:
                    return response
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await response.aclose()
                url = redirected(url, response.headers.get("location", ""), response.status_code)
                if is_endpoint:
                    self.url = url
        except httpx2.ConnectError as exc:
            raise ExchangeFailed(f"cannot connect to {shown(url)}: {_reason(exc)}") from exc
        except httpx2.TimeoutException as exc:
            raise ExchangeFailed(f"{shown(url)} did not take the request in time") from exc
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as exc:
            raise ExchangeFailed(f"the connection to {shown(url)} broke: {_reason(exc)}") from exc
        except TrimcpError:
            raise
        except Exception as exc:  # whatever authentication and hooks of the user's raise
            raise ExchangeFailed(f"the httpx2 client failed: {type(exc).__name__}: {exc}") from exc
        raise ExchangeFailed(f"{shown(url)} redirects again and again")

    async def aclose(self) -> None:
        """See `Remote`."""
        if self._is_own:
            await self._client.aclose()


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
