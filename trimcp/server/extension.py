"""`ServerExtension`: one extension of the protocol, as a server offers it.

A value that a program, or a package, declares things on, and gives to `Server.use`. What a server
makes of all its extensions is in `trimcp.server.extensions`.

SEP-2133; basic/versioning, "Extension Negotiation", of 2026-07-28.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp.codec.extensions import check_payload
from trimcp.errors import UsageError
from trimcp.server.context import Context
from trimcp.server.middleware import Middleware
from trimcp.server.session_context import SessionContext
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
    from trimcp.server.app import Server
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.revisions import Revision
    from trimcp.types.tools import Tool

    Declared = Tool | Resource | ResourceTemplate | Prompt

P = TypeVar("P")
R = TypeVar("R")

Handler = Callable[[Context, P], Awaitable[R]] | Callable[[Context, P], R]
"""Answers a request of an extension; not async where the request takes no place."""
Hearer = Callable[[SessionContext, P], Awaitable[None]]
"""Is told of a notification of a client's."""
Grant = Callable[[Context, Sequence[str]], Iterable[str]]
"""Which of the keys that a listen asks for it is told of. It is not async."""
DeclareHook = Callable[["Declared"], None]
"""Looks at a tool, a resource, a template or a prompt as it is declared; it may set fields, or raise `UsageError`."""

NOT_WRAPPED: Final = frozenset(
    ("initialize", "ping", "server/discover", "logging/setLevel", "subscriptions/listen"),
)
"""Requests of the core that are answered without a task, around which nothing can be put."""


@attrs.frozen
class Served:
    """A method and what answers it."""

    method: ExtensionMethod[Any, Any]
    handler: Callable[[Context, Any], Any]


@attrs.frozen
class Layer:
    """What an extension puts around the answering of one method of the core."""

    function: Middleware
    undeclared: bool


