"""Reaching the server at a URL, whatever it speaks: the newest first, then what came before.

Modern and legacy are told apart as on any transport, by a probe; a server that takes neither may be
one of 2024-11-05, with a stream at the same URL (basic/versioning and
basic/transports/streamable-http of 2026-07-28, "Backward Compatibility"). Where it is known what is
spoken there, that is tried first.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import attrs
import trio

from trimcp.client.http.findings import FINDINGS
from trimcp.client.http.listen_recovery import ListenRecovery
from trimcp.client.http.mirror import Mirror
from trimcp.client.http.session import RemoteSession
from trimcp.client.negotiation import MODERN_ERRORS, Offer
from trimcp.codec.envelope import read_message
from trimcp.codec.jsontext import loads
from trimcp.errors import ExchangeFailed, RequestFailed, SessionFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.session import CLOSE_TIMEOUT
from trimcp.transports.http.remote import check_url, shown
from trimcp.types.jsonrpc import Request
from trimcp.types.revisions import BY_VERSION, Era

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.service import ClientService
    from trimcp.session.service import Service
    from trimcp.session.session import Session
    from trimcp.transports.http.remote import Remote

OLDER: Final = frozenset((400, 404, 405))
"""Statuses by which a server that is asked to `initialize` shows that it may speak HTTP+SSE."""


class Attempt(Protocol):
    """One try at a session; see `trimcp.client.connect.Attempt`."""

    def session(self, make: Callable[[ClientService], Session]) -> AbstractAsyncContextManager[Client | None]:
        """Run a session; None where something else is to be tried."""
        ...


Attempts = Callable[..., Attempt]
"""Makes an attempt of an offer, and of what ends it."""


@attrs.frozen(kw_only=True)
class _Ways:
    """How a server at a URL may be reached."""

    url: str
    remote: Callable[[], Remote]
    offer: Offer
    attempt: Attempts
    reopen: bool
    limit: int

    def legacy(self) -> _Ways:
        """The same, for a server that is known not to be modern."""
        revisions = [revision for revision in self.offer.revisions if revision.era is Era.LEGACY]
        return attrs.evolve(self, offer=attrs.evolve(self.offer, revisions=revisions))


@asynccontextmanager
async def connect_http(
    url: str,
    remote: Callable[[], Remote],
    offer: Offer,
    attempt: Attempts,
    *,
    transport: Literal["http", "sse"] | None,
    reopen: bool,
    limit: int,
    is_shared: bool = True,
) -> AsyncIterator[Client]:
    """Connect to the server at a URL.

    Args:
        url: of the server.
        remote: makes the way there; each session closes its own.
        offer: what the client brings.
        attempt: makes an attempt.
        transport: what is spoken there, where that is known.
        reopen: whether a legacy session that the server forgets is replaced.
        limit: bytes that a message may have.
        is_shared: whether the URL leads every client of this process to the same server.

    Raises:
        UsageError: that is no URL.
        SessionFailed: nothing that is spoken here is spoken there.
        ExchangeFailed: the server cannot be reached, or sends this client away.
    """
    check_url(url)
    ways = _Ways(url=url, remote=remote, offer=offer, attempt=attempt, reopen=reopen, limit=limit)
    async with AsyncExitStack() as stack:
        if transport is None:
            client: Client | None = await (_found if is_shared else _found_anew)(stack, ways)
        else:
            way = _older(ways.legacy(), None) if transport == "sse" else _streamable(ways, _gives_up)
            client = await stack.enter_async_context(way)
        assert client is not None
        yield client


async def _found(stack: AsyncExitStack, ways: _Ways) -> Client:
    """Find out what is spoken there, beginning with what was found the last time."""
    if not (ways.offer.of(Era.MODERN) and ways.offer.of(Era.LEGACY)):
        return await _found_anew(stack, ways)  # which shows nothing about the server that somebody else could use
    url = ways.url
    known = FINDINGS.of(url)
    if known in ("legacy", "sse"):
        legacy = ways.legacy()
        way = _older(legacy, None) if known == "sse" else _streamable(legacy, _gives_up)
        try:
            client = await stack.enter_async_context(way)
        except (SessionFailed, ExchangeFailed) as exc:
            FINDINGS.forget(url)
            if isinstance(exc, ExchangeFailed) and exc.status is None:
                raise  # it cannot be reached, whatever it speaks
            log.debug(events.STREAM_LOST, why=f"it is not what it was: {exc}")
        else:
            assert client is not None
            return client
    client = await _found_anew(stack, ways)
    is_modern = BY_VERSION[client.protocol_version].era is Era.MODERN
    is_streamed = isinstance(client.session, DuplexSession)
    FINDINGS.learn(url, "modern" if is_modern else "sse" if is_streamed else "legacy")
    return client


async def _found_anew(stack: AsyncExitStack, ways: _Ways) -> Client:
    may_be_older = bool(ways.offer.of(Era.LEGACY))
    refusals: list[TrimcpError] = []

    def gives_way(end: TrimcpError, session: RemoteSession) -> bool:
        refusals.append(end)
        return may_be_older and _may_be_older(end, session)

    client = await stack.enter_async_context(_streamable(ways, gives_way))
    if client is not None:
        return client
    await stack.aclose()
    refusal = refusals[-1]
    log.debug(events.STREAM_LOST, why=f"no streamable HTTP there: {refusal}")
    return await stack.enter_async_context(_older(ways.legacy(), refusal))


def _gives_up(end: TrimcpError, session: RemoteSession) -> bool:
    """Nothing else is to be tried."""
    return False


def _may_be_older(end: TrimcpError, session: RemoteSession) -> bool:
    """Whether a server that ended the negotiation so may be one of 2024-11-05."""
    if isinstance(end, ExchangeFailed):
        return end.status in OLDER
    cause = end.__cause__
    is_known = not isinstance(cause, RequestFailed) or cause.code in MODERN_ERRORS
    return session.refusal in OLDER and not is_known


@asynccontextmanager
async def _streamable(
    ways: _Ways, gives_way: Callable[[TrimcpError, RemoteSession], bool]
) -> AsyncIterator[Client | None]:
    """A server of any revision from 2025-03-26 on; None where it is none, and may be an older one."""
    sessions: list[RemoteSession] = []

    def make(service: Service) -> RemoteSession:
        sessions.append(RemoteSession(ways.remote(), service, reopen=ways.reopen))
        return sessions[-1]

    attempt = ways.attempt(ways.offer, last=False, gives_way=lambda end: gives_way(end, sessions[-1]))
    async with attempt.session(make) as client:
        if client is None:
            yield None
            return
        await _tend(client, ways.offer)
        yield client


@asynccontextmanager
async def _older(ways: _Ways, refusal: TrimcpError | None) -> AsyncIterator[Client]:
    """A server of 2024-11-05, by HTTP+SSE. `refusal`: how it refused what came later."""
    from trimcp.transports.http.sse_client import open_sse_duplex

    remote = ways.remote()
    try:
        async with AsyncExitStack() as stack:
            try:
                duplex = await stack.enter_async_context(open_sse_duplex(remote, limit=ways.limit))
            except ExchangeFailed as exc:
                if refusal is None and exc.status is None:
                    raise
                before = "" if refusal is None else f"{refusal}; and "
                raise SessionFailed(f"no MCP server was found at {shown(remote.url)}: {before}{exc}") from exc

            def make(service: Service) -> DuplexSession:
                session = DuplexSession(duplex, service)
                duplex.on_lost = functools.partial(_lost, session)
                return session

            client = await stack.enter_async_context(ways.attempt(ways.offer, last=True).session(make))
            assert client is not None
            yield client
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await remote.aclose()


def _lost(session: DuplexSession, message: bytes, failure: ExchangeFailed) -> None:
    """A message did not get to an older server: whoever waits for an answer to it does so in vain."""
    said = read_message(loads(message))
    if isinstance(said, Request):
        session.calls.failed(said.id, failure)
    else:
        log.warning(events.MESSAGE_LOST, peer=session.description, why=str(failure))


async def _tend(client: Client, offer: Offer) -> None:
    """Begin what a client over HTTP has beside its calls: it lasts as long as the session."""
    session: Any = client.session
    assert isinstance(session, RemoteSession)
    session.listen_recovery = session.supervisor.add(ListenRecovery(session.supervisor, client))
    client.stay()
    if session.is_modern:
        client.use_mirror(Mirror(session))
        return
    session.recovery.offer = attrs.evolve(offer, revisions=[BY_VERSION[client.protocol_version]])
    await session.get_stream.open()
