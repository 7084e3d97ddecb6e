"""Acceptance: makes a request of a message, in the era and the revision of the message, or refuses the message.

The era is that of the message, whatever else goes on on the connection: a `_meta` that names a revision makes
a request of 2026-07-28; any other belongs to the session that `initialize` opened.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.protocol.client_profile import ClientProfile, ProfileReader
from trimcp.protocol.lifecycle import Phase
from trimcp.session.peer import Peer
from trimcp.session.refusals import RequestCounter, refuse_duplicate
from trimcp.session.register import Register
from trimcp.session.reply_stream import ReplyStream
from trimcp.session.request import InboundRequest, Route
from trimcp.session.traced_request import request_maker
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, ErrorData, ProgressToken, Request
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import LATEST_LEGACY, Era, Revision

_serials: Final = itertools.count(1)

BEFORE_HANDSHAKE: Final = ("initialize", "ping")
"""Methods that a legacy session answers before it is opened."""


class RouterService(Protocol):
    """The service of a session, as its Router sees it."""

    role: Literal["server", "client"]
    limits: Limits
    revisions: Sequence[Revision]
    instruments: Instruments

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """Return the routes of a revision, by method."""
        ...


class Acceptance:
    """Accepts the requests of one Router."""

    __slots__ = (
        "_counter",
        "_is_client",
        "_last_profile",
        "_last_routes",
        "_make",
        "_openable",
        "_profiles",
        "_service",
    )

    def __init__(self, service: RouterService, counter: RequestCounter) -> None:
        """
        Args:
            service: which requests are served.
            counter: refuses the messages that become no request.
        """
        self._service = service
        self._counter = counter
        self._is_client = service.role == "client"
        self._make = request_maker(service.instruments.telemetry)
        self._last_profile: ClientProfile | None = None
        self._last_routes: Mapping[str, Route] = {}
        """Of the revision of that profile: one request follows the other with the same."""
        self._profiles = ProfileReader(service.revisions)
        legacy = [revision for revision in service.revisions if revision.era is Era.LEGACY]
        self._openable = legacy[-1] if legacy else None
        """The latest revision that a handshake can open, of those offered."""

    def accept(
        self, register: Register[InboundRequest], message: Request, reply_stream: ReplyStream, size: int, now: float
    ) -> InboundRequest | None:
        """Make a request of a message; return None for a message that is refused or ignored.

        The other parameters are those of `Router.requests`, of one message.
        """
        # Before all else: any answer by that id, an error too, would settle the first request at the peer.
        if message.id in register.in_flight.by_id and reply_stream.is_shared:
            refuse_duplicate(register.peer, message, reply_stream)
            return None
        params = message.params
        meta = None if params is None else params.get("_meta")
        peer = register.peer
        profile: ClientProfile | ErrorData | None = peer.client
        if profile is None or meta is not None:
            profile = self._profile(peer, message.method, meta)
        if type(profile) is ErrorData:
            self._counter.unfit(peer, message, reply_stream, profile.code, profile.message, profile.data, unfit=True)
            return None
        if profile is None or profile is not self._last_profile:
            revision = self._revision_of(peer) if profile is None else profile.revision  # type: ignore[union-attr]
            if self._is_client and not revision.server_asks:
                # Forbidden in the modern era, where a client sends no answers (basic/patterns).
                log.warning(events.MESSAGE_IGNORED, method=message.method, why="a server must not send requests")
                return None
            self._last_profile = profile  # type: ignore[assignment]  # `type` narrows no union
            self._last_routes = self._service.routes(revision)
        route = self._last_routes.get(message.method)
        if route is None:
            self._counter.unfit(peer, message, reply_stream, METHOD_NOT_FOUND, f"Method not found: {message.method}")
            return None
        token: ProgressToken | None = None
        if type(meta) is dict:
            token = meta.get("progressToken")
            if token is not None and type(token) is not int and type(token) is not str:
                token = None  # refused, with its path, when the params are decoded
        make = self._make
        return make(
            register,
            next(_serials),
            message.id,
            params,
            route,
            profile,
            reply_stream,
            token,
            size,
            now,
        )

    def _profile(self, peer: Peer, method: str, meta: Any) -> ClientProfile | ErrorData | None:
        """Return the profile of the client that asks, None on a client or before the handshake, or the refusal."""
        if self._is_client:
            return None
        if peer.is_stateless or (type(meta) is dict and self._profiles.concerns(meta)):
            return self._profiles.profile(meta if type(meta) is dict else {})
        if peer.handshake.phase is not Phase.OPENING:
            return peer.client
        if method in BEFORE_HANDSHAKE and self._openable is not None:
            return None
        return self._unopened(method)

    def _revision_of(self, peer: Peer) -> Revision:
        return peer.revision or self._openable or LATEST_LEGACY

    def _unopened(self, method: str) -> ErrorData:
        """Make the refusal of a request that neither names its revision nor follows an `initialize`."""
        service = self._service
        versions = [revision.version for revision in service.revisions]
        if not any(method in service.routes(revision) for revision in service.revisions):
            # To a legacy client that meets a modern server this message is all the help there is.
            spoken = f"; this server speaks {', '.join(versions)}"
            return ErrorData(METHOD_NOT_FOUND, f"Method not found: {method}{spoken}", {"supported": versions})
        if self._openable is None:
            return ErrorData(
                INVALID_PARAMS,
                f"Every request must carry {PROTOCOL_VERSION} in params._meta; spoken here: {', '.join(versions)}",
                {"supported": versions},
            )
        return ErrorData(
            INVALID_PARAMS,
            f"{method} before initialize, and without {PROTOCOL_VERSION} in params._meta",
            {"supported": versions},
        )
