"""All extensions of one server: what they add, checked against each other and the core, and made into routes.

A server without extensions has none of this: the module is imported by the first `Server.use`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trimcp.codec import extensions as codecs
from trimcp.codec.payloads import Encoder
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidParams, InvalidPayload, RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.server.extension import Layer, Served, ServerExtension
from trimcp.server.function import MakeContext
from trimcp.server.middleware import Handle, Middleware, Proceed, wrap
from trimcp.server.requirements import extension_missing
from trimcp.server.session_context import SessionContext
from trimcp.session.containment import contained
from trimcp.session.request import InboundRequest
from trimcp.session.service import Route, never
from trimcp.types.extensions import ExtensionResult, declare, declared_in
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.methods import methods_of
from trimcp.types.revisions import LATEST

if TYPE_CHECKING:
    from trimcp.server.context import Context
    from trimcp.server.running import Running
    from trimcp.session.session import Session
    from trimcp.types.capabilities import ServerCapabilities
    from trimcp.types.revisions import Revision


class Extensions:
    """The extensions of one server, by identifier, in the order in which it came to use them."""

    def __init__(self) -> None:
        self._all: dict[str, ServerExtension] = {}

    def __iter__(self) -> Iterator[ServerExtension]:
        return iter(self._all.values())

    # --- using ------------------------------------------------------------------------

    def add(self, extension: ServerExtension) -> None:
        """Take one in that was checked."""
        extension.used()
        self._all[extension.identifier] = extension

    def check(self, extension: ServerExtension) -> None:
        """Check that it goes with those that there are.

        Raises:
            UsageError: there is one of that identifier; a method, notification, result or topic of it is the
                core's, or another's, in some revision that has both.
        """
        if extension.identifier in self._all:
            raise UsageError(f"the server uses the extension {extension.identifier} already")
        for revision in extension.revisions:
            self._check_methods(extension, revision)
        for other in self:
            shared = [r for r in extension.revisions if other.exists_in(r)]
            if not shared:
                continue
            for topic in extension.topics.keys() & other.topics.keys():
                raise UsageError(f"{extension.identifier} and {other.identifier} both have the topic {topic}")
            tags = {(m, r.tag) for r in other.results for m in r.methods}
            for method, tag in ((m, r.tag) for r in extension.results for m in r.methods):
                if (method, tag) in tags:
                    raise UsageError(
                        f"{extension.identifier} and {other.identifier} both answer {method} with resultType {tag!r}"
                    )

    def _check_methods(self, extension: ServerExtension, revision: Revision) -> None:
        core = methods_of(revision)
        served = (served.method for served in extension.served.values())
        heard = (heard for heard, _ in extension.heard.values())
        for declared in (*served, *heard, *extension.sent.values()):
            if not declared.exists_in(revision):
                continue
            if declared.name in core:
                raise UsageError(
                    f"{extension.identifier} cannot have {declared.name}: it is a method of {revision.version} itself"
                )
            for other in self:
                if other.exists_in(revision) and other.has(declared.name):
                    raise UsageError(f"{extension.identifier} and {other.identifier} both have {declared.name}")

    # --- who has what -----------------------------------------------------------------

    def may_exist(self, identifier: str, revision: Revision) -> bool:
        """Whether an extension is one that the revision has; of those not used here nothing is known."""
        extension = self._all.get(identifier)
        return extension is None or extension.exists_in(revision)

    def owner_of(self, name: str) -> str | None:
        """The identifier of the extension that has a method or notification."""
        return next((extension.identifier for extension in self if extension.has(name)), None)

    def named_params(self) -> dict[str, str]:
        """The member of params that `Mcp-Name` mirrors, by method, in the revisions that have the header."""
        return {
            name: served.method.named_by
            for extension in self
            for name, served in extension.served.items()
            if served.method.named_by is not None and extension.exists_in(LATEST) and served.method.exists_in(LATEST)
        }

    def declare(self, capabilities: ServerCapabilities, revision: Revision) -> None:
        """Add what the server tells of its extensions to its capabilities."""
        declare(capabilities, revision, {e.identifier: e.settings for e in self if e.exists_in(revision)})

    def show(self, definition: Any) -> None:
        """Show a declaration to those that want to see it.

        Raises:
            UsageError: one refuses it.
        """
        for extension in self:
            for hook in extension.declare_hooks:
                hook(definition)

    # --- requests ---------------------------------------------------------------------

    def routes(
        self,
        revision: Revision,
        layers: Sequence[Middleware],
        context: MakeContext,
        stamped: Callable[[Encoder], Encoder],
    ) -> dict[str, Route]:
        """The requests that extensions add to a revision."""
        codec = codec_for(revision)
        return {
            name: self._route(extension.identifier, served, codec, layers, context, stamped)
            for extension in self
            if extension.exists_in(revision)
            for name, served in extension.served.items()
            if served.method.exists_in(revision)
        }

    def _route(
        self,
        identifier: str,
        served: Served,
        codec: RevisionCodec,
        layers: Sequence[Middleware],
        context: MakeContext,
        stamped: Callable[[Encoder], Encoder],
    ) -> Route:
        method, handler = served.method, served.handler
        needs = identifier if method.needs_declared else None

        def at_once(request: InboundRequest, params: Any) -> Any:
            _check_declared(request, needs)
            with contained(method.name):  # it runs in the turn that delivers messages
                return handler(context(request), params)

        async def handle(request: InboundRequest, params: Any) -> Any:
            result = handler(context(request), params)
            return await result if inspect.isawaitable(result) else result

        wrapped = wrap(handle, layers, context)

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
        """The handler of a request of the core, with what extensions put around it."""
        layers = [
            _for_those_who_declared(extension.identifier, layer)
            for extension in self
            if extension.exists_in(revision)
            for layer in extension.layers.get(name, ())
        ]
        return wrap(handle, layers, context)

    def answering(self, name: str, revision: Revision, handle: Handle, encode: Encoder) -> tuple[Handle, Encoder]:
        """Handler and encoder of a request of the core that extensions answer in ways of their own."""
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
                    _check_declared(request, identifier)  # whom such an answer must not be sent to
            return answer

        return checked, codecs.polymorphic_encoder(codec_for(revision), encode, [result for result, _ in results])

    # --- notifications ----------------------------------------------------------------

    def heard(self, running: Running, session: Session, method: str, params: Mapping[str, Any] | None) -> bool:
        """A client has sent a notification; whether it is one that some extension hears."""
        revision = session.revision
        if revision is None or session.client is None:
            return False
        for extension in self:
            found = extension.heard.get(method)
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
            work = functools.partial(found[1], SessionContext(session, running), decoded)
            running.notification_handlers.notified(session, method, work)
            return True
        return False

    # --- listens ----------------------------------------------------------------------

    def granted(self, ctx: Context, revision: Revision, asked: Mapping[str, Any]) -> dict[str, list[str]]:
        """What of the topics that a listen asks for it is told of, by the member that names them.

        Raises:
            CapabilityMissing: the client did not declare the extension that has the topic.
            InvalidParams: it is no list of strings.
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
                    raise InvalidParams(f"{member} is a list of strings", {"problems": problems})
                agreed = set(grant(ctx, tuple(dict.fromkeys(keys))))
                granted[member] = [key for key in dict.fromkeys(keys) if key in agreed]
        return granted


def _check_declared(request: InboundRequest, identifier: str | None) -> None:
    """
    Raises:
        CapabilityMissing: the client of the request did not declare the extension (2026-07-28).
        RequestFailed: the same before, where an undeclared extension is simply not there.
    """
    profile = request.profile
    if identifier is None or (profile is not None and identifier in declared_in(profile.capabilities)):
        return
    if request.revision.server_asks:
        raise RequestFailed(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    raise extension_missing(identifier, request.revision)


def _for_those_who_declared(identifier: str, layer: Layer) -> Middleware:
    function = layer.function
    if layer.undeclared:
        return function

    async def proceed_or_not(ctx: Context, params: Any, proceed: Proceed) -> Any:
        if identifier not in ctx.client_extensions:
            return await proceed(params)
        return await function(ctx, params, proceed)

    return proceed_or_not
