"""`ExtensionRegistry`: the extensions of one server, checked against each other and the core, and made into routes.

The first `Server.use` imports this module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.actors.containment import contained
from trimcp.codec import extension_payloads as codecs
from trimcp.codec.payloads import Encoder
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidParams, InvalidPayload, RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.server.context.requirements import extension_missing
from trimcp.server.context.session_context import SessionContext
from trimcp.server.middleware import Handle, MakeContext, Middleware, Proceed, wrap
from trimcp.server.server_extension import MethodHandler, MethodMiddleware, ServerExtension
from trimcp.session.request import InboundRequest, Route, never
from trimcp.types.extensions import ExtensionResult, declare, declared_in
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.methods import methods_of
from trimcp.types.revisions import LATEST

if TYPE_CHECKING:
    from trimcp.server.context.client_view import ContextRun
    from trimcp.server.context.context import Context
    from trimcp.server.features.notification_handlers import NotificationHandlers
    from trimcp.session.peer import Peer
    from trimcp.types.capabilities import ServerCapabilities
    from trimcp.types.revisions import Revision


class ExtensionRegistry:
    """Holds the extensions of one server, in the order of use."""

    def __init__(self) -> None:
        self._all: dict[str, ServerExtension] = {}

    def __iter__(self) -> Iterator[ServerExtension]:
        return iter(self._all.values())

    def add(self, extension: ServerExtension) -> None:
        """Add an extension that was checked."""
        extension.used()
        self._all[extension.identifier] = extension

    def check(self, extension: ServerExtension) -> None:
        """Check an extension against the core and the other extensions.

        Raises:
            UsageError: the server uses an extension of that identifier; the core or another extension has one of its
                methods, notifications, results or topics, in a revision that has both.
        """
        if extension.identifier in self._all:
            raise UsageError(f"The server uses the extension {extension.identifier} already: use it once")
        for revision in extension.revisions:
            self._check_methods(extension, revision)
        for other in self:
            shared = [r for r in extension.revisions if other.exists_in(r)]
            if not shared:
                continue
            for topic in extension.topics.keys() & other.topics.keys():
                raise UsageError(f"{extension.identifier} and {other.identifier} both have the topic {topic}: use one")
            tags = {(m, r.tag) for r in other.results for m in r.methods}
            for method, tag in ((m, r.tag) for r in extension.results for m in r.methods):
                if (method, tag) in tags:
                    raise UsageError(
                        f"{extension.identifier} and {other.identifier} both answer {method} with resultType {tag!r}"
                    )

    def _check_methods(self, extension: ServerExtension, revision: Revision) -> None:
        core = methods_of(revision)
        served = (served.method for served in extension.method_handlers.values())
        heard = (heard for heard, _ in extension.notification_handlers.values())
        for declared in (*served, *heard, *extension.sent.values()):
            if not declared.exists_in(revision):
                continue
            if declared.name in core:
                raise UsageError(
                    f"{extension.identifier} has {declared.name}, a method of {revision.version} itself: rename it"
                )
            for other in self:
                if other.exists_in(revision) and other.has(declared.name):
                    raise UsageError(
                        f"{extension.identifier} and {other.identifier} both have {declared.name}: use one"
                    )

    # --- look-ups ----------------------------------------------------------------------

    def may_exist(self, identifier: str, revision: Revision) -> bool:
        """Whether a revision has an extension. True for extensions that the server does not use."""
        extension = self._all.get(identifier)
        return extension is None or extension.exists_in(revision)

    def owner_of(self, name: str) -> str | None:
        """Find the identifier of the extension that has a method or notification."""
        return next((extension.identifier for extension in self if extension.has(name)), None)

    def named_params(self) -> dict[str, str]:
        """The member of params that `Mcp-Name` mirrors, by method, in the revisions that have the header."""
        return {
            name: served.method.named_by
            for extension in self
            for name, served in extension.method_handlers.items()
            if served.method.named_by is not None and extension.exists_in(LATEST) and served.method.exists_in(LATEST)
        }

    def declare(self, capabilities: ServerCapabilities, revision: Revision) -> None:
        """Add the settings of the extensions to the capabilities of the server."""
        declare(capabilities, revision, {e.identifier: e.settings for e in self if e.exists_in(revision)})

    def show(self, definition: Any) -> None:
        """Call the `on_declare` functions with a definition.

        Raises:
            UsageError: an extension refuses it.
        """
        for extension in self:
            for hook in extension.declare_hooks:
                hook(definition)

    # --- requests ---------------------------------------------------------------------

    def routes(
        self,
        revision: Revision,
        middleware: Sequence[Middleware],
        context: MakeContext,
        stamped: Callable[[Encoder], Encoder],
    ) -> dict[str, Route]:
        """Make the routes that extensions add to a revision."""
        codec = codec_for(revision)
        return {
            name: self._route(extension.identifier, served, codec, middleware, context, stamped)
            for extension in self
            if extension.exists_in(revision)
            for name, served in extension.method_handlers.items()
            if served.method.exists_in(revision)
        }

    def _route(
        self,
        identifier: str,
        served: MethodHandler,
        codec: RevisionCodec,
        middleware: Sequence[Middleware],
        context: MakeContext,
        stamped: Callable[[Encoder], Encoder],
    ) -> Route:
        method, handler = served.method, served.handler
        needs = identifier if method.needs_declared else None

        def at_once(request: InboundRequest, params: Any) -> Any:
            _check_declared(request, needs)
            with contained(method.name):  # it runs in the turn of the Router
                return handler(context(request), params)

        async def handle(request: InboundRequest, params: Any) -> Any:
            result = handler(context(request), params)
            return await result if inspect.isawaitable(result) else result

        wrapped = wrap(handle, middleware, context)

        def checked(request: InboundRequest, params: Any) -> Awaitable[Any]:
            _check_declared(request, needs)
            return wrapped(request, params)

        return Route(
            method=method.row(),
            decode=codecs.params_decoder(codec, method.params),
            handle=checked if method.takes_place else never,
            encode=stamped(codecs.result_encoder(codec, method)),
            at_once=None if method.takes_place else at_once,
        )

    # --- requests of the core ---------------------------------------------------------

    def around(self, name: str, revision: Revision, handle: Handle, context: MakeContext) -> Handle:
        """Put the middleware of extensions around the handler of a request of the core."""
        middleware = [
            _if_declared(extension.identifier, each)
            for extension in self
            if extension.exists_in(revision)
            for each in extension.method_middleware.get(name, ())
        ]
        return wrap(handle, middleware, context)

    def answering(self, name: str, revision: Revision, handle: Handle, encode: Encoder) -> tuple[Handle, Encoder]:
        """Let the handler and the encoder of a request of the core give results of extensions."""
        if not revision.result_type:
            return handle, encode
        results: list[tuple[ExtensionResult[Any], str]] = [
            (result, extension.identifier)
            for extension in self
            if extension.exists_in(revision)
            for result in extension.results
            if name in result.methods
        ]
        if not results:
            return handle, encode

        async def checked(request: InboundRequest, params: Any) -> Any:
            answer = await handle(request, params)
            for result, identifier in results:
                if isinstance(answer, result.result):
                    _check_declared(request, identifier)  # other clients must not get this result
            return answer

        return checked, codecs.polymorphic_encoder(codec_for(revision), encode, [result for result, _ in results])

    # --- notifications ----------------------------------------------------------------

    def handle(
        self,
        run: ContextRun,
        handlers: NotificationHandlers,
        session: Peer,
        method: str,
        params: Mapping[str, Any] | None,
    ) -> bool:
        """Handle a notification of a client. Returns whether an extension has it."""
        revision = session.revision
        if revision is None or session.client is None:
            return False
        for extension in self:
            found = extension.notification_handlers.get(method)
            if found is None or not extension.exists_in(revision) or not found[0].exists_in(revision):
                continue
            if extension.identifier not in declared_in(session.client.capabilities):
                log.debug(events.MESSAGE_IGNORED, method=method, why="the client did not declare the extension")
                return True
            try:
                decoded = codecs.params_decoder(codec_for(revision), found[0].params)(params)
            except InvalidPayload as exc:
                log.warning(events.MESSAGE_IGNORED, session=session.number, method=method, why=str(exc))
                return True
            work = functools.partial(found[1], SessionContext(session, run), decoded)
            handlers.notified(session, method, work)
            return True
        return False

    # --- listens ----------------------------------------------------------------------

    async def granted(self, ctx: Context, revision: Revision, asked: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the keys that a listen may have, by topic.

        Args:
            ctx: of the listen.
            revision: of the listen.
            asked: the keys that the listen asks for, by topic.

        Raises:
            CapabilityMissing: the client did not declare the extension that has the topic.
            InvalidParams: a topic is not a list of strings.
        """
        granted: dict[str, list[str]] = {}
        for extension in self:
            for member, grant in extension.topics.items() if extension.exists_in(revision) else ():
                if member not in asked:
                    continue
                ctx.require_extension(extension.identifier)
                keys = asked[member]
                if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                    problems = [f"expected array of strings @ $.notifications.{member}"]
                    raise InvalidParams(f"Invalid {member}: expected a list of strings", {"problems": problems})
                given = grant(ctx, tuple(dict.fromkeys(keys)))
                agreed = set(await given if inspect.isawaitable(given) else given)
                granted[member] = [key for key in dict.fromkeys(keys) if key in agreed]
        return granted

    def listen_opened(self, ctx: Context, topics: Mapping[str, Sequence[str]]) -> None:
        """Start the jobs of extensions for a listen that was acknowledged."""
        for extension in self:
            for member in extension.topic_openings.keys() & topics.keys():
                opened = functools.partial(extension.topic_openings[member], ctx, topics[member])
                try:
                    ctx.start_job(opened, name=f"{member} of a listen")
                except UsageError as exc:
                    log.warning(events.MESSAGE_LOST, method="subscriptions/listen", why=str(exc))


def _check_declared(request: InboundRequest, identifier: str | None) -> None:
    """Check that the client of a request declared an extension.

    Raises:
        CapabilityMissing: it did not (2026-07-28).
        RequestFailed: it did not (legacy era, where the method does not exist then).
    """
    profile = request.profile
    if identifier is None or (profile is not None and identifier in declared_in(profile.capabilities)):
        return
    if request.revision.server_asks:
        raise RequestFailed(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    raise extension_missing(identifier, request.revision)


def _if_declared(identifier: str, middleware: MethodMiddleware) -> Middleware:
    function = middleware.function
    if middleware.undeclared:
        return function

    async def proceed_or_not(ctx: Context, params: Any, proceed: Proceed) -> Any:
        if identifier not in ctx.client_extensions:
            return await proceed(params)
        return await function(ctx, params, proceed)

    return proceed_or_not
