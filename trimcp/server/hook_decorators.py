"""`HookDecorators`: the part of `Server` that declares providers, hooks and extensions, and notifies clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from trimcp.server.features.provider_registry import TIMEOUT
from trimcp.server.options import check_text

if TYPE_CHECKING:
    from trimcp.server.declarations import Declarations, MaySubscribe, OnRootsChanged
    from trimcp.server.features.provider import Provider
    from trimcp.server.middleware import Middleware
    from trimcp.server.server_extension import ServerExtension
    from trimcp.types.extensions import ExtensionNotification

P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])


class HookDecorators:
    """Declares the functions of a server beside its features, and notifies its clients."""

    _declarations: Declarations

    # --- providers --------------------------------------------------------------------

    def add_provider(self, provider: Provider, *, timeout: float | None = TIMEOUT) -> None:
        """Offer the tools, resources and prompts of a `trimcp.Provider` too, and notify clients.

        The declared functions come first, then the providers in the order in which they were added. Of two items with
        one name the first is used: lists leave out the other, and the log says so.

        Args:
            provider: the provider; it may serve several servers. Its features count as declared, even while it has no
                items.
            timeout: seconds that one call to it may take; None for no bound. After that the request that needed it
                fails, as it does if the provider raises or returns a wrong type.

        Raises:
            UsageError: it is no `Provider`, lacks a method of its features, or has the name of another provider; or the
                server runs, and began without one of its features.
        """
        self._declarations.add_provider(provider, timeout)

    def remove_provider(self, provider: Provider) -> None:
        """Remove a provider, and notify clients. Requests that use it go on.

        Raises:
            UsageError: the server does not have it.
        """
        self._declarations.remove_provider(provider)

    # --- hooks ------------------------------------------------------------------------

    def dependency(self, function: F) -> F:
        """Declare the function that makes objects of a type: handlers get one by annotating a parameter.

        The type is the function's return annotation. The function may be async, may take the `Context`, and may be an
        async generator that yields once, to clean up after the call. Declare it before the tools that use it.

        Raises:
            UsageError: the type has a dependency already, or the function has the wrong parameters or annotations.
        """
        self._declarations.add_dependency(function)
        return function

    def provider(self, function: F) -> F:
        """Declare a dependency: the earlier name of `dependency`, which stays.

        A `trimcp.Provider` is another thing, and goes to `add_provider`.
        """
        return self.dependency(function)

    def middleware(self, function: Middleware) -> Middleware:
        """Declare an async function around the answering of every request that takes work.

        It is called as `function(ctx, params, proceed)` and returns `await proceed(params)`, or another result. The
        first declared is the outermost.

        Raises:
            UsageError: the server runs already.
        """
        self._declarations.add_middleware(function)
        return function

    def may_subscribe(self, function: MaySubscribe) -> MaySubscribe:
        """Declare the function that decides which client may subscribe to which resource.

            @server.may_subscribe
            def mine(uri: str, ctx: trimcp.Context) -> bool:
                return uri.startswith(f"home://{ctx.principal}/")

        It is called for each URI of a `resources/subscribe` and of a `subscriptions/listen`, after the bounds are
        checked. If it returns False, the first is refused (-32602), and the acknowledgement of the second leaves out
        the URI. If it raises `RequestFailed`, that is the answer to the whole request. Any other exception, and any
        value but True or False, is an internal error (-32603) of that request. It is not async, must not wait, and is
        called once for each URI.

        Raises:
            UsageError: it is async; there is such a function; the server runs already.
        """
        self._declarations.set_may_subscribe(function)
        return function

    def on_roots_changed(self, function: OnRootsChanged) -> OnRootsChanged:
        """Declare the async function that handles the notification of changed roots (client/roots).

            @server.on_roots_changed
            async def look_again(ctx: trimcp.SessionContext) -> None:
                folders[ctx.session_number] = await ctx.roots()

        It runs once at a time for each session; notifications that come meanwhile make it run once more. It is
        cancelled when the session ends. In 2026-07-28 clients do not send this notification: ask when you need to know.

        Raises:
            UsageError: there is such a function, or the server runs already.
        """
        self._declarations.set_roots_changed(function)
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

        It is called with the `HttpRequest`, whose body was read, and returns an `HttpReply` or only a body: a string,
        bytes, a JSON value, or None for a 204. It runs in a task of its own, which is cancelled when the client leaves.
        An exception is a 500 for that request alone, and goes to the log. `serve_http`, `serve_hypercorn` and `asgi`
        serve the route, the latter below its mount.

        Args:
            path: the path, which begins with `/`; compared with the percent-decoded path of requests.
            methods: the HTTP methods; `HEAD` goes with `GET`. Others get 405.
            authenticate: whether the `authenticate` function of the endpoint, if it has one, checks the sender of
                requests; `request.principal` is its result.
            guarded: whether Host and Origin are checked as for the endpoint.
            prefix: whether the route has the paths below it as well.

        Raises:
            UsageError: the path, the methods or the function is invalid; another route has them; the server runs
                already. A path of the endpoint's own is refused when the server is served.
        """
        check_text(path, '@server.route("/path")')
        from trimcp.http.server.routes import user_route

        self._declarations.check_may_route(path)

        def declare(function: F) -> F:
            options = {"authenticate": authenticate, "guarded": guarded, "prefix": prefix}
            self._declarations.add_route(user_route(path, function, methods, **options))
            return function

        return declare

    # --- extensions -------------------------------------------------------------------

    def use(self, extension: ServerExtension) -> None:
        """Use an extension of the protocol; `Server(extensions=[…])` does so as well.

        Raises:
            UsageError: the server runs already, or uses an extension of that identifier; a name of the extension
                belongs to the core or to another extension; the extension refuses an earlier declaration.
        """
        self._declarations.use(extension)

    def tell(
        self, notification: ExtensionNotification[P], params: P, *, topic: str | None = None, key: str = ""
    ) -> None:
        """Send clients a notification of an extension: those that listen to a topic, or every legacy session.

        Only clients that declared the extension get it. It does not wait. Of several notifications with the same key
        that a client has not read yet, it gets the newest.

        Args:
            notification: a notification of the extension.
            params: its params.
            topic: the name of the topic in listens (`ServerExtension.topic`); without it, the notification goes to the
                sessions of the legacy era.
            key: the key of the topic.

        Raises:
            UsageError: no extension that the server uses has the notification, or it is for clients to send.
            InvalidPayload: the params have no form in JSON.
        """
        self._declarations.notify(notification, params, topic=topic, key=key)

    # --- notifications ----------------------------------------------------------------

    def notify_tools_changed(self) -> None:
        """Notify clients that the list of tools has changed, for a reason that trimcp does not see.

        Declaring and removing notify clients already. This method, and the others like it, reach every client as its
        revision provides: a session of the legacy era, or a `subscriptions/listen` that asked for it in 2026-07-28.
        They do not wait, may be called from any thread, and many calls become one notification for a client that is
        slow to read. They do nothing while the server does not run.
        """
        self._declarations.changed("tools")

    def notify_prompts_changed(self) -> None:
        """Notify clients that the list of prompts has changed. See `notify_tools_changed`."""
        self._declarations.changed("prompts")

    def notify_resources_changed(self) -> None:
        """Notify clients that the list of resources has changed. See `notify_tools_changed`."""
        self._declarations.changed("resources")

    def notify_resource_updated(self, uri: str) -> None:
        """Notify the clients that subscribed to a resource that it has changed. See `notify_tools_changed`.

        Args:
            uri: exactly as clients subscribe to it.
        """
        self._declarations.resource_updated(uri)

    def notify_elicitation_complete(self, id: str) -> bool:
        """Notify the client that a URL elicitation is complete: its user is done on the web page.

        Only 2025-11-25 has this notification; in 2026-07-28 a client learns it from its next request.

        Args:
            id: the id that was given to `Context.elicit_url`.

        Returns:
            Whether there is a client to notify.
        """
        return self._declarations.elicitation_complete(id)