class ServerExtension:
    """An extension, as a server offers it.

        echo = trimcp.ServerExtension("com.example/echo", settings={"loud": True})
        ECHO = trimcp.ExtensionMethod("echo/say", dict, dict)

        @echo.method(ECHO)
        async def say(ctx: trimcp.Context, params: dict) -> dict:
            return {"text": params["text"].upper()}

        server = trimcp.Server("mountain", extensions=[echo])

    It is off until a server uses it, and several servers may use the same. Its functions get what
    the server's own get: `Context`, deadlines, cancellation, middleware around them.
    """

    def __init__(
        self,
        identifier: str,
        *,
        settings: Mapping[str, Any] | None = None,
        revisions: Sequence[str] | None = None,
        results: Sequence[ExtensionResult[Any]] = (),
        sends: Sequence[ExtensionNotification[Any] | ExtensionMethod[Any, Any]] = (),
        lifespan: Callable[[Server], AbstractAsyncContextManager[Any]] | None = None,
    ) -> None:
        """
        Args:
            identifier: `prefix/name`, such as `com.example/echo`; one that starts with `io.modelcontextprotocol/`
                is an official one.
            settings: what the server tells of it in its capabilities; a JSON object.
            revisions: those that have it; all, if not given. In any other it does not exist.
            results: further ways to answer requests of the core.
            sends: the notifications, and in the legacy era requests, that the server sends.
            lifespan: an async context manager function, called with the server, entered when a run begins and
                left when it ends; `ctx.state_of(identifier)` is what it yields.

        Raises:
            UsageError: the identifier breaks the rules; there is no such revision; a result has no tag of its own.
        """
        self.identifier = check_identifier(identifier)
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.revisions = revisions_of(revisions)
        self.results = tuple(results)
        self.sent = {sent.name: sent for sent in sends}
        self.lifespan = lifespan
        self.served: dict[str, Served] = {}
        self.heard: dict[str, tuple[ExtensionNotification[Any], Hearer[Any]]] = {}
        self.layers: dict[str, list[Layer]] = {}
        self.topics: dict[str, Grant] = {}
        self.declare_hooks: list[DeclareHook] = []
        self._is_used = False
        for result in self.results:
            self._check_result(result)
        for sent in self.sent.values():
            if sent.sender != "server":
                raise UsageError(f"{sent.name} is for clients to send")

    def _check_result(self, result: ExtensionResult[Any]) -> None:
        check_payload(result.result, Result, f"a result of {self.identifier}")
        if result.result is dict:
            raise UsageError(f"a result of {self.identifier} needs a class, which names its resultType")
        _ = result.tag
        for name in result.methods:
            row = METHODS.get(name)
            if row is None or row.kind != "request" or name in NOT_WRAPPED:
                raise UsageError(f"{self.identifier} cannot answer {name}: it is no request of the core that it may")

    # --- declaring --------------------------------------------------------------------

    def method(self, method: ExtensionMethod[P, R]) -> Callable[[Handler[P, R]], Handler[P, R]]:
        """Declare what answers a request: `@extension.method(GET)`, on an async function of context and params.

        Where the method takes no place, the function is not async, and must not wait.

        Raises:
            UsageError: servers do not answer it, or it has an answer; the classes are none for params and results.
        """
        self._check_open()
        if method.sender != "client":
            raise UsageError(f"{method.name} is for clients to answer: a server sends it, by ctx.call")
        check_payload(method.params, RequestParams, f"the params of {method.name}")
        check_payload(method.result, Result, f"the result of {method.name}")
        if method.name in self.served:
            raise UsageError(f"{self.identifier} answers {method.name} already")

        def declare(handler: Handler[P, R]) -> Handler[P, R]:
            if not method.takes_place and inspect.iscoroutinefunction(handler):
                raise UsageError(f"{method.name} takes no place, so what answers it must not be async")
            self.served[method.name] = Served(method, handler)
            return handler

        return declare

    def hears(self, notification: ExtensionNotification[P]) -> Callable[[Hearer[P]], Hearer[P]]:
        """Declare what is told of a notification that clients send, in sessions of the legacy era.

        The async function gets a `SessionContext` and the params. It is called for one after the
        other of each session, and only where the client declared the extension.

        Raises:
            UsageError: clients do not send it, or something hears it already.
        """
        self._check_open()
        if notification.sender != "client":
            raise UsageError(f"{notification.name} is sent by servers: ctx.notify and server.tell do so")
        check_payload(notification.params, NotificationParams, f"the params of {notification.name}")
        if notification.name in self.heard:
            raise UsageError(f"{self.identifier} hears {notification.name} already")

        def declare(hearer: Hearer[P]) -> Hearer[P]:
            self.heard[notification.name] = (notification, hearer)
            return hearer

        return declare

    def around(self, method: str, *, undeclared: bool = False) -> Callable[[Middleware], Middleware]:
        """Put an async function around the answering of a request of the core; see `Server.middleware`.

        It runs inside of the server's own middleware.

        Args:
            method: such as `tools/call`.
            undeclared: whether also for clients that did not declare the extension.

        Raises:
            UsageError: there is no such request, or nothing can be put around it.
        """
        self._check_open()
        row = METHODS.get(method)
        if row is None or row.kind != "request" or row.sender == "server" or method in NOT_WRAPPED:
            raise UsageError(f"nothing can be put around {method}: it is no request that takes work")

        def declare(function: Middleware) -> Middleware:
            self.layers.setdefault(method, []).append(Layer(function, undeclared))
            return function

        return declare

    def topic(self, member: str) -> Callable[[Grant], Grant]:
        """Add something that a client can listen to (`subscriptions/listen`, 2026-07-28).

        `member` names a list of strings in what a listen asks for, such as `taskIds`. The function
        gets the context and the strings, and returns those that the listen will be told of by
        `Server.tell`. It is not async and must not wait; what it raises is the answer.

        Raises:
            UsageError: the core, or this extension, has that member.
        """
        self._check_open()
        check_topic(member)
        if member in self.topics:
            raise UsageError(f"there is a topic {member} already")

        def declare(grant: Grant) -> Grant:
            if inspect.iscoroutinefunction(grant):
                raise UsageError(f"what grants {member} must not be async: it is asked while a message is read")
            self.topics[member] = grant
            return grant

        return declare

    def on_declare(self, hook: DeclareHook) -> DeclareHook:
        """Have a function look at each tool, resource, template and prompt of a server when it is declared.

        It may set fields (`definition.meta = {...}`: a new object, since the one that is there is the
        program's), or refuse by `UsageError`. What was declared before `Server.use` is shown to it then.
        """
        self._check_open()
        self.declare_hooks.append(hook)
        return hook

    def _check_open(self) -> None:
        if self._is_used:
            raise UsageError(f"{self.identifier} is in use: declare all of it before a server uses it")

    # --- for the server ---------------------------------------------------------------

    def used(self) -> None:
        """A server uses it now: nothing more can be declared on it."""
        self._is_used = True

    def has(self, name: str) -> bool:
        """Whether a method or notification is one of its own."""
        return name in self.served or name in self.heard or name in self.sent

    def exists_in(self, revision: Revision) -> bool:
        """Whether there is such a thing in a revision."""
        return revision in self.revisions
