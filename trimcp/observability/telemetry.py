"""The interface by which sessions tell of their requests, in both roles. `trimcp.telemetry` implements it.

A session looks for its telemetry once, when it is made. Where there is none, its requests and calls are of classes that
know nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from trimcp.errors import ConnectionEnded

CANCELLED: Final = "cancelled"
"""The error type of a request whose scope was cancelled."""
TIMEOUT: Final = "timeout"
"""The error type of a request that was not answered in time."""
TOOL_ERROR: Final = "tool_error"
"""The error type of a tool call whose result is an error."""
OTHER: Final = "_OTHER"
"""Stands for the name of a method that is not served, so that peers cannot make up any number of names."""


class ObservedPeer(Protocol):
    """The other side of a session, as telemetry sees it."""

    number: int
    is_server: bool

    @property
    def description(self) -> str:
        """Where the connection leads."""
        ...


class ObservedSession(ObservedPeer, Protocol):
    """A session, as telemetry sees it."""

    has_input_ended: bool

    @property
    def end(self) -> ConnectionEnded | None:
        """Why it has ended."""
        ...


class Operation(Protocol):
    """One request, from its first moment to its end."""

    @property
    def carrier(self) -> Mapping[str, str]:
        """The members of `_meta` by which the trace goes on at the peer."""
        ...

    def active(self) -> AbstractContextManager[object]:
        """Make it the current operation of this task, and of tasks and threads that are started in it."""
        ...

    def failed(self, error: BaseException) -> None:
        """Take note of the exception of a handler."""
        ...

    def end(self, error: str | None, code: int | None = None) -> None:
        """End it; `error`: the error type; `code`: of the error that answered it. Only the first end counts."""
        ...


class Telemetry(Protocol):
    """Follows the requests and the sessions of one server, or of one client. Never waits, and never raises."""

    def received(
        self,
        peer: ObservedPeer,
        method: str,
        id: Any,
        params: Mapping[str, Any] | None,
        version: str | None,
        headers: Mapping[str, str],
    ) -> Operation:
        """Begin to follow a request of the peer; `version`: the revision; `headers`: of its HTTP request."""
        ...

    def asked(
        self, peer: ObservedPeer, method: str, params: Mapping[str, Any] | None, version: str | None
    ) -> Operation:
        """Begin to follow a request that this side makes of the peer."""
        ...

    def sent(self, id: Any) -> None:
        """Take note of the id under which the operation of the current task is sent."""
        ...

    def session_opened(self, session: ObservedSession) -> None:
        """Take note that a session began. Idempotent."""
        ...

    def session_ended(self, session: ObservedSession) -> None:
        """Take note that a session is over. Idempotent."""
        ...
