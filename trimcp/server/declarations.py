"""What a program declares on a server: tools, providers, middleware and dependencies here, the rest in other files.

The decorators are `Server`'s own; what they register is owned by the actor of each feature.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeVar, overload

from trimcp.errors import UsageError
from trimcp.server.features.declared_functions import DeclaredFunctions
from trimcp.server.features.kinds import Kind
from trimcp.server.features.provider import Provider
from trimcp.server.features.provider_registry import TIMEOUT, ProviderRegistry
from trimcp.server.features.tools import ToolRegistry
from trimcp.server.keys import Keys
from trimcp.server.middleware import Middleware
from trimcp.server.prompt_declarations import PromptDeclarations
from trimcp.server.registering import F
from trimcp.server.requirements import Requirement
from trimcp.server.resource_declarations import ResourceDeclarations
from trimcp.server.tool import ToolOptions
from trimcp.types.metadata import Icon

if TYPE_CHECKING:
    from trimcp.endpoint.routes import HttpRoute
    from trimcp.server.context import Context
    from trimcp.server.extension import ServerExtension
    from trimcp.server.session_context import SessionContext
    from trimcp.session.limits import Limits
    from trimcp.types.extensions import ExtensionNotification
    from trimcp.types.tools import ToolAnnotations

P = TypeVar("P")
MaySubscribe = Callable[[str, "Context"], bool]
OnRootsChanged = Callable[["SessionContext"], Awaitable[None]]


class Declarations(ResourceDeclarations, PromptDeclarations):
    """The declaring side of `Server`."""

    def __init__(self, limits: Limits, keys: Keys, *, show_errors: bool) -> None:
        super().__init__(limits, keys)
        self.tools = ToolRegistry(self._dependencies, self._threads, self._show, show_errors=show_errors)
        declared = DeclaredFunctions(self.tools, lambda: self.resources, lambda: self.prompts)
        self.providers = ProviderRegistry(declared, self._changed, self.notify_resource_updated)
        """The providers that were added, behind the declared functions."""
        self.layers: list[Middleware] = []
        """The middleware, outermost first."""
        self.subscribing: MaySubscribe | None = None
        """Who may subscribe to what; everybody to everything, if None."""
        self.roots_changed: OnRootsChanged | None = None
        """What is told when the roots of a client are others."""
        self.http_routes: list[HttpRoute] = []
        """What is served by HTTP beside the endpoint."""

    @property
    def has_tools(self) -> bool:
        """Whether the `tools` capability is declared."""
        return self.has("tools")

    def offers(self, kind: Kind) -> bool:
        return self.count(kind) > 0 or bool(self.providers.of(kind))

    def count(self, kind: Kind) -> int:
        if kind == "completions" and self.__dict__.keys() & {"prompts", "resources"}:
            return len(self.completions)  # what is declared there may have choices of its own
        registry: Sized = self.__dict__.get(kind, ())  # a registry that was not used yet is not there
        return len(registry)

    @overload
    def tool(self, function: F, /) -> F: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: dict[str, Any] | None = None,
        input_schema: dict[str, Any] | None = None,
        requires: Sequence[Requirement] = (),
        timeout: float | None = None,
        limit: int | None = None,
    ) -> F | Callable[[F], F]:
        """Declare a tool: `@server.tool`, or `@server.tool(title=…, timeout=…)`.

        The function's name is the tool's, its docstring the description, its type hints the
        schemas of input and output. An async function runs in Trio; a sync one in a thread.
        Parameters annotated `Context`, or with the type of a dependency, are not arguments.
        The function itself is returned unchanged.

        Args:
            function: the function, where the decorator is used without arguments.
            name: instead of the function's.
            title: what the tool is called to people.
            description: instead of the docstring.
            annotations: hints on what it does, such as that it only reads.
            icons: pictures for it.
            meta: its `_meta`.
            input_schema: a JSON Schema instead of the one from the type hints.
            requires: what the client must have declared, such as `["elicitation"]`, for the tool to
                run at all; one that did not gets an error that says so.
            timeout: seconds that a call may take, waiting for its turn included; then it is
                cancelled and answered with an error.
            limit: calls that run at once, of all sessions; further ones wait.

        Raises:
            UsageError: the function cannot be a tool; the message says what to do.

        See server/tools of the specification.
        """
        options = ToolOptions(
            name=name,
            title=title,
            description=description,
            annotations=annotations,
            icons=icons,
            meta=meta,
            input_schema=input_schema,
            requires=requires,
            timeout=timeout,
            limit=limit,
        )
        if function is None:
            return lambda function: self.tool_from(function, options)
        return self.tool_from(function, options)

    def tool_from(self, function: F, options: ToolOptions) -> F:
        """Declare a tool with its options as one object; see `tool`."""
        self._check_may_declare("tools", "tool")
        self.tools.add(function, options)
        self._changed("tools")
        return function

    def remove_tool(self, name: str) -> None:
        """Take a tool back; clients are told. Calls of it that run go on.

        Raises:
            UsageError: there is none of that name.
        """
        self.tools.remove(name)
        self._changed("tools")

    # --- providers --------------------------------------------------------------------

    def add_provider(self, provider: Provider, *, timeout: float | None = TIMEOUT) -> None:
        """Offer the tools, resources and prompts of a `trimcp.Provider` too; clients are told.

        The functions that the program declares come first, then the providers in the order in which they were
        added. Where two have one name, the first wins: lists leave the other out, and the log says so.

        Args:
            provider: it may serve several servers. Its features count as declared, also while it has nothing.
            timeout: seconds that one call to it may take. Then the request that needed it fails, as it does where
                the provider raises, or returns something else than it should. None for no bound.

        Raises:
            UsageError: it is no `Provider`, lacks a method of its features, or has the name of another one; or the
                server runs, and began without one of its features.
        """
        added = self.providers.check(provider, timeout)
        for kind in added.features:
            if self._runs and not self.has(kind):
                raise UsageError(
                    f"add the provider {added.name} before the server runs: that it has {kind} is told when a peer asks"
                )
        self.providers.add(added)
        for kind in added.features:
            self._changed(kind)

    def remove_provider(self, provider: Provider) -> None:
        """Take a provider away; clients are told. Requests that it works for go on.

        Raises:
            UsageError: the server does not have it.
        """
        for kind in self.providers.remove(provider).features:
            self._changed(kind)

    def middleware(self, function: Middleware) -> Middleware:
        """Declare an async function around the answering of every request that takes work.

        It is called as `function(ctx, params, proceed)` and returns `await proceed(params)`,
        or another result. The first declared is the outermost.

        Raises:
            UsageError: the server runs already.
        """
        if self._runs:
            raise UsageError("declare middleware before the server runs")
        self.layers.append(function)
        return function

    def may_subscribe(self, function: MaySubscribe) -> MaySubscribe:
        """Declare who may be told of the changes of which resource.

            @server.may_subscribe
            def mine(uri: str, ctx: trimcp.Context) -> bool:
                return uri.startswith(f"home://{ctx.principal}/")

        It is asked for each URI of a `resources/subscribe` and of a `subscriptions/listen`, after the
        bounds. A URI that it says no to is refused (-32602) by the first, and left out of what is
        acknowledged by the second. It may raise `RequestFailed`, which then is the answer to the
        whole request. Any other exception, and any answer but True or False, is an internal error
        (-32603) of that request. It is not async, must not wait, and is asked once.

        Raises:
            UsageError: it is async; there is one; the server runs already.
        """
        if inspect.iscoroutinefunction(function):
            raise UsageError(
                "what says who may subscribe must not be async: it is asked for each URI, and must not wait"
            )
        if self._runs or self.subscribing is not None:
            raise UsageError("declare who may subscribe once, before the server runs")
        self.subscribing = function
        return function

    def on_roots_changed(self, function: OnRootsChanged) -> OnRootsChanged:
        """Declare an async function that is told when the roots of a client are others (client/roots).

            @server.on_roots_changed
            async def look_again(ctx: trimcp.SessionContext) -> None:
                folders[ctx.session_number] = await ctx.roots()

        It runs once at a time for each session; what comes meanwhile makes it run once more. It is
        cancelled when the session ends. In 2026-07-28 clients do not tell: ask when you need to know.

        Raises:
            UsageError: there is one, or the server runs already.
        """
        if self._runs or self.roots_changed is not None:
            raise UsageError("declare what is told of changed roots once, before the server runs")
        self.roots_changed = function
        return function

    def route(
        self,
        path: str,
        *,
        methods: Sequence[str] = ("GET",),
        authenticate: bool = True,
        guarded: bool = True,
        prefix: bool = False,
    ) -> Callable[[F], F]:
        """Declare an async function that answers HTTP requests beside the endpoint.

            @server.route("/metrics", authenticate=False)
            async def metrics(request: trimcp.HttpRequest) -> trimcp.HttpReply:
                return trimcp.HttpReply(text, headers={"Cache-Control": "no-store"})

        It is called with the `HttpRequest`, whose body is there, and returns an `HttpReply` or a body alone: a
        string, bytes, a JSON value, or None for a 204. It runs in a task of its own, which is cancelled when the
        client leaves. Whatever it raises is a 500 for that request alone, and goes to the log. It is there by
        `serve_http`, `serve_hypercorn` and `asgi`, below the mount of the latter.

        Args:
            path: begins with `/`; compared with the percent-decoded path of requests.
            methods: of HTTP; `HEAD` goes with `GET`. Others get 405.
            authenticate: whether the `authenticate` function of the endpoint, if it has one, is asked who sends the
                request; `request.principal` is what it said.
            guarded: whether Host and Origin are checked as for the endpoint.
            prefix: whether the paths below it are meant as well.

        Raises:
            UsageError: the path, the methods or the function cannot be; another route has them; the server runs
                already. A path of the endpoint's own is refused when the server is served.
        """
        from trimcp.endpoint.routes import RouteTable, user_route

        if self._runs:
            raise UsageError(f"Late declaration of the route {path}: declare routes before the server runs")

        def declare(function: F) -> F:
            options = {"authenticate": authenticate, "guarded": guarded, "prefix": prefix}
            route = user_route(path, function, methods, **options)
            table = RouteTable()
            for each in (*self.http_routes, route):
                table.add(each)
            self.http_routes.append(route)
            return function

        return declare

    # --- extensions -------------------------------------------------------------------

    def use(self, extension: ServerExtension) -> None:
        """Offer an extension of the protocol; `Server(extensions=[…])` does so as well.

        Raises:
            UsageError: the server runs already or uses one of that identifier; something of it is the core's or
                another's; it refuses what is declared already.
        """
        from trimcp.server.extensions import Extensions

        if self._runs:
            raise UsageError(f"use {extension.identifier} before the server runs: what it can do is told to peers")
        extensions = Extensions() if self.extensions is None else self.extensions
        extensions.check(extension)
        for definition in self._definitions():
            for hook in extension.declare_hooks:
                hook(definition)
        extensions.add(extension)
        self.extensions = extensions

    def _definitions(self) -> Iterator[Any]:
        """All definitions that were declared so far."""
        yield from self.tools.catalog.definitions.values()
        if "resources" in self.__dict__:
            yield from self.resources.catalog.all_definitions()
        if "prompts" in self.__dict__:
            yield from self.prompts.catalog.definitions.values()

    def extension_of(self, name: str) -> str:
        """The identifier of the extension that has a method or notification of that name, or says it sends it.

        Raises:
            UsageError: none does.
        """
        found = None if self.extensions is None else self.extensions.owner_of(name)
        if found is None:
            raise UsageError(f"no extension that this server uses has {name}")
        return found

    def tell(
        self, notification: ExtensionNotification[P], params: P, *, topic: str | None = None, key: str = ""
    ) -> None:
        """Tell clients something of an extension: those that listen to a topic, or every legacy session.

        Only clients that declared the extension are told. It does not wait; of several with the same
        key that a client has not read yet, it gets the newest.

        Args:
            notification: of the extension.
            params: what it carries.
            topic: what listens name it by (`ServerExtension.topic`); without one, the sessions of the legacy era.
            key: which of the topic it is about.

        Raises:
            UsageError: no extension that the server uses has it, or clients send it.
            InvalidPayload: the params have no form in JSON.
        """
        identifier = self.extension_of(notification.name)
        if notification.sender != "server":
            raise UsageError(f"{notification.name} is for clients to send")
        for running in list(self._runs):
            running.subscriptions.notify(identifier, notification, params, None if topic is None else (topic, key))

    # --- dependencies of handlers -----------------------------------------------------

    def dependency(self, function: F) -> F:
        """Declare where objects of a type come from: handlers ask for one by annotating a parameter.

        The type is the function's return annotation. It may be async, may take the `Context`,
        and may be an async generator that yields once, to clean up after the call. Declare it
        before the tools that use it.

        Raises:
            UsageError: the type has a dependency, or the function's shape is another.
        """
        given: Any = function
        if isinstance(given, Provider) or (isinstance(given, type) and issubclass(given, Provider)):
            raise UsageError(f"{given!r} is a source of tools, resources or prompts: use server.add_provider(…)")
        self._dependencies.add(function)
        return function

    def provider(self, function: F) -> F:
        """Declare where objects of a type come from: the first name of `dependency`, which stays.

        A `trimcp.Provider` is another thing, and goes to `add_provider`.
        """
        return self.dependency(function)
