"""The client as its session sees it: what a server may ask of it, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.client.handlers import Handlers
from trimcp.codec.revisions import codec_for
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.session.limits import Limits
from trimcp.session.request import InboundRequest
from trimcp.session.service import Route, Service, never, pong
from trimcp.session.session import Session
from trimcp.types.methods import methods_of
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.client.extensions import ClientExtensions

OnNotice = Callable[[str, Mapping[str, Any] | None], None]


class ClientService(Service):
    """What a client answers, in the revisions where a server asks anything at all: `ping`, and what its user offers."""

    role = "client"

    def __init__(
        self,
        limits: Limits,
        revisions: Sequence[Revision],
        handlers: Handlers,
        on_notice: OnNotice,
        on_end: Callable[[], None],
        extensions: ClientExtensions | None = None,
    ) -> None:
        """`on_notice` is told of every notification that is not the session's own, `on_end` of its end.

        Neither may wait.
        """
        self.limits = limits
        self.instruments = Instruments()
        self.revisions = revisions
        self._handlers = handlers
        self._offered = handlers.methods()
        self._on_notice = on_notice
        self._on_end = on_end
        self._extensions = extensions
        self._routes: dict[str, dict[str, Route]] = {}

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """See `Service`."""
        routes = self._routes.get(revision.version)
        if routes is None:
            routes = self._routes[revision.version] = self._compile(revision)
        return routes

    def _compile(self, revision: Revision) -> dict[str, Route]:
        codec = codec_for(revision)
        routes: dict[str, Route] = {}
        for name, method in methods_of(revision, "server").items():
            if name == "ping":
                handle, at_once = never, pong
            elif name in self._offered:
                handle, at_once = self._answer, None
            else:
                continue
            routes[name] = Route(method, codec.params_decoder(name), handle, codec.result_encoder(name), at_once)
        if self._extensions is not None:
            routes |= self._extensions.routes(revision)
        return routes

    async def _answer(self, request: InboundRequest, params: Any) -> Any:
        """Answer a question of a legacy server's, in the request's own task."""
        return await self._handlers.answer(request.method, params)

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
        self._on_end()
