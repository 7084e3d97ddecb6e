"""The server as its sessions see it: which requests it answers in each revision, and how.

Routes are compiled once for each revision, when the first peer speaks it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from trimcp.codec.revisions import codec_for
from trimcp.errors import RequestFailed
from trimcp.observability import events, log
from trimcp.protocol.lifecycle import Step
from trimcp.protocol.profile import ClientProfile
from trimcp.server.caching import CacheHint, with_hint
from trimcp.server.features.logging import set_level
from trimcp.server.features.provider_lists import ProviderLists
from trimcp.server.features.tools import ToolRequests
from trimcp.server.middleware import Handle, wrap
from trimcp.server.session_context import SessionContext
from trimcp.session.request import InboundRequest
from trimcp.session.service import LongLived, Route, Service, never, pong
from trimcp.session.session import Session
from trimcp.types.capabilities import PromptsCapability, ResourcesCapability, ServerCapabilities, ToolsCapability
from trimcp.types.jsonrpc import INVALID_REQUEST
from trimcp.types.lifecycle import DiscoverResult, InitializeRequestParams, InitializeResult
from trimcp.types.metadata import SERVER_INFO
from trimcp.types.methods import METHODS, methods_of
from trimcp.types.revisions import BY_VERSION, Era, Revision

if TYPE_CHECKING:
    from trimcp.codec.payloads import Encoder
    from trimcp.server.running import Running

ROOTS_CHANGED: Final = "notifications/roots/list_changed"


class ServerService(Service):
    """One run of a server, as the service of its sessions."""

    role = "server"

    def __init__(self, running: Running) -> None:
        server = running.server
        self._running = running
        self._server = server
        self.limits = server.limits
        self.instruments = server.instruments
        self.revisions = server.revisions
        self._routes: dict[str, dict[str, Route]] = {}

    # --- routes -----------------------------------------------------------------------

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """See `Service`."""
        routes = self._routes.get(revision.version)
        if routes is None:
            routes = self._routes[revision.version] = self._compile(revision)
        return routes

    def _compile(self, revision: Revision) -> dict[str, Route]:
        handlers: dict[str, Handle] = {}
        at_once: dict[str, Callable[[InboundRequest, Any], Any]] = {
            "initialize": self._initialize,
            "ping": pong,
            "server/discover": self._discover,
        }
        if self._server.logging:
            at_once["logging/setLevel"] = set_level
        self._add_features(handlers)
        keepers: dict[str, LongLived] = {"subscriptions/listen": self._running.subscriptions}
        codec = codec_for(revision)
        stamp = self._stamp() if revision.result_type else None
        routes: dict[str, Route] = {}
        for name, method in methods_of(revision, "client").items():
            if method.kind != "request" or not (name in handlers or name in at_once or name in keepers):
                continue
            encode = codec.result_encoder(name)
            if name == "initialize":
                encode = _encode_agreed
            if method.cacheable and revision.result_type:
                encode = _hinted(encode, self._server.caching.of(name))
            handle = handlers.get(name, never)
            if method.asks and not revision.server_asks:
                handle = self._checking_state(handle)
            handle, encode = self._wrapped(name, revision, handle, encode)
            routes[name] = Route(
                method=method,
                decode=codec.params_decoder(name),
                handle=handle,
                encode=encode if stamp is None else _stamped(encode, stamp),
                at_once=at_once.get(name),
                keeper=keepers.get(name),
            )
        if self._server.extensions is not None:
            routes |= self._server.extensions.routes(
                revision,
                self._server.layers,
                self._running.context,
                lambda encode: encode if stamp is None else _stamped(encode, stamp),
            )
        return routes

    def _wrapped(self, name: str, revision: Revision, handle: Handle, encode: Encoder) -> tuple[Handle, Encoder]:
        """A handler with the middleware around it, and what extensions make of it and of its encoder."""
        server, context = self._server, self._running.context
        if server.extensions is None:
            return wrap(handle, server.layers, context), encode
        handle = wrap(server.extensions.around(name, revision, handle, context), server.layers, context)
        return server.extensions.answering(name, revision, handle, encode)

    def _add_features(self, handlers: dict[str, Handle]) -> None:
        """Add the handlers of the features that the server has."""
        server, context, pages = self._server, self._running.context, self._server.pages
        providers = ProviderLists(server.providers, pages)
        if server.has("tools"):
            tools = ToolRequests(server.tools, providers, pages, context)
            handlers["tools/list"] = tools.list
            handlers["tools/call"] = tools.call
        if server.has("resources"):
            from trimcp.server.features.resources import ResourceRequests

            resources = ResourceRequests(server.resources, providers, pages, context)
            handlers["resources/list"] = resources.list
            handlers["resources/templates/list"] = resources.list_templates
            handlers["resources/read"] = resources.read
            handlers["resources/subscribe"] = self._running.subscription_requests.subscribe
            handlers["resources/unsubscribe"] = self._running.subscription_requests.unsubscribe
        if server.has("prompts"):
            from trimcp.server.features.prompts import PromptRequests

            prompts = PromptRequests(server.prompts, providers, pages, context)
            handlers["prompts/list"] = prompts.list
            handlers["prompts/get"] = prompts.get
        if server.has("completions"):
            from trimcp.server.features.completions import CompletionRequests

            handlers["completion/complete"] = CompletionRequests(server.completions, server.providers, context).complete

    def _checking_state(self, handle: Handle) -> Handle:
        """The handler behind a check of the state that a request brings, whether it is needed or not."""
        context = self._running.context

        def checked(request: InboundRequest, params: Any) -> Awaitable[Any]:
            if request.params is not None and "requestState" in request.params:
                from trimcp.server.asking import rounds_of

                rounds_of(context(request))
            return handle(request, params)

        return checked

    def _stamp(self) -> dict[str, Any]:
        """What every modern result says of the server (basic/index, "Per-response protocol fields")."""
        modern = next(r for r in self.revisions if r.result_type)
        return {SERVER_INFO: codec_for(modern).unstructure(self._server.info)}

    # --- who we are -------------------------------------------------------------------

    def _capabilities(self, revision: Revision) -> ServerCapabilities:
        server = self._server
        capabilities = ServerCapabilities(
            logging={} if server.logging else None,
            completions={} if server.has("completions") else None,
            tools=ToolsCapability(list_changed=True) if server.has_tools else None,
            resources=ResourcesCapability(list_changed=True, subscribe=True) if server.has("resources") else None,
            prompts=PromptsCapability(list_changed=True) if server.has("prompts") else None,
        )
        if server.extensions is not None:
            server.extensions.declare(capabilities, revision)
        return capabilities

    def _initialize(self, request: InboundRequest, params: InitializeRequestParams) -> InitializeResult:
        session = request.session
        if not session.handshake.allows(Step.INITIALIZE):
            raise RequestFailed(INVALID_REQUEST, "initialize was answered already on this connection")
        legacy = [revision for revision in self.revisions if revision.era is Era.LEGACY]
        wanted = BY_VERSION.get(params.protocol_version)
        revision = wanted if wanted in legacy else legacy[-1]
        assert revision is not None
        session.handshake.take(Step.INITIALIZE)
        session.revision = revision
        session.client = ClientProfile(revision, params.capabilities, params.client_info)
        log.debug(events.HANDSHAKE_COMPLETED, session=session.number, revision=revision.version)
        return InitializeResult(
            protocol_version=revision.version,
            capabilities=self._capabilities(revision),
            server_info=self._server.info,
            instructions=self._server.instructions,
        )

    def _discover(self, request: InboundRequest, params: Any) -> DiscoverResult:
        return DiscoverResult(
            supported_versions=[r.version for r in self.revisions if r.era is Era.MODERN],
            capabilities=self._capabilities(request.revision),
            instructions=self._server.instructions,
        )

    # --- sessions ---------------------------------------------------------------------

    def notified(self, session: Session, method: str, params: Mapping[str, Any] | None) -> None:
        """See `Service`."""
        if method == ROOTS_CHANGED:
            self._roots_changed(session)
            return
        extensions = self._server.extensions
        if extensions is not None and extensions.heard(self._running, session, method, params):
            return
        known = METHODS.get(method)
        if known is None or known.kind == "request":
            # A request without an id asks for no answer, so all one can do is say that it came.
            log.debug(events.MESSAGE_IGNORED, session=session.number, method=method, why="no such notification")

    def _roots_changed(self, session: Session) -> None:
        told = self._server.roots_changed
        client = session.client
        if told is None or client is None or client.capabilities.roots is None:
            return
        running = self._running
        running.notification_handlers.notified(
            session, ROOTS_CHANGED, lambda: told(SessionContext(session, running)), latest=True
        )

    def opened(self, session: Session) -> None:
        """See `Service`."""
        (self._running.callers if session.is_stateless else self._running.sessions).add(session)

    def ended(self, session: Session) -> None:
        """See `Service`."""
        self._running.sessions.discard(session)
        self._running.callers.discard(session)
        self._running.url_elicitations.session_ended(session)
        self._running.subscriptions.session_ended(session)
        self._running.notification_handlers.session_ended(session)


def _encode_agreed(result: InitializeResult) -> dict[str, Any]:
    """The answer to `initialize` in the revision agreed on, which need not be the one it was read in."""
    return codec_for(BY_VERSION[result.protocol_version]).result_encoder("initialize")(result)


def _hinted(encode: Callable[[Any], dict[str, Any]], hint: CacheHint) -> Callable[[Any], dict[str, Any]]:
    return lambda result: encode(with_hint(result, hint))


def _stamped(encode: Callable[[Any], dict[str, Any]], stamp: dict[str, Any]) -> Callable[[Any], dict[str, Any]]:
    def encode_stamped(result: Any) -> dict[str, Any]:
        encoded = encode(result)
        meta = encoded.get("_meta")
        encoded["_meta"] = stamp if meta is None else {**stamp, **meta}
        return encoded

    return encode_stamped
