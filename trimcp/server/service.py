"""`ServerService`: the routes of a server by revision, its capabilities, and the notifications of its clients.

The routes of a revision are compiled once, for the first peer that uses it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from trimcp.codec.revisions import codec_for
from trimcp.observability import events, log
from trimcp.protocol.client_profile import ClientProfile
from trimcp.protocol.lifecycle import Step
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.session_context import SessionContext
from trimcp.server.features.access import LISTEN, Access, JudgedListens
from trimcp.server.features.caching import CacheHint, with_hint
from trimcp.server.features.logging import set_level
from trimcp.server.features.provider_lists import ProviderLists
from trimcp.server.features.tools import ToolRequests
from trimcp.server.middleware import Handle, wrap
from trimcp.session.peer import Peer
from trimcp.session.request import InboundRequest, LongLived, Route, never, pong
from trimcp.session.session import Service, Session
from trimcp.types.capabilities import PromptsCapability, ResourcesCapability, ServerCapabilities, ToolsCapability
from trimcp.types.lifecycle import DiscoverResult, InitializeRequestParams, InitializeResult
from trimcp.types.metadata import SERVER_INFO
from trimcp.types.methods import METHODS, methods_of
from trimcp.types.revisions import BY_VERSION, Era, Revision

if TYPE_CHECKING:
    from trimcp.codec.payloads import Encoder
    from trimcp.limits import Limits
    from trimcp.observability.instruments import Instruments
    from trimcp.server.context.context import Context
    from trimcp.server.declarations import Declarations
    from trimcp.server.features.notification_handlers import NotificationHandlers
    from trimcp.server.features.subscriptions.bus import SubscriptionBus
    from trimcp.server.features.task_support import TaskRun
    from trimcp.session.delivery import Delivery

ROOTS_CHANGED: Final = "notifications/roots/list_changed"
TASK_STATUS: Final = "notifications/tasks/status"


class ServiceRun(ContextRun, Protocol):
    """The run of a server, as its service uses it."""

    subscriptions: SubscriptionBus
    notification_handlers: NotificationHandlers
    tasks: TaskRun | None
    """Runs tools as tasks, if any tool is declared so."""

    def context(self, request: InboundRequest) -> Context:
        """Make the context of a request."""
        ...

    def session_opened(self, session: Session) -> None:
        """Add a session that began to run."""

    def session_ended(self, session: Session) -> None:
        """Forget a session."""


class ServerService(Service):
    """Answers the requests, and handles the notifications, of the sessions of one run."""

    role: Literal["server", "client"] = "server"

    def __init__(self, declarations: Declarations, run: ServiceRun, instruments: Instruments) -> None:
        self._run = run
        self._declarations = declarations
        self.limits: Limits = declarations.limits
        self.instruments: Instruments = instruments
        self.revisions: Sequence[Revision] = declarations.revisions
        self.access: Access = Access(declarations)
        """The scopes that requests need."""
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
        if self._declarations.logging:
            at_once["logging/setLevel"] = set_level
        self._add_features(handlers)
        if self._run.tasks is not None and revision.era is Era.LEGACY:
            handlers |= self._run.tasks.core_handlers()
            handlers["tools/call"] = wrap(handlers["tools/call"], [self._run.tasks.core_middleware], self._run.context)
        keepers: dict[str, LongLived] = {LISTEN: JudgedListens(self._run.subscriptions, self.access)}
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
                encode = _hinted(encode, self._declarations.caching.of(name))
            handle = handlers.get(name, never)
            if method.asks and not revision.server_asks:
                handle = self._checking_state(handle)
            handle, encode = self._wrapped(name, revision, handle, encode)
            routes[name] = Route(
                method=method,
                decode=codec.params_decoder(name),
                handle=handle if handle is never else self.access.judged(handle, is_cacheable=method.cacheable),
                encode=encode if stamp is None else _stamped(encode, stamp),
                at_once=at_once.get(name),
                keeper=keepers.get(name),
            )
        if self._declarations.extensions is not None:
            routes |= self._declarations.extensions.routes(
                revision,
                self._declarations.middleware,
                self._run.context,
                lambda encode: encode if stamp is None else _stamped(encode, stamp),
            )
        return routes

    def _wrapped(self, name: str, revision: Revision, handle: Handle, encode: Encoder) -> tuple[Handle, Encoder]:
        """Put the middleware and the extensions around a handler and its encoder."""
        declared, context = self._declarations, self._run.context
        if declared.extensions is None:
            return wrap(handle, declared.middleware, context), encode
        handle = wrap(declared.extensions.around(name, revision, handle, context), declared.middleware, context)
        return declared.extensions.answering(name, revision, handle, encode)

    def _add_features(self, handlers: dict[str, Handle]) -> None:
        """Add the handlers of the features that the server has."""
        declared, run = self._declarations, self._run
        providers = ProviderLists(declared.providers, declared.paginator, run)
        if declared.has("tools"):
            tools = ToolRequests(declared.tools, providers, run)
            handlers["tools/list"] = tools.list
            handlers["tools/call"] = tools.call
        if declared.has("resources"):
            from trimcp.server.features.resources import ResourceRequests

            resources = ResourceRequests(declared.resources, providers, run.subscriptions, run)
            handlers["resources/list"] = resources.list
            handlers["resources/templates/list"] = resources.list_templates
            handlers["resources/read"] = resources.read
            handlers["resources/subscribe"] = resources.subscribe
            handlers["resources/unsubscribe"] = resources.unsubscribe
        if declared.has("prompts"):
            from trimcp.server.features.prompts import PromptRequests

            prompts = PromptRequests(declared.prompts, providers, run)
            handlers["prompts/list"] = prompts.list
            handlers["prompts/get"] = prompts.get
        if declared.has("completions"):
            from trimcp.server.features.completions import CompletionRequests

            handlers["completion/complete"] = CompletionRequests(declared.completions, declared.providers, run).complete

    def _checking_state(self, handle: Handle) -> Handle:
        """Check the state of a request before its handler runs, even if the handler asks nothing."""
        run = self._run

        def checked(request: InboundRequest, params: Any) -> Awaitable[Any]:
            if request.params is not None and "requestState" in request.params:
                from trimcp.server.context.client_requests import rounds_of

                rounds_of(request, run)
            return handle(request, params)

        return checked

    def _stamp(self) -> dict[str, Any]:
        """The `_meta` of every modern result (basic/index, "Per-response protocol fields")."""
        modern = next(r for r in self.revisions if r.result_type)
        return {SERVER_INFO: codec_for(modern).unstructure(self._declarations.info)}

    # --- initialize and discover ------------------------------------------------------

    def _capabilities(self, revision: Revision, delivery: Delivery) -> ServerCapabilities:
        declared = self._declarations
        has_resources = declared.has("resources")
        capabilities = ServerCapabilities(
            logging={} if declared.logging else None,
            completions={} if declared.has("completions") else None,
            tools=ToolsCapability(list_changed=True) if declared.has("tools") else None,
            resources=ResourcesCapability(list_changed=True, subscribe=True) if has_resources else None,
            prompts=PromptsCapability(list_changed=True) if declared.has("prompts") else None,
        )
        if self._run.tasks is not None:
            capabilities.tasks = self._run.tasks.core_capability(delivery)
        if declared.extensions is not None:
            declared.extensions.declare(capabilities, revision)
        return capabilities

    def _initialize(self, request: InboundRequest, params: InitializeRequestParams) -> InitializeResult:
        session = request.session
        revision = session.revision
        if session.handshake.take(Step.INITIALIZE) or revision is None:
            legacy = [revision for revision in self.revisions if revision.era is Era.LEGACY]
            wanted = BY_VERSION.get(params.protocol_version)
            revision = session.revision = wanted if wanted in legacy else legacy[-1]
        # Else a bridge brings another client on the same connection: the revision stays, for what is in flight.
        assert revision is not None
        session.client = ClientProfile(revision, params.capabilities, params.client_info, self._declarations.log_level)
        log.debug(events.HANDSHAKE_COMPLETED, session=session.number, revision=revision.version)
        return InitializeResult(
            protocol_version=revision.version,
            capabilities=self._capabilities(revision, request.delivery),
            server_info=self._declarations.info,
            instructions=self._declarations.instructions,
        )

    def _discover(self, request: InboundRequest, params: Any) -> DiscoverResult:
        return DiscoverResult(
            supported_versions=[r.version for r in self.revisions if r.era is Era.MODERN],
            capabilities=self._capabilities(request.revision, request.delivery),
            instructions=self._declarations.instructions,
        )

    # --- sessions ---------------------------------------------------------------------

    def notified(self, session: Peer, method: str, params: Mapping[str, Any] | None) -> None:
        """See `Service`."""
        if method == ROOTS_CHANGED:
            self._roots_changed(session)
            return
        if method == TASK_STATUS:
            if self._run.client_tasks:
                from trimcp.server.context.client_tasks import take_status  # late: few servers ask clients for tasks

                take_status(session, self._run, params)
            return
        extensions = self._declarations.extensions
        if extensions is not None and extensions.handle(
            self._run, self._run.notification_handlers, session, method, params
        ):
            return
        known = METHODS.get(method)
        if known is None or known.kind == "request":
            # A request without an id takes no answer, so it is only logged.
            log.debug(events.MESSAGE_IGNORED, session=session.number, method=method, why="no such notification")

    def _roots_changed(self, session: Peer) -> None:
        handler = self._declarations.roots_changed
        client = session.client
        if handler is None or client is None or client.capabilities.roots is None:
            return
        run = self._run
        run.notification_handlers.notified(
            session, ROOTS_CHANGED, lambda: handler(SessionContext(session, run)), latest=True
        )

    def opened(self, session: Session) -> None:
        """See `Service`."""
        if self.instruments.telemetry is not None and not session.is_stateless:
            self.instruments.telemetry.session_opened(session)
        self._run.session_opened(session)

    def ended(self, session: Session) -> None:
        """See `Service`."""
        if self.instruments.telemetry is not None and not session.is_stateless:
            self.instruments.telemetry.session_ended(session)
        self._run.session_ended(session)


def _encode_agreed(result: InitializeResult) -> dict[str, Any]:
    """Encode the answer to `initialize` in the negotiated revision, which may differ from the request's."""
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
