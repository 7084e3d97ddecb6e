"""The HTTP client on httpx2: for users who bring an httpx2 client, and for proxies.

Imported only where it is used. The exceptions of httpx2 become `ExchangeFailed` here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx2
import trio

from trimcp.errors import ExchangeFailed, TrimcpError, UsageError
from trimcp.http.client.http_client import REDIRECTS, Deadline, HttpClient, HttpClientResponse
from trimcp.http.h1.request_head import COMPRESSED
from trimcp.http.h1.stream import CONNECT_TIMEOUT, MAX_IDLE_CONNECTIONS, WRITE_TIMEOUT
from trimcp.http.urls import redirected, shown

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that closing a response may take."""


class HttpxResponse(HttpClientResponse):
    """Wraps a response of httpx2. See `HttpClientResponse`."""

    __slots__ = ("_pieces", "_response")

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        response.headers.encoding = "latin-1"  # the encoding of the fields that are sent, and of the pooled client
        self._pieces = response.aiter_raw()
        self.status: int = response.status_code

    @property
    def fields(self) -> Mapping[str, str]:
        """See `HttpClientResponse`."""
        return self._response.headers

    async def next_piece(self) -> bytes | None:
        """See `HttpClientResponse`. For the task that made the request."""
        try:
            return await anext(self._pieces, None)
        except (httpx2.HTTPError, httpx2.StreamError) as exc:
            raise ExchangeFailed(f"the response broke off: {_reason(exc)}") from exc

    async def aclose(self) -> None:
        """Let go of the response. Idempotent."""
        await self._pieces.aclose()
        await self._response.aclose()


class HttpxClient(HttpClient):
    """Makes requests by httpx2. See `HttpClient`."""

    def __init__(self, url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None) -> None:
        """
        Args:
            url: of the endpoint, checked, and without credentials.
            headers: sent with every request, by their names in lower case, and checked.
            client: the user's client, which is not closed here; None makes one. Its timeouts hold, but for that of
                reading: MCP has timeouts of its own for answers, and a stream may be quiet for any time.
        """
        self.url: str = url
        self._headers = headers
        self._is_own = client is None
        self._client = client or httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT, write=WRITE_TIMEOUT),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=MAX_IDLE_CONNECTIONS),
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
    ) -> AsyncIterator[HttpClientResponse]:
        """See `HttpClient`. `repeatable` and `deadline` are not used: httpx2 sends nothing twice."""
        reply = HttpxResponse(await self._send(verb, headers, body, url or self.url))
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
        named = {
            "accept-encoding": "identity",
            **self._headers,
            **{name.lower(): value for name, value in headers.items()},
        }
        try:
            fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        except UnicodeEncodeError:
            raise UsageError("Invalid value of a header: give one line of Latin-1") from None
        try:
            for _ in range(2):
                request = client.build_request(verb, url, content=body, headers=fields, timeout=self._timeout)
                response = await client.send(request, stream=True, follow_redirects=False)
                if response.status_code not in REDIRECTS and not _is_compressed(response):
                    return response
                with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                    await response.aclose()
                if _is_compressed(response):
                    raise ExchangeFailed(f"the response of {shown(url)} is not valid: {COMPRESSED}")
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
        except Exception as exc:  # the user's authentication or hooks failed
            raise ExchangeFailed(f"the httpx2 client failed: {type(exc).__name__}: {exc}") from exc
        raise ExchangeFailed(f"{shown(url)} redirects again and again")

    async def aclose(self) -> None:
        """See `HttpClient`."""
        if self._is_own:
            await self._client.aclose()


def _is_compressed(response: httpx2.Response) -> bool:
    # httpx2 would inflate a piece of 64 KiB to any size before it is counted.
    return response.headers.get("content-encoding", "identity").lower() not in ("identity", "")


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
