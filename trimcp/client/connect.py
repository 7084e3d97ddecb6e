"""`connect`: open a connection, start its session, agree on a revision, hand out a `Client`."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import attrs

from trimcp.actors.supervisor import open_supervisor
from trimcp.client.cache import Cache
from trimcp.client.client import Client, Timeouts
from trimcp.client.handlers import Consent, Elicitation, Handlers, RootsSource, Sampling, Visit
from trimcp.client.negotiation import Agreement, Offer, negotiate
from trimcp.client.service import ClientService
from trimcp.client.targets import opener_of
from trimcp.errors import ConnectionEnded, SessionFailed, UsageError
from trimcp.observability import events, log
from trimcp.session.containment import is_interrupt
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.limits import Limits
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex
from trimcp.types.logging import LoggingLevel
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION, REVISIONS, Era, Revision

if TYPE_CHECKING:
    import httpx2

    from trimcp.client.extension import ClientExtension
    from trimcp.client.extensions import ClientExtensions
    from trimcp.transports.http.authorization import Authorization
    from trimcp.transports.http.client_auth import Auth, ClientAuth
    from trimcp.transports.http.remote import Remote

CLIENT_MESSAGE_BYTES = 32 * 2**20
"""The longest message a client reads: what servers answer with is longer than what they are asked."""


@asynccontextmanager
async def connect(
    target: object,
    *,
    revision: str | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    name: str = "trimcp",
    version: str = "0",
    sampling: Sampling | None = None,
    sampling_tools: bool = False,
    elicitation: Elicitation | None = None,
    visit: Visit | None = None,
    roots: RootsSource | None = None,
    consent: Consent | None = None,
    log_level: LoggingLevel | None = None,
    cache: bool = True,
    extensions: Sequence[ClientExtension] = (),
    headers: Mapping[str, str] | None = None,
    auth: Auth | None = None,
    http_client: httpx2.AsyncClient | None = None,
    transport: Literal["http", "sse"] | None = None,
    reopen: bool = True,
    env: Mapping[str, str] | None = None,
    inherit_env: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    on_stderr: Callable[[str], None] | None = None,
) -> AsyncIterator[Client]:
    """Connect to a server, of any revision.

        async with trimcp.connect(["python", "server.py"]) as client:
            result = await client.call_tool("add", {"a": 1, "b": 2})
            print(result.text)

    Args:
        target: a URL (`https://…`, `wss://…`); a command as a list; the path of a script (`.py`, `.js`, …);
            `tcp://HOST:PORT`; `unix:PATH`; a `trimcp.Server` in this process; or any `Duplex`.
        revision: the one to insist on; if not given, the newest that both speak.
        timeouts: how long to wait for what.
        limits: the bounds of the session.
        name: what the client calls itself.
        version: of the client, not of the protocol.
        sampling: async function that answers a server's `CreateMessageRequestParams` with this
            client's model: a `CreateMessageResult`, or the text of one.
        sampling_tools: whether it makes use of the tools that such a request may bring.
        elicitation: async function that has the user fill in a form (`ElicitRequestFormParams`):
            what was filled in as a dict, None for a no, or an `ElicitResult`.
        visit: async function that shows the user the URL of an `ElicitRequestURLParams`, and goes
            there if the user agrees: whether that is so, or an `ElicitResult`.
        roots: the folders that servers may work in, or an async function that gives them.
        consent: async function called with method and params before any of these; what it does
            not agree to, the server is refused.
        log_level: the least severe level of log messages wanted; none are sent if not given.
        cache: whether to keep results for as long as the server says that they are good; see `Client.cache`.
        extensions: extensions of the protocol to take part in; see `ClientExtension`.
        headers: header fields of every request to a URL.
        auth: what authorizes the requests to a URL: a bearer token, an async function that returns one for each
            request, or a `ClientAuth`, which is told of challenges (401, 403) and may have the request repeated.
        http_client: the httpx2 client to reach a URL with, for certificates, proxies and the like.
        transport: what a server at an `http(s)` URL speaks, where that is known: `http` (streamable) or `sse`
            (HTTP+SSE of 2024-11-05). It is found out if not given.
        reopen: whether another session is opened where a legacy server over HTTP has forgotten this one.
        env: environment variables for a command, beside `PATH`, `HOME` and the like.
        inherit_env: give the command the whole environment of this process.
        cwd: the directory a command runs in.
        on_stderr: called with each line that a command writes to stderr; this process's own
            stderr gets it if not given.

    Leaving the context ends the session; a command is stopped by closing its stdin, then by
    SIGTERM, then by SIGKILL, and never outlives the context.

    Raises:
        UsageError: the target is none, or a revision that does not exist; extensions that do not go together;
            `auth` for what is no URL, or beside an `Authorization` in `headers` or a password in the URL.
        SessionFailed: no revision in common, or no MCP server.
        ConnectionEnded: the connection could not be made, or ended at once (`ServerExited` says
            what the command said last).
    """
    chosen = _revisions(revision)
    bounds = Limits(message_bytes=CLIENT_MESSAGE_BYTES) if limits is None else limits
    waits = timeouts or Timeouts()
    handlers = Handlers(
        sampling=sampling,
        sampling_tools=sampling_tools,
        elicitation=elicitation,
        visit=visit,
        roots=roots,
        consent=consent,
    )
    offer = Offer(
        revisions=chosen,
        info=Implementation(name=name, version=version),
        capabilities=handlers.capabilities(),
        log_level=log_level,
        probe_timeout=waits.probe,
        timeout=waits.request or 60.0,
        extensions=_extensions(extensions),
    )
    if auth is not None:
        headers, hook = checked_auth(auth, target, headers)
    else:
        hook = None
    async with authorizing(hook) as authorization:
        if isinstance(target, str) and target[:8].lower().startswith(("http://", "https://")):
            from trimcp.client.http.connecting import connect_http

            remote = functools.partial(remote_at, target, headers or {}, http_client)
            if authorization is not None:
                remote = functools.partial(authorized_remote, remote, authorization)
            attempt = functools.partial(Attempt, handlers=handlers, limits=bounds, timeouts=waits, cache=cache)
            async with connect_http(
                target,
                remote,
                offer,
                attempt,
                transport=transport,
                reopen=reopen,
                limit=bounds.message_bytes,
                is_shared=http_client is None,
            ) as client:
                yield client
            return
        opener = opener_of(
            target,
            env=env,
            inherit_env=inherit_env,
            cwd=cwd,
            on_stderr=on_stderr,
            limit=bounds.message_bytes,
            headers=headers,
            authorization=authorization,
        )
        # A connection that was handed to us cannot be opened again.
        probing = Attempt(offer, handlers, bounds, waits, cache=cache, last=isinstance(target, Duplex))
        async with opener() as duplex, probing.session(functools.partial(DuplexSession, duplex)) as client:
            if client is not None:
                yield client
                return
        # A legacy server that does not survive being asked something before `initialize`.
        log.debug(events.CONNECTION_LOST, why="the server left when it was probed; opening it again without")
        legacy = [r for r in chosen if r.era is Era.LEGACY]
        again = Attempt(attrs.evolve(offer, revisions=legacy), handlers, bounds, waits, cache=cache, last=True)
        async with opener() as duplex, again.session(functools.partial(DuplexSession, duplex)) as client:
            assert client is not None
            yield client


class Attempt:
    """One try at a session on one connection."""

    def __init__(
        self,
        offer: Offer,
        handlers: Handlers,
        limits: Limits,
        timeouts: Timeouts,
        *,
        cache: bool,
        last: bool = False,
        gives_way: Callable[[ConnectionEnded | SessionFailed], bool] | None = None,
    ) -> None:
        """`gives_way`: whether a negotiation that ended so makes room for another try."""
        self._gives_way = gives_way
        self._offer = offer
        self._handlers = handlers
        self._limits = limits
        self._timeouts = timeouts
        self._cache = Cache(limits.cache_entries, limits.cache_bytes) if cache else None
        # Another try makes sense only where there is an era left to fall back to.
        self._last = last or not (offer.of(Era.MODERN) and offer.of(Era.LEGACY))

    @asynccontextmanager
    async def session(self, make: Callable[[ClientService], Session]) -> AsyncIterator[Client | None]:
        """Run a session; None where the server left when it was probed."""
        client: Client | None = None

        def on_notice(method: str, params: Mapping[str, Any] | None) -> None:
            if client is not None:
                client.noticed(method, params)

        def on_end() -> None:
            if client is not None:
                client.ended()

        extensions = self._offer.extensions
        service = ClientService(self._limits, self._offer.revisions, self._handlers, on_notice, on_end, extensions)
        session = make(service)
        failure: BaseException | None = None
        try:
            async with open_supervisor("client") as supervisor:
                self._handlers.live_in(supervisor)
                await supervisor.nursery.start(session.run)
                try:
                    agreement = await self._negotiate(session)
                    if agreement is not None:
                        client = Client(
                            session, supervisor, agreement, self._timeouts, self._handlers, self._cache, extensions
                        )
                    yield client
                except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
                    # The session's tasks raise nothing, so what is raised here is the user's own or ours,
                    # and leaves as itself below, not in a group.
                    failure = exc
                session.close()
                await session.wait_over()
        finally:
            # Not lost either where the scope around it is cancelled.
            if failure is not None and not is_interrupt(sys.exception()):
                raise failure

    async def _negotiate(self, session: Session) -> Agreement | None:
        try:
            return await negotiate(session, self._offer)
        except (ConnectionEnded, SessionFailed) as exc:
            if self._gives_way is not None:
                gives_way = self._gives_way(exc)
            else:
                gives_way = isinstance(exc, ConnectionEnded) and not self._last
            if not gives_way:
                raise
            return None


def remote_at(url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None) -> Remote:
    """The server at a URL."""
    from trimcp.transports.http import remote

    return remote.remote_at(url, headers, client)


def authorized_remote(make: Callable[[], Remote], authorization: Authorization) -> Remote:
    """The same server, each request to which is authorized."""
    from trimcp.transports.http.remote_authorized import AuthorizedRemote

    return AuthorizedRemote(make(), authorization)


def authorizing(hook: ClientAuth | None) -> AbstractAsyncContextManager[Authorization | None]:
    """What asks a hook, for as long as a client is there."""
    if hook is None:
        return nullcontext()
    from trimcp.transports.http.authorization import open_authorization

    return open_authorization(hook)


def checked_auth(
    auth: Auth, target: object, headers: Mapping[str, str] | None
) -> tuple[Mapping[str, str], ClientAuth | None]:
    """Header fields and a hook that together are what `auth` and `headers` say: a token alone is a header field.

    Raises:
        UsageError: they do not go together, or not with the target.
    """
    from trimcp.transports.http.client_auth import AUTHORIZATION, bearer, client_auth_of

    if not isinstance(target, str) or not target.lower().startswith(("http://", "https://", "ws://", "wss://")):
        raise UsageError("auth is for servers at a URL: leave it out here, or connect to http(s)://… or ws(s)://…")
    fields = dict(headers or {})
    if any(name.lower() == "authorization" for name in fields):
        raise UsageError("Authorization is given twice: leave it out of headers, or leave auth out")
    if "@" in target.partition("://")[2].partition("/")[0]:
        raise UsageError("Authorization is given twice: leave user and password out of the URL, or leave auth out")
    if isinstance(auth, str):
        return {**fields, AUTHORIZATION: bearer(auth)}, None
    return fields, client_auth_of(auth)


def _extensions(extensions: Sequence[ClientExtension]) -> ClientExtensions | None:
    if not extensions:
        return None
    from trimcp.client.extensions import ClientExtensions

    return ClientExtensions(extensions)


def _revisions(version: str | None) -> Sequence[Revision]:
    if version is None:
        return REVISIONS
    if version not in BY_VERSION:
        raise UsageError(f"no revision {version}; there are {', '.join(BY_VERSION)}")
    return [BY_VERSION[version]]
