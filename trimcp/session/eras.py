"""The era and the revision of each request: who asks, and by which route the request is served.

The era is that of the message, whatever else goes on on the connection: a `_meta` that names a revision makes
a request of 2026-07-28; any other belongs to the session that `initialize` opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Phase
from trimcp.protocol.profile import ClientProfile, Stateless
from trimcp.session.service import Route, Service
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, ErrorData
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import LATEST_LEGACY, Era, Revision

if TYPE_CHECKING:
    from trimcp.session.session import Session

BEFORE_HANDSHAKE: Final = ("initialize", "ping")
"""What a legacy session answers before it is opened."""


class Eras:
    """Reads which revision a request is of, for the sessions of one service."""

    __slots__ = ("_is_client", "_openable", "_routes", "_service", "_stateless", "instruments", "limits")

    def __init__(self, service: Service) -> None:
        self._service = service
        self._is_client = service.role == "client"
        self._routes: dict[str, Mapping[str, Route]] = {}
        self._stateless = Stateless(service.revisions)
        self._openable = _openable(service.revisions)
        self.limits = service.limits
        self.instruments = service.instruments

    def profile(self, session: Session, method: str, meta: Any) -> ClientProfile | ErrorData | None:
        """Return the profile of the client that asks, None on a client or before the handshake, or the refusal."""
        if self._is_client:
            return None
        if session.is_stateless or self._stateless.concerns(meta):
            return self._stateless.profile(meta if type(meta) is dict else {})
        if session.handshake.phase is not Phase.OPENING:
            return session.client
        if method in BEFORE_HANDSHAKE and self._openable is not None:
            return None
        return self._unopened(method)

    def _unopened(self, method: str) -> ErrorData:
        """Refuse a request that neither names its revision nor follows an `initialize`."""
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

    def route(
        self, session: Session, profile: ClientProfile | None, method: str
    ) -> Route | Literal["unknown", "ignored"]:
        """Return how a method is served, `unknown`, or `ignored` where a server must not send requests."""
        revision = profile.revision if profile is not None else session.revision or self._openable or LATEST_LEGACY
        if self._is_client and not revision.server_asks:
            # Forbidden in the modern era, where a client sends no answers (basic/patterns).
            log.warning(events.MESSAGE_IGNORED, method=method, why="a server must not send requests")
            return "ignored"
        routes = self._routes.get(revision.version)
        if routes is None:
            routes = self._routes[revision.version] = self._service.routes(revision)
        return routes.get(method, "unknown")


def _openable(revisions: Sequence[Revision]) -> Revision | None:
    """Return the latest revision that a handshake can open, of those offered."""
    legacy = [revision for revision in revisions if revision.era is Era.LEGACY]
    return legacy[-1] if legacy else None
