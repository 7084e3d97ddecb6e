"""Connects to the server at a URL, in whatever revision it speaks: the newest first, then the older ones.

A probe tells modern and legacy servers apart, as on any transport. A server that takes neither may be one of
2024-11-05, with a stream at the same URL (basic/versioning and basic/transports/streamable-http of 2026-07-28,
"Backward Compatibility"). Where `known_servers` remembers the transport of a URL, that is tried first.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import trio

from trimcp.codec.envelope import read_message
from trimcp.codec.jsontext import loads
from trimcp.errors import ExchangeFailed, RequestFailed, SessionFailed, TrimcpError, UsageError
from trimcp.http.client.http_client import HttpClient, check_field
from trimcp.http.client.known_servers import KNOWN_SERVERS, Transport
from trimcp.http.client.listen_recovery import NoticeSubscriber
from trimcp.http.client.request_headers import ToolHeaders
from trimcp.http.client.session import HttpClientSession
from trimcp.http.urls import check_url, shown, without_credentials
from trimcp.observability import events, log
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.negotiation import MODERN_ERRORS, Offer
from trimcp.session.session import CLOSE_TIMEOUT, Service, Session
from trimcp.types.jsonrpc import Request
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    import httpx2

    from trimcp.http.client.authorization import Authorization

SSE_STATUSES: Final = frozenset((400, 404, 405))
"""Statuses by which a server that is asked to `initialize` shows that it may speak HTTP+SSE."""


class TendedClient(NoticeSubscriber, Protocol):
    """A client over HTTP, as its session tends it."""

    def stay(self) -> None:
        """Keep the listens of the program when a stream is lost."""
        ...

    def use_tool_headers(self, tool_headers: ToolHeaders) -> None:
        """Learn from lists of tools which arguments go into header fields."""
        ...


C = TypeVar("C", bound=TendedClient)
C_co = TypeVar("C_co", bound=TendedClient, covariant=True)


class Opening(Protocol[C_co]):
    """One try to open a client on one session."""

    @property
    def service(self) -> Service:
        """The service of the session."""
        ...

    def open(self, session: Session) -> AbstractAsyncContextManager[C_co]:
        """Run the session, and agree with the server on a revision."""
        ...


@asynccontextmanager
async def connect_http(
    url: str,
    offer: Offer,
    opening: Callable[[Offer], Opening[C]],
    *,
    headers: Mapping[str, str],
    http_client: httpx2.AsyncClient | None,
    authorization: Authorization | None,
    transport: Literal["http", "sse"] | None,
    reopen: bool,
    limit: int,
) -> AsyncIterator[C]:
    """Connect to the server at a URL.

    Args:
        url: of the server.
        offer: the revisions and capabilities of the client.
        opening: makes an `Opening` for an offer.
        headers: sent with every request.
        http_client: the user's httpx2 client, if any.
        authorization: of the client, if it has an auth hook.
        transport: the transport that the server is known to speak; None: find out.
        reopen: whether a legacy session that the server forgets is replaced.
        limit: bytes that a message may have.

    Raises:
        UsageError: the URL or a header is not valid.
        SessionFailed: client and server have no transport or revision in common.
        ExchangeFailed: the server cannot be reached, or refuses this client.
    """
    check_url(url)

    def client() -> HttpClient:
        made = http_client_for(url, headers, http_client)
        if authorization is None:
            return made
        from trimcp.http.client.authorization import AuthorizedHttpClient

        return AuthorizedHttpClient(made, authorization)

    async with AsyncExitStack() as stack:
        connecting = _Connecting(stack, url, client, opening, reopen=reopen, limit=limit)
        if transport == "sse":
            yield await connecting.by_sse(offer, None)
        elif transport == "http":
            yield await connecting.by_streamable_http(connecting.session(offer), offer)
        elif http_client is None and offer.has_both_eras:
            yield await connecting.by_known_transport(offer)
        else:  # other clients may find another transport there
            yield (await connecting.by_any_transport(offer))[0]


class _Connecting(Generic[C]):
    """Tries the transports of one server. The client that it returns lasts as long as the stack."""

    def __init__(
        self,
        stack: AsyncExitStack,
        url: str,
        client: Callable[[], HttpClient],
        opening: Callable[[Offer], Opening[C]],
        *,
        reopen: bool,
        limit: int,
    ) -> None:
        """See `connect_http`. `client`: makes an HTTP client; each session closes its own."""
        self._stack = stack
        self._url = url
        self._client = client
        self._opening = opening
        self._reopen = reopen
        self._limit = limit
        self._openings: dict[HttpClientSession, Opening[C]] = {}

    async def by_known_transport(self, offer: Offer) -> C:
        """Try the transport that another client found last, and all of them if there is none or it fails."""
        url, legacy = self._url, offer.only(Era.LEGACY)
        known = KNOWN_SERVERS.of(url)
        if known in ("legacy", "sse"):
            try:
                if known == "sse":
                    return await self.by_sse(legacy, None)
                return await self.by_streamable_http(self.session(legacy), legacy)
            except (SessionFailed, ExchangeFailed) as exc:
                KNOWN_SERVERS.forget(url)
                if isinstance(exc, ExchangeFailed) and exc.status is None:
                    raise  # the server cannot be reached by any transport
                log.debug(events.STREAM_LOST, why=f"the server has changed: {exc}")
        client, transport = await self.by_any_transport(offer)
        KNOWN_SERVERS.learn(url, transport)
        return client

    async def by_any_transport(self, offer: Offer) -> tuple[C, Transport]:
        """Try streamable HTTP, and then HTTP+SSE if the server may be one of 2024-11-05."""
        session = self.session(offer)
        try:
            client = await self.by_streamable_http(session, offer)
        except (SessionFailed, ExchangeFailed) as exc:
            if not (offer.of(Era.LEGACY) and _may_speak_sse(exc, session)):
                raise
            refusal = exc
        else:
            return client, "modern" if session.is_modern else "legacy"
        log.debug(events.STREAM_LOST, why=f"no streamable HTTP there: {refusal}")
        return await self.by_sse(offer, refusal), "sse"

    def session(self, offer: Offer) -> HttpClientSession:
        """Make a session with a server of any revision from 2025-03-26 on."""
        opening = self._opening(offer)
        client, tap = self._client(), opening.service.instruments.tap
        if tap is not None:
            from trimcp.http.client.tapped_client import TappedHttpClient

            client = TappedHttpClient(client, tap)
        session = HttpClientSession(client, opening.service, reopen=self._reopen)
        self._openings[session] = opening
        return session

    async def by_streamable_http(self, session: HttpClientSession, offer: Offer) -> C:
        """Open a client on a session."""
        return await self._stack.enter_async_context(_tended(self._openings.pop(session), session, offer))

    async def by_sse(self, offer: Offer, refusal: TrimcpError | None) -> C:
        """Open a client of a server of 2024-11-05. `refusal`: how it refused streamable HTTP."""
        opening = self._opening(offer.only(Era.LEGACY))
        return await self._stack.enter_async_context(_opened_by_sse(opening, self._client(), self._limit, refusal))


def _may_speak_sse(end: TrimcpError, session: HttpClientSession) -> bool:
    """Return whether a server that ended the negotiation so may be one of 2024-11-05."""
    if isinstance(end, ExchangeFailed):
        return end.status in SSE_STATUSES
    cause = end.__cause__
    is_known = not isinstance(cause, RequestFailed) or cause.code in MODERN_ERRORS
    return session.refusal in SSE_STATUSES and not is_known


@asynccontextmanager
async def _tended(opening: Opening[C], session: HttpClientSession, offer: Offer) -> AsyncIterator[C]:
    async with opening.open(session) as client:
        client.stay()
        if session.is_modern:
            client.use_tool_headers(session.tool_headers)
        await session.tend(client, offer)
        yield client


@asynccontextmanager
async def _opened_by_sse(
    opening: Opening[C], client: HttpClient, limit: int, refusal: TrimcpError | None
) -> AsyncIterator[C]:
    from trimcp.http.client.sse_2024 import open_sse_duplex

    try:
        async with AsyncExitStack() as stack:
            try:
                duplex = await stack.enter_async_context(open_sse_duplex(client, limit=limit))
            except ExchangeFailed as exc:
                if refusal is None and exc.status is None:
                    raise
                before = "" if refusal is None else f"{refusal}; and "
                raise SessionFailed(f"no MCP server was found at {shown(client.url)}: {before}{exc}") from exc
            session = DuplexSession(duplex, opening.service)
            duplex.on_lost = functools.partial(_lost, session)
            yield await stack.enter_async_context(opening.open(session))
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await client.aclose()


def _lost(session: DuplexSession, frame: bytes, failure: ExchangeFailed) -> None:
    """Fail the call whose request did not reach a server of 2024-11-05."""
    message = read_message(loads(frame))
    if isinstance(message, Request):
        session.calls.failed(message.id, failure)
    else:
        log.warning(events.MESSAGE_LOST, peer=session.description, why=str(failure))


def http_client_for(url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None = None) -> HttpClient:
    """Make the HTTP client for a URL: on Trio's sockets, or on httpx2. Nothing is connected yet.

    Args:
        url: of the endpoint. A user and a password in it go into an `Authorization` field.
        headers: sent with every request.
        client: the user's, for certificates, proxies and the like; it is not closed here.

    Raises:
        UsageError: the URL or a header is not valid, or a library is missing.
    """
    check_url(url)
    own: dict[str, Any] = {name.lower(): value for name, value in headers.items()}
    for name, value in own.items():
        check_field(name, value)
    url, credentials = without_credentials(url)
    if credentials is not None:
        own.setdefault("authorization", credentials)
    why = "an httpx2 client was given" if client is not None else _why_httpx(url)
    if why is None:
        try:
            from trimcp.http.client.pooled_client import PooledHttpClient
        except ImportError as exc:
            if exc.name != "httptools":
                raise
            why = "httptools is missing (pip install '.[http]' in a checkout of trimcp)"
        else:
            return PooledHttpClient(url, own)
    try:
        from trimcp.http.client.httpx_client import HttpxClient
    except ImportError as exc:
        if exc.name != "httpx2":
            raise
        raise UsageError(f"{why}, and httpx2 is not there either: pip install httpx2") from exc
    return HttpxClient(url, own, client)


def _why_httpx(url: str) -> str | None:
    """Return why requests to a URL need httpx2; None if they do not."""
    if sys.platform not in ("win32", "darwin") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # elsewhere the system may know of proxies as well; and the import costs 20 ms
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    parts = urlsplit(url)
    if not (proxies.get(parts.scheme) or proxies.get("all")) or proxy_bypass(parts.netloc):
        return None
    return "the environment names a proxy, which takes httpx2"
