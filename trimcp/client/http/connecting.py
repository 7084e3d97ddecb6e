"""Reaching the server at a URL, whatever it speaks: the newest first, then what came before.

Modern and legacy are told apart as on any transport, by a probe; a server that takes neither may be
one of 2024-11-05, with a stream at the same URL (basic/versioning and
basic/transports/streamable-http of 2026-07-28, "Backward Compatibility").
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import attrs
import trio

from trimcp.client.http.mirror import Mirror
from trimcp.client.http.resuming import Resumer
from trimcp.client.http.session import RemoteSession
from trimcp.client.negotiation import Offer, initialize
from trimcp.errors import ConnectionEnded, ExchangeFailed, SessionFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.session import CLOSE_TIMEOUT
from trimcp.types.revisions import BY_VERSION, Era

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.service import ClientService
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


@asynccontextmanager
async def connect_http(
    remote: Callable[[], Remote],
    offer: Offer,
    attempt: Attempts,
    *,
    transport: Literal["http", "sse"] | None,
    reopen: bool,
    limit: int,
) -> AsyncIterator[Client]:
    """Connect to the server at a URL.

    Args:
        remote: makes the way there; each session closes its own.
        offer: what the client brings.
        attempt: makes an attempt.
        transport: what is spoken there, where that is known.
        reopen: whether a legacy session that the server forgets is replaced.
        limit: bytes that a message may have.

    Raises:
        SessionFailed: nothing that is spoken here is spoken there.
        ExchangeFailed: the server cannot be reached, or sends this client away.
    """
    may_be_older = transport is None and bool(offer.of(Era.LEGACY))
    if transport != "sse":
        refused: list[ConnectionEnded] = []

        def gives_way(end: ConnectionEnded) -> bool:
            refused.append(end)
            return may_be_older and isinstance(end, ExchangeFailed) and end.status in OLDER

        make = functools.partial(RemoteSession, remote(), reopen=reopen)
        async with attempt(offer, last=False, gives_way=gives_way).session(make) as client:
            if client is not None:
                async with _tended(client, offer):
                    yield client
                return
        log.debug(events.STREAM_LOST, why=f"no streamable HTTP there: {refused[-1]}")
    async with _older(remote(), offer, attempt, limit) as client:
        yield client


@asynccontextmanager
async def _older(remote: Remote, offer: Offer, attempt: Attempts, limit: int) -> AsyncIterator[Client]:
    """A server of 2024-11-05, by HTTP+SSE."""
    from trimcp.transports.http.sse_client import open_sse_duplex

    legacy = attrs.evolve(offer, revisions=[r for r in offer.revisions if r.era is Era.LEGACY])
    try:
        async with AsyncExitStack() as stack:
            try:
                duplex = await stack.enter_async_context(open_sse_duplex(remote, limit=limit))
            except ExchangeFailed as exc:
                raise SessionFailed(f"{remote.url} is no MCP server that is understood here: {exc}") from exc
            session = attempt(legacy, last=True).session(functools.partial(DuplexSession, duplex))
            client = await stack.enter_async_context(session)
            assert client is not None
            yield client
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await remote.aclose()


@asynccontextmanager
async def _tended(client: Client, offer: Offer) -> AsyncIterator[None]:
    """What a client over HTTP has beside its calls, for as long as it is there."""
    session: Any = client.session
    assert isinstance(session, RemoteSession)
    resumer = session.resumer = Resumer()
    client.stay()
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resumer.run, client)
        if session.is_modern:
            client.use_mirror(Mirror(session))
            if offer.extensions is not None:
                further = offer.extensions.named_params(BY_VERSION[client.protocol_version])
                session.named_params = {**session.named_params, **further}
        else:
            agreed = BY_VERSION[client.protocol_version]
            session.initialize = functools.partial(_again, session, attrs.evolve(offer, revisions=[agreed]))
            await session.stand()
        try:
            yield
        except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
            failure = exc  # leaves below as itself, rather than in a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _again(session: RemoteSession, offer: Offer) -> None:
    """Open another legacy session, in the revision of the first."""
    try:
        await initialize(session, offer, offer.revisions[0])
    except TrimcpError as exc:
        raise ExchangeFailed(f"the server has forgotten the session, and opens no other: {exc}") from exc
