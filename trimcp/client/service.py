"""The client as its session sees it: what a server may ask of it, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trimcp.codec.revisions import codec_for
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.session.service import Route, Service, never, pong
from trimcp.session.session import Session
from trimcp.types.methods import methods_of
from trimcp.types.revisions import Revision

OnNotice = Callable[[str, Mapping[str, Any] | None], None]


class ClientService(Service):
    """What a client answers: `ping`, in the revisions where a server asks anything at all."""

    role = "client"

    def __init__(self, limits: Limits, revisions: Sequence[Revision], on_notice: OnNotice) -> None:
        """`on_notice` is told of every notification that is not the session's own; it must not wait."""
        self.limits = limits
        self.revisions = revisions
        self._on_notice = on_notice
        self._routes: dict[str, dict[str, Route]] = {}

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """See `Service`."""
        routes = self._routes.get(revision.version)
        if routes is None:
            routes = self._routes[revision.version] = self._compile(revision)
        return routes

    def _compile(self, revision: Revision) -> dict[str, Route]:
        at_once = {"ping": pong}
        codec = codec_for(revision)
        return {
            name: Route(
                method=method,
                decode=codec.params_decoder(name),
                handle=never,
                encode=codec.result_encoder(name),
                at_once=at_once[name],
            )
            for name, method in methods_of(revision, "server").items()
            if method.kind == "request" and name in at_once
        }

    def notified(self, session: Session, method: str, params: Mapping[str, Any] | None) -> None:
        """See `Service`."""
        try:
            self._on_notice(method, params)
        except Exception as exc:  # noqa: BLE001 - the reader must not end over what a notice sets off
            log.error(events.HANDLER_FAILED, exc_info=exc, method=method)

    def opened(self, session: Session) -> None:
        """See `Service`."""

    def ended(self, session: Session) -> None:
        """See `Service`."""
