"""`connect`: opens a connection and a session, agrees with the server on a revision, and yields a `Client`."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Literal

from trimcp.actors.containment import unwrapped
from trimcp.actors.loop import check_loop
from trimcp.actors.supervisor import open_supervisor
from trimcp.client.cache import ResultCache
from trimcp.client.client import Client
from trimcp.client.features.client_features import ClientFeatures, Elicitation, RootsSource, Sampling, Visit
from trimcp.client.features.consent import Consent, ConsentFunction, consent_of
from trimcp.client.features.peer_server import PeerServer
from trimcp.client.requests import Timeouts
from trimcp.client.run import ClientRun
from trimcp.client.service import ClientService
from trimcp.client.targets import is_command, opener_of
from trimcp.errors import ConnectionEnded, ServerExited, UsageError
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.observability.telemetry import Telemetry
from trimcp.observability.wire_tap import WireTap
from trimcp.session.duplex_session import DuplexSession
from trimcp.session.negotiation import Offer, negotiate
from trimcp.session.session import Session
from trimcp.transports.duplex import Duplex
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION, REVISIONS, Era, Revision
from trimcp.types.utilities import LoggingLevel

if TYPE_CHECKING:
    import httpx2

    from trimcp.client.extension import ClientExtension
    from trimcp.client.extension_negotiation import OfferedExtensions
    from trimcp.http.client.auth import Auth
    from trimcp.http.client.authorization import Authorization

PROBE: Final = 10.0
"""Seconds that a server has to answer the probe."""
COMMAND_PROBE: Final = 30.0
"""Seconds that a command has: the first run of `npx` or `uvx` installs the server."""
CLIENT_MESSAGE_BYTES = 32 * 2**20
"""Bytes of the longest message that a client reads: the results of servers are longer than their requests."""


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
    consent: Consent | ConsentFunction | None = None,
    log_level: LoggingLevel | None = None,
    cache: bool = True,
    extensions: Sequence[ClientExtension] = (),
    tasks: bool = False,
    telemetry: Telemetry | None = None,
    tap: WireTap | None = None,
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
        revision: the one to use; if not given, the newest that both speak.
        timeouts: how long calls wait.
        limits: the bounds of the session.
        name: the name of the client, for the server.
        version: of the client, not of the protocol.
        sampling: function that answers a server's `CreateMessageRequestParams` with this
            client's model: a `CreateMessageResult`, or the text of one.
        sampling_tools: whether that function uses the tools that such a request may bring.
        elicitation: function that has the user fill in a form (`ElicitRequestFormParams`):
            returns the fields as a dict, None if the user declines, or an `ElicitResult`.
        visit: function that shows the user the URL of an `ElicitRequestURLParams`, and goes
            there if the user agrees: returns whether the user did, or an `ElicitResult`.
        roots: the folders that servers may work in, or a function that returns them.
        consent: decides about each call of a tool, and before any of these: a `trimcp.consent.Policy`. Or a function
            called with method and params before any of these; where it returns false, the server is refused. It and
            the functions above are async, or plain functions that do not block.
        log_level: the least severe level of log messages wanted; if not given, none are asked for, and a server of
            the legacy era decides which it sends.
        cache: whether to keep results for as long as the server allows; see `Client.cache`.
        extensions: extensions of the protocol to take part in; see `ClientExtension`.
        tasks: whether the server may run any call of a tool as a task (2026-07-28), for which `call_tool` then waits;
            and may have this client run sampling and elicitation as tasks (2025-11-25). `call_tool(task=True)` works
            without it.
        telemetry: follows the requests of both sides and the session; see `trimcp.telemetry.OpenTelemetry`.
        tap: is told of all bytes that pass, such as a `trimcp.recording.RecordingWriter`, which writes them to a file.
        headers: header fields of every request to a URL.
        auth: authorizes the requests to a URL: a bearer token, a function that returns one for each
            request, or a `ClientAuth`, which is told of challenges (401, 403) and may have the request repeated.
        http_client: the httpx2 client to reach a URL with, for certificates, proxies and the like.
        transport: the transport of a server at an `http(s)` URL: `http` (streamable) or `sse` (HTTP+SSE of
            2024-11-05). It is found out if not given.
        reopen: whether another session is opened where a legacy server over HTTP has forgotten this one.
        env: environment variables for a command, beside `PATH`, `HOME` and the like.
        inherit_env: give the command the whole environment of this process.
        cwd: the directory a command runs in.
        on_stderr: called with each line that a command writes to stderr; this process's own
            stderr gets it if not given.

    Leaving the context ends the session; a command is stopped by closing its stdin, then by
    SIGTERM, then by SIGKILL, and never outlives the context.

    Raises:
        UsageError: the target or the revision is not valid; extensions do not go together; `auth` is given for a
            target that is no URL, or beside an `Authorization` in `headers` or a password in the URL.
        SessionFailed: no revision in common, or no MCP server.
        ConnectionEnded: the connection could not be made, or ended at once (`ServerExited` says
            how the command ended).
    """
    check_loop("trimcp.connect")
    chosen = _revisions(revision)
    bounds = Limits(message_bytes=CLIENT_MESSAGE_BYTES) if limits is None else limits
    waits = timeouts or Timeouts()
    handlers = ClientFeatures(
        sampling=sampling,
        sampling_tools=sampling_tools,
        elicitation=elicitation,
        visit=visit,
        roots=roots,
        consent=consent_of(consent),
        server=PeerServer.of(target, cwd),
        tasks=tasks,
    )
    own_extensions = _extensions(extensions, tasks=tasks)
    offer = Offer(
        revisions=chosen,
        info=Implementation(name=name, version=version),
        capabilities=handlers.capabilities(),
        log_level=log_level,
        probe_timeout=probe_timeout(waits, target),
        timeout=waits.request or 60.0,
        extensions=own_extensions,
    )
    opening = functools.partial(
        ClientOpening,
        handlers=handlers,
        limits=bounds,
        timeouts=waits,
        extensions=own_extensions,
        cache=cache,
        telemetry=telemetry,
        tap=tap,
    )
    authorizing: AbstractAsyncContextManager[Authorization | None] = nullcontext()
    if auth is not None:
        from trimcp.http.client.auth import checked_auth
        from trimcp.http.client.authorization import open_authorization

        headers, hook = checked_auth(auth, target, headers)
        authorizing = open_authorization(hook)
    async with authorizing as authorization:
        if isinstance(target, str) and target[:8].lower().startswith(("http://", "https://")):
            from trimcp.http.client.connect import connect_http

            async with connect_http(
                target,
                offer,
                opening,
                headers=headers or {},
                http_client=http_client,
                authorization=authorization,
                transport=transport,
                reopen=reopen,
                limit=bounds.message_bytes,
            ) as run:
                yield run.client
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
        may_try_again = offer.has_both_eras and not isinstance(target, Duplex)
        async with AsyncExitStack() as stack:
            duplex = await stack.enter_async_context(opener())
            probing = opening(offer)
            try:
                run = await stack.enter_async_context(probing.open(DuplexSession(duplex, probing.service)))
            except ConnectionEnded as exc:
                # A server that ended before it read anything would end again.
                if not may_try_again or (isinstance(exc, ServerExited) and not exc.has_read):
                    raise
            else:
                yield run.client
                return
        # It is a legacy server that ends when it gets a request before `initialize`.
        log.debug(events.CONNECTION_LOST, why="the server left when it was probed; opening it again without")
        legacy = offer.only(Era.LEGACY)
        again = opening(legacy)
        async with opener() as duplex, again.open(DuplexSession(duplex, again.service)) as run:
            yield run.client


