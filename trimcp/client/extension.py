"""`ClientExtension`: one extension of the protocol, as a client takes part in it.

A value that a program, or a package, declares things on, and gives to `trimcp.connect`. What a client
makes of all its extensions is in `trimcp.client.extensions`.

SEP-2133; basic/versioning, "Extension Negotiation", of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp.codec.extensions import check_payload
from trimcp.errors import UsageError
from trimcp.types.extensions import (
    ExtensionMethod,
    ExtensionNotification,
    ExtensionResult,
    check_identifier,
    revisions_of,
)
from trimcp.types.payload import NotificationParams, RequestParams, Result

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.session.calls import OnProgress
    from trimcp.types.revisions import Revision

P = TypeVar("P")
R = TypeVar("R")

FINISHED_HERE: Final = frozenset(("tools/call", "resources/read", "prompts/get"))
"""Requests of the core whose results a `Client` can have an extension finish."""


@attrs.frozen(kw_only=True)
class UnfinishedCall:
    """A request of the core that was answered with a result of an extension.

    Attributes:
        method: such as `tools/call`.
        params: as they were sent, `_meta` of the revision left out.
        timeout: what its caller passed, to wait for each answer.
        on_progress: what its caller passed.
    """

    method: str
    params: Mapping[str, Any]
    timeout: float | None
    on_progress: OnProgress | None


Finish = Callable[["Client", UnfinishedCall, R], Awaitable[Any]]
"""Gets from such a result to the result of the method itself: as a raw JSON object, or as the method's own class."""


class ClientExtension:
    """An extension, as a client takes part in it.

        echo = trimcp.ClientExtension("com.example/echo", sends=[ECHO])

        async with trimcp.connect("mountain.py", extensions=[echo]) as client:
            if "com.example/echo" in client.extensions:
                print(await client.call(ECHO, {"text": "hello"}))

    It is declared to servers by being given to `connect`; several clients may be given the same.
    """

    def __init__(
        self,
        identifier: str,
        *,
        settings: Mapping[str, Any] | None = None,
        revisions: Sequence[str] | None = None,
        sends: Sequence[ExtensionMethod[Any, Any]] = (),
        receives: Sequence[ExtensionNotification[Any]] = (),
    ) -> None:
        """
        Args:
            identifier: `prefix/name`, such as `com.example/echo`.
            settings: what the client tells of it in its capabilities; a JSON object.
            revisions: those that have it; all, if not given. In any other it does not exist.
            sends: the requests that `Client.call` makes.
            receives: the notifications of servers that `Client.notices` gives as `ExtensionNotice`.

        Raises:
            UsageError: the identifier breaks the rules; there is no such revision; a method or notification is
                none for a client to send or receive.
        """
        self.identifier = check_identifier(identifier)
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.revisions = revisions_of(revisions)
        self.sent: dict[str, ExtensionMethod[Any, Any]] = {}
        self.received: dict[str, ExtensionNotification[Any]] = {}
        self.served: dict[str, tuple[ExtensionMethod[Any, Any], Callable[[Any], Awaitable[Any]]]] = {}
        self.hearers: dict[str, list[Callable[[Client, Any], None]]] = {}
        self.finishers: list[tuple[ExtensionResult[Any], Finish[Any]]] = []
        self._is_used = False
        for method in sends:
            if method.sender != "client":
                raise UsageError(f"{method.name} is for servers to send")
            _check_method(method)
            self.sent[method.name] = method
        for notification in receives:
            self._receive(notification)

    def _receive(self, notification: ExtensionNotification[Any]) -> None:
        if notification.sender != "server":
            raise UsageError(f"{notification.name} is for clients to send: client.notify does so")
        check_payload(notification.params, NotificationParams, f"the params of {notification.name}")
        self.received[notification.name] = notification

    def finishes(self, result: ExtensionResult[R]) -> Callable[[Finish[R]], Finish[R]]:
        """Declare what gets from a result of the extension to the one of the request itself.

        The async function gets the client, what was asked, and the result; what it returns is what
        `call_tool` (`read_resource`, `get_prompt`) goes on with. It runs in the caller's task.

        Raises:
            UsageError: the result has no tag of its own, or is of requests that cannot be answered so.
        """
        self._check_open()
        check_payload(result.result, Result, f"a result of {self.identifier}")
        _ = result.tag
        wrong = sorted(set(result.methods) - FINISHED_HERE)
        if wrong or not result.methods:
            raise UsageError(f"a client can have finished {', '.join(sorted(FINISHED_HERE))}; not {', '.join(wrong)}")

        def declare(finish: Finish[R]) -> Finish[R]:
            self.finishers.append((result, finish))
            return finish

        return declare

    def hears(
        self, notification: ExtensionNotification[P]
    ) -> Callable[[Callable[[Client, P], None]], Callable[[Client, P], None]]:
        """Declare what is called with the client and the params of each such notification.

        An actor of the client calls it, one notification after the other, so it must not wait; a `send_nowait`
        to a memory channel is a good use of it. Where more than `Limits.notices` wait, the oldest are dropped. What
        it raises goes to the log.

        Raises:
            UsageError: servers do not send it.
        """
        self._check_open()
        self._receive(notification)

        def declare(hearer: Callable[[Client, P], None]) -> Callable[[Client, P], None]:
            self.hearers.setdefault(notification.name, []).append(hearer)
            return hearer

        return declare

    def method(
        self, method: ExtensionMethod[P, R]
    ) -> Callable[[Callable[[P], Awaitable[R]]], Callable[[P], Awaitable[R]]]:
        """Declare the async function that answers a request of servers, in sessions of the legacy era.

        Raises:
            UsageError: servers do not send it, or it has an answer.
        """
        self._check_open()
        if method.sender != "server":
            raise UsageError(f"{method.name} is for servers to answer: client.call sends it")
        if method.name in self.served:
            raise UsageError(f"{self.identifier} answers {method.name} already")
        _check_method(method)

        def declare(handler: Callable[[P], Awaitable[R]]) -> Callable[[P], Awaitable[R]]:
            self.served[method.name] = (method, handler)
            return handler

        return declare

    def _check_open(self) -> None:
        if self._is_used:
            raise UsageError(f"{self.identifier} is in use: declare all of it before a client is given it")

    # --- for the client ---------------------------------------------------------------

    def used(self) -> None:
        """A client uses it now: nothing more can be declared on it."""
        self._is_used = True

    def has(self, name: str) -> bool:
        """Whether a method or notification is one of its own."""
        return name in self.sent or name in self.received or name in self.served

    def exists_in(self, revision: Revision) -> bool:
        """Whether there is such a thing in a revision."""
        return revision in self.revisions


def _check_method(method: ExtensionMethod[Any, Any]) -> None:
    check_payload(method.params, RequestParams, f"the params of {method.name}")
    check_payload(method.result, Result, f"the result of {method.name}")
