"""`ServerExtension`: one extension of the protocol, on the side of the server.

A program or a package declares its parts, and gives it to `Server.use`. `trimcp.server.extension_registry` serves all
extensions of a server.

SEP-2133; basic/versioning, "Extension Negotiation", of 2026-07-28.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp.codec.extension_payloads import check_payload
from trimcp.errors import UsageError
from trimcp.server.context.context import Context
from trimcp.server.context.session_context import SessionContext
from trimcp.server.middleware import Middleware
from trimcp.types.extensions import (
    ExtensionMethod,
    ExtensionNotification,
    ExtensionResult,
    check_identifier,
    check_topic,
    revisions_of,
)
from trimcp.types.methods import METHODS
from trimcp.types.payload import NotificationParams, RequestParams, Result

if TYPE_CHECKING:
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.revisions import Revision
    from trimcp.types.tools import Tool

    Declared = Tool | Resource | ResourceTemplate | Prompt

P = TypeVar("P")
R = TypeVar("R")

Handler = Callable[[Context, P], Awaitable[R]] | Callable[[Context, P], R]
"""Answers a request of an extension. It is not async if the request takes no place."""
NotificationHandler = Callable[[SessionContext, P], Awaitable[None]]
"""Handles a notification of a client."""
TopicGrant = Callable[[Context, Sequence[str]], Iterable[str] | Awaitable[Iterable[str]]]
"""Returns the keys that a listen may have, of those that it asks for; async or not."""
TopicOpened = Callable[[Context, Sequence[str]], Awaitable[None]]
"""Is called when a listen with these keys was acknowledged."""
DeclareHook = Callable[["Declared"], None]
"""Gets a tool, a resource, a template or a prompt before it is declared; may set fields, or raise `UsageError`."""

NOT_WRAPPED: Final = frozenset(
    ("initialize", "ping", "server/discover", "logging/setLevel", "subscriptions/listen"),
)
"""Requests of the core that are answered without a task, so middleware cannot wrap them."""


@attrs.frozen
class MethodHandler:
    """Holds a method of an extension and its handler."""

    method: ExtensionMethod[Any, Any]
    handler: Callable[[Context, Any], Any]


@attrs.frozen
class MethodMiddleware:
    """Holds the middleware of an extension for one method of the core."""

    function: Middleware
    undeclared: bool
    """Whether it also runs for clients that did not declare the extension."""


class ServerExtension:
    """Declares an extension of the protocol, for any number of servers.

        echo = trimcp.ServerExtension("com.example/echo", settings={"loud": True})
        ECHO = trimcp.ExtensionMethod("echo/say", dict, dict)

        @echo.method(ECHO)
        async def say(ctx: trimcp.Context, params: dict) -> dict:
            return {"text": params["text"].upper()}

        server = trimcp.Server("mountain", extensions=[echo])

    A server has it after `Server.use`. Its functions work as those of the server do: with `Context`, deadlines,
    cancellation and middleware.
    """

    def __init__(
        self,
        identifier: str,
        *,
        settings: Mapping[str, Any] | None = None,
        revisions: Sequence[str] | None = None,
        results: Sequence[ExtensionResult[Any]] = (),
        sends: Sequence[ExtensionNotification[Any] | ExtensionMethod[Any, Any]] = (),
        lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None,
    ) -> None:
        """
        Args:
            identifier: `prefix/name`, such as `com.example/echo`. Official extensions start with
                `io.modelcontextprotocol/`.
            settings: its settings in the capabilities of the server; a JSON object.
            revisions: the revisions that have it; all, if not given. In other revisions it does not exist.
            results: further results for requests of the core.
            sends: the notifications, and in the legacy era requests, that the server sends.
            lifespan: an async context manager function, called with the `Server`, entered when a run begins and left
                when it ends; `ctx.state_of(identifier)` is the value that it yields.

        Raises:
            UsageError: the identifier is invalid; there is no such revision; a result has no tag of its own.
        """
        self.identifier: str = check_identifier(identifier)
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.revisions: tuple[Revision, ...] = revisions_of(revisions)
        self.results: tuple[ExtensionResult[Any], ...] = tuple(results)
        self.sent: dict[str, ExtensionNotification[Any] | ExtensionMethod[Any, Any]] = {
            sent.name: sent for sent in sends
        }
        self.lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] | None = lifespan
        self.method_handlers: dict[str, MethodHandler] = {}
        self.notification_handlers: dict[str, tuple[ExtensionNotification[Any], NotificationHandler[Any]]] = {}
        self.method_middleware: dict[str, list[MethodMiddleware]] = {}
        self.topics: dict[str, TopicGrant] = {}
        self.topic_openings: dict[str, TopicOpened] = {}
        self.declare_hooks: list[DeclareHook] = []
        self._is_used = False
        for result in self.results:
            self._check_result(result)
        for sent in self.sent.values():
            if sent.sender != "server":
                raise UsageError(f"{sent.name} is for clients to send: declare it with sender='server'")

    def _check_result(self, result: ExtensionResult[Any]) -> None:
        check_payload(result.result, Result, f"a result of {self.identifier}")
        if result.result is dict:
            raise UsageError(f"A result of {self.identifier} is a dict: declare a class, which names its resultType")
        _ = result.tag
        for name in result.methods:
            row = METHODS.get(name)
            if row is None or row.kind != "request" or name in NOT_WRAPPED:
                raise UsageError(
                    f"{self.identifier} cannot answer {name}: choose a request of the core that takes work"
                )

    # --- declaring --------------------------------------------------------------------

    def method(self, method: ExtensionMethod[P, R]) -> Callable[[Handler[P, R]], Handler[P, R]]:
        """Declare the handler of a request: `@extension.method(GET)`, on an async function of context and params.

        If the method takes no place, the function is not async, and must not wait.

        Raises:
            UsageError: servers do not answer it; it has a handler; its classes are not for params and results.
        """
        self._check_open()
        if method.sender != "client":
            raise UsageError(f"{method.name} is for clients to answer: send it by ctx.call")
        check_payload(method.params, RequestParams, f"the params of {method.name}")
        check_payload(method.result, Result, f"the result of {method.name}")
        if method.name in self.method_handlers:
            raise UsageError(f"{self.identifier} has a handler of {method.name} already: declare one")

        def declare(handler: Handler[P, R]) -> Handler[P, R]:
            if not method.takes_place and inspect.iscoroutinefunction(handler):
                raise UsageError(f"{method.name} takes no place: its handler must not be async")
            self.method_handlers[method.name] = MethodHandler(method, handler)
            return handler

        return declare

    def hears(
        self, notification: ExtensionNotification[P]
    ) -> Callable[[NotificationHandler[P]], NotificationHandler[P]]:
        """Declare the async function that handles a notification of clients, in sessions of the legacy era.

        It gets a `SessionContext` and the params. For each session it runs for one notification at a time, and only if
        the client declared the extension.

        Raises:
            UsageError: clients do not send it, or it has a handler already.
        """
        self._check_open()
        if notification.sender != "client":
            raise UsageError(f"{notification.name} is for servers to send: send it by ctx.notify or server.tell")
        check_payload(notification.params, NotificationParams, f"the params of {notification.name}")
        if notification.name in self.notification_handlers:
            raise UsageError(f"{self.identifier} has a handler of {notification.name} already: declare one")

        def declare(handler: NotificationHandler[P]) -> NotificationHandler[P]:
            self.notification_handlers[notification.name] = (notification, handler)
            return handler

        return declare

    def around(self, method: str, *, undeclared: bool = False) -> Callable[[Middleware], Middleware]:
        """Declare a middleware around one request of the core. See `Server.middleware`.

        It runs inside the middleware of the server.

        Args:
            method: the name of the request, such as `tools/call`.
            undeclared: whether it also runs for clients that did not declare the extension.

        Raises:
            UsageError: there is no such request, or it is answered without work.
        """
        self._check_open()
        row = METHODS.get(method)
        if row is None or row.kind != "request" or row.sender == "server" or method in NOT_WRAPPED:
            raise UsageError(f"No middleware can run around {method}: choose a request of the core that takes work")

        def declare(function: Middleware) -> Middleware:
            self.method_middleware.setdefault(method, []).append(MethodMiddleware(function, undeclared))
            return function

        return declare

    def topic(self, member: str, *, opened: TopicOpened | None = None) -> Callable[[TopicGrant], TopicGrant]:
        """Declare a topic that clients can listen to (`subscriptions/listen`, 2026-07-28).

        `member` names a list of strings in the filter of a listen, such as `taskIds`. The function gets the context and
        the strings, and returns the strings that the listen may have: `Server.tell` notifies it of these. It may be
        async. An exception is the answer to the listen.

        Args:
            member: the member of the filter.
            opened: an async function of the context and the granted strings, which runs in a job of the server once the
                listen is acknowledged: to tell it at once what it may have missed.

        Raises:
            UsageError: the core, or this extension, has that member.
        """
        self._check_open()
        check_topic(member)
        if member in self.topics:
            raise UsageError(f"{self.identifier} has a topic {member} already: choose another name")

        def declare(grant: TopicGrant) -> TopicGrant:
            self.topics[member] = grant
            if opened is not None:
                self.topic_openings[member] = opened
            return grant

        return declare

    def on_declare(self, hook: DeclareHook) -> DeclareHook:
        """Declare a function that gets each tool, resource, template and prompt of a server before it is declared.

        It may set fields (`definition.meta = {...}`: a new object, since the old one is the program's), or refuse by
        `UsageError`. It gets earlier declarations when the server uses the extension.
        """
        self._check_open()
        self.declare_hooks.append(hook)
        return hook

    def _check_open(self) -> None:
        if self._is_used:
            raise UsageError(f"Extension {self.identifier} is in use: declare its parts before a server uses it")

    # --- for the registry -------------------------------------------------------------

    def used(self) -> None:
        """Refuse further declarations: a server uses the extension now."""
        self._is_used = True

    def has(self, name: str) -> bool:
        """Whether the extension has a method or notification."""
        return name in self.method_handlers or name in self.notification_handlers or name in self.sent

    def exists_in(self, revision: Revision) -> bool:
        """Whether a revision has the extension."""
        return revision in self.revisions