class ClientOpening:
    """One try to open a client on one session."""

    def __init__(
        self,
        offer: Offer,
        handlers: ClientFeatures,
        limits: Limits,
        timeouts: Timeouts,
        extensions: OfferedExtensions | None,
        *,
        cache: bool,
        telemetry: Telemetry | None = None,
        tap: WireTap | None = None,
    ) -> None:
        self._offer = offer
        self._handlers = handlers
        self._timeouts = timeouts
        self._extensions = extensions
        self._cache = ResultCache(limits.cache_entries, limits.cache_bytes) if cache else None
        self.service: ClientService = ClientService(limits, offer.revisions, handlers, extensions, telemetry, tap)
        """The service of the session."""

    @asynccontextmanager
    async def open(self, session: Session) -> AsyncIterator[ClientRun]:
        """Run a session, and agree with the server on a revision.

        Raises:
            SessionFailed, ConnectionEnded: there is no agreement. The session is over then.
        """
        with unwrapped() as block:
            async with open_supervisor("client") as supervisor:
                self._handlers.live_in(supervisor)
                await supervisor.nursery.start(session.run)
                with block:
                    agreement = await negotiate(session, self._offer)
                    run = self.service.run = ClientRun(
                        session,
                        supervisor,
                        agreement,
                        self._timeouts,
                        self._handlers,
                        self._cache,
                        self._extensions,
                    )
                    run.client = Client(run)
                    yield run
                session.close()
                await session.wait_over()


def probe_timeout(timeouts: Timeouts, target: object) -> float:
    """Return the seconds that the server of a target has to answer the probe."""
    if timeouts.probe is not None:
        return timeouts.probe
    return min(COMMAND_PROBE if is_command(target) else PROBE, timeouts.request or math.inf)


def _extensions(extensions: Sequence[ClientExtension], *, tasks: bool) -> OfferedExtensions | None:
    if tasks:
        from trimcp.client.tasks.extension import tasks_extension

        extensions = [*extensions, tasks_extension()]
    if not extensions:
        return None
    from trimcp.client.extension_negotiation import OfferedExtensions

    return OfferedExtensions(extensions)


def _revisions(version: str | None) -> Sequence[Revision]:
    if version is None:
        return REVISIONS
    if version not in BY_VERSION:
        raise UsageError(f"there is no revision {version}: choose one of {', '.join(BY_VERSION)}")
    return [BY_VERSION[version]]
