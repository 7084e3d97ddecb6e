"""`ClientExtension`: one extension of the protocol, as a client takes part in it.

A program, or a package, declares methods and functions on it, and gives it to `trimcp.connect`.
`trimcp.client.extension_negotiation` has all extensions of a client.

SEP-2133; basic/versioning, "Extension Negotiation", of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp.codec.extension_payloads import check_payload
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
    from trimcp.session.call import OnProgress
    from trimcp.types.revisions import Revision

P = TypeVar("P")
R = TypeVar("R")

FINISHED_HERE: Final = frozenset(("tools/call", "resources/read", "prompts/get"))
"""Requests of the core whose results a `Client` can have an extension finish."""


@attrs.frozen(kw_only=True)
class UnfinishedCall:
    """A core request that was answered with a result of an extension.

    Attributes:
        method: such as `tools/call`.
        params: as they were sent, without the `_meta` of the revision.
        timeout: seconds to wait for each answer, as its caller passed it.
        on_progress: as its caller passed it.
    """

    method: str
    params: Mapping[str, Any]
    timeout: float | None
    on_progress: OnProgress | None


Finish = Callable[["Client", UnfinishedCall, R], Awaitable[Any]]
"""Turns a result of an extension into the result of the method itself: a raw JSON object, or the method's own class."""


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
        """Declare an extension.

        Args:
            identifier: `prefix/name`, such as `com.example/echo`.
            settings: its settings in the client's capabilities; a JSON object.
            revisions: those that have it; all, if not given. In any other it does not exist.
            sends: the requests that `Client.call` makes.
            receives: the notifications of servers that `Client.notices` gives as `ExtensionNotice`.

        Raises:
            UsageError: the identifier breaks the rules; there is no such revision; a method or notification is
                not for a client to send or receive.
        """
        self.identifier: str = check_identifier(identifier)
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.revisions: Sequence[Revision] = revisions_of(revisions)
        self.sent: dict[str, ExtensionMethod[Any, Any]] = {}
        self.received: dict[str, ExtensionNotification[Any]] = {}
        self.served: dict[str, tuple[ExtensionMethod[Any, Any], Callable[[Any], Awaitable[Any]]]] = {}
        self.handlers: dict[str, list[Callable[[Client, Any], None]]] = {}
        self.finishers: list[tuple[ExtensionResult[Any], Finish[Any]]] = []
        self._is_used = False
        for method in sends:
            if method.sender != "client":
                raise UsageError(f"a client cannot send {method.name}: its sender is the server")
            _check_method(method)
            self.sent[method.name] = method
        for notification in receives:
            self._receive(notification)

    def _receive(self, notification: ExtensionNotification[Any]) -> None:
        if notification.sender != "server":
            raise UsageError(f"a client cannot receive {notification.name}: send it by client.notify")
        check_payload(notification.params, NotificationParams, f"the params of {notification.name}")
        self.received[notification.name] = notification

    def finishes(self, result: ExtensionResult[R]) -> Callable[[Finish[R]], Finish[R]]:
        """Declare the function that turns a result of the extension into the result of the request itself.

        The async function gets the client, the request, and the result of the extension. `call_tool`
        (`read_resource`, `get_prompt`) goes on with the result that it returns. It runs in the caller's task.

        Raises:
            UsageError: the result has no tag of its own, or its requests cannot be finished.
        """
        self._check_open()
        check_payload(result.result, Result, f"a result of {self.identifier}")
        _ = result.tag
        wrong = sorted(set(result.methods) - FINISHED_HERE)
        if wrong or not result.methods:
            raise UsageError(
                f"{self.identifier} cannot finish {', '.join(wrong) or 'no method'}: finish results of "
                f"{', '.join(sorted(FINISHED_HERE))}"
            )

        def declare(finish: Finish[R]) -> Finish[R]:
            self.finishers.append((result, finish))
            return finish

        return declare

    def hears(
        self, notification: ExtensionNotification[P]
    ) -> Callable[[Callable[[Client, P], None]], Callable[[Client, P], None]]:
        """Declare a function that is called with the client and the params of each notification of a kind.

        An actor of the client calls it, one notification after the other, so it must not wait; a `send_nowait`
        to a memory channel is a good use of it. Where more than `Limits.notices` wait, the oldest are dropped. Its
        exceptions go to the log.

        Raises:
            UsageError: servers do not send the notification.
        """
        self._check_open()
        self._receive(notification)

        def declare(handler: Callable[[Client, P], None]) -> Callable[[Client, P], None]:
            self.handlers.setdefault(notification.name, []).append(handler)
            return handler

        return declare

    def method(
        self, method: ExtensionMethod[P, R]
    ) -> Callable[[Callable[[P], Awaitable[R]]], Callable[[P], Awaitable[R]]]:
        """Declare the async function that answers a request of servers, in sessions of the legacy era.

        Raises:
            UsageError: servers do not send it, or it has a function already.
        """
        self._check_open()
        if method.sender != "server":
            raise UsageError(f"a client cannot answer {method.name}: its sender is the client; call it by client.call")
        if method.name in self.served:
            raise UsageError(f"{self.identifier} answers {method.name} already: declare one function")
        _check_method(method)

        def declare(handler: Callable[[P], Awaitable[R]]) -> Callable[[P], Awaitable[R]]:
            self.served[method.name] = (method, handler)
            return handler

        return declare

    def _check_open(self) -> None:
        if self._is_used:
            raise UsageError(f"{self.identifier} is in use: declare all of it before it is given to connect")

    # --- for the client ---------------------------------------------------------------

    def used(self) -> None:
        """Let nothing more be declared on it: a client uses it now."""
        self._is_used = True

    def has(self, name: str) -> bool:
        """Return whether it has a method or notification of this name."""
        return name in self.sent or name in self.received or name in self.served

    def exists_in(self, revision: Revision) -> bool:
        """Return whether the extension exists in a revision."""
        return revision in self.revisions


def _check_method(method: ExtensionMethod[Any, Any]) -> None:
    check_payload(method.params, RequestParams, f"the params of {method.name}")
    check_payload(method.result, Result, f"the result of {method.name}")
