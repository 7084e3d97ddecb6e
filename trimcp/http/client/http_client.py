"""The interface of an HTTP client: requests to one URL and its server, and their responses.

`PooledHttpClient` implements it on Trio's sockets, and is the rule. `HttpxClient` implements it by httpx2, for users
who bring an httpx2 client, and where the environment names a proxy. Each failure is an `ExchangeFailed` of one request.
"""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import trio

from trimcp.errors import ExchangeFailed, UsageError

LONGEST_RETRY_AFTER: Final = 86400.0
"""The maximum of `Retry-After` in seconds, a day; longer ones count as this."""
REDIRECTS: Final = (307, 308)
"""Statuses of the redirects that are followed: they keep method and body."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\r\n\0\u0100-\U0010ffff]*")
_FRAMING: Final = frozenset(("content-length", "transfer-encoding"))


class HttpClientResponse(abc.ABC):
    """The response to one request: its head, and its body as it arrives."""

    __slots__ = ("status",)

    status: int

    @property
    @abc.abstractmethod
    def fields(self) -> Mapping[str, str]:
        """Header fields, by names in any case."""

    @property
    def media_type(self) -> str:
        """The media type of the body, such as `text/event-stream`; empty if the head names none."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks the client to wait."""
        value = self.fields.get("retry-after", "")
        if not value.isdecimal():
            return None
        return (
            LONGEST_RETRY_AFTER
            if len(value) > len(str(LONGEST_RETRY_AFTER))
            else min(float(value), LONGEST_RETRY_AFTER)
        )

    @abc.abstractmethod
    async def next_piece(self) -> bytes | None:
        """Wait for the next piece of the body; return None at its end. For one task at a time.

        Raises:
            ExchangeFailed: the connection broke.
        """

    async def body(self, most: int) -> bytes:
        """Read the whole body.

        Raises:
            ExchangeFailed: the connection broke, or the body is longer than `most` bytes.
        """
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.next_piece()) is not None:
            size += len(piece)
            if size > most:
                raise too_long(most, self.status)
            pieces.append(piece)
        return b"".join(pieces)


class Deadline(Protocol):
    """A deadline that can be suspended while the client waits for something other than the server."""

    def suspend(self) -> None:
        """Stop the clock."""
        ...

    def resume(self) -> None:
        """Let the clock run again, with the time that was left."""
        ...


class ScopeDeadline:
    """Suspends the deadline of a cancel scope. See `Deadline`."""

    __slots__ = ("_left", "_scope")

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope
        self._left = math.inf

    def suspend(self) -> None:
        """See `Deadline`."""
        self._left = self._scope.deadline - trio.current_time()
        self._scope.deadline = math.inf

    def resume(self) -> None:
        """See `Deadline`."""
        self._scope.deadline = trio.current_time() + self._left


class HttpClient(abc.ABC):
    """Makes requests to one URL, and owns the connections to its server."""

    url: str
    """The endpoint, without credentials; a redirect within the same origin replaces it."""

    @abc.abstractmethod
    def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Deadline | None = None,
    ) -> AbstractAsyncContextManager[HttpClientResponse]:
        """Make a request. Leaving the context lets go of the response, and of an unread one's connection.

        A redirect is followed if it leads to the same origin, and keeps method and body.

        Args:
            verb: the method of HTTP, such as `POST`.
            headers: beside those that go with every request, or in place of them.
            body: None for none.
            url: where to, if not to the endpoint.
            repeatable: whether the request may reach the server twice. It is then sent again if a kept connection
                turns out to be closed.
            deadline: of the request; suspended while an auth hook is waited for.

        Raises:
            ExchangeFailed: no response came.
            UsageError: a value is not valid in a header.
        """

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close the connections. Requests under way end with `ExchangeFailed`. Idempotent."""


class WrappedHttpClient(HttpClient):
    """Adds something to the requests of another client, which is closed with this one."""

    def __init__(self, client: HttpClient) -> None:
        """`client`: makes the requests."""
        self._client = client

    @property
    def url(self) -> str:  # type: ignore[override]  # a redirect changes it there
        """See `HttpClient`."""
        return self._client.url

    async def aclose(self) -> None:
        """See `HttpClient`."""
        await self._client.aclose()


def check_field(name: str, value: object) -> None:
    """Check a header field that a user adds to requests.

    Raises:
        UsageError: it cannot be sent; the text does not show the value.
    """
    if _TOKEN.fullmatch(name) is None or name.lower() in _FRAMING:
        raise UsageError(f"Invalid header {name!r}: requests cannot have it, leave it out")
    if not isinstance(value, str) or _VALUE.fullmatch(value) is None:
        raise UsageError(f"Invalid value of the header {name!r}: give one line of Latin-1")


def too_long(most: int, status: int) -> ExchangeFailed:
    """Return the failure of a response whose body has more than `most` bytes."""
    return ExchangeFailed(f"the response is longer than {most} bytes", status)


def may_pass(status: int) -> bool:
    """Return whether a server that answers with that status may answer otherwise a moment later."""
    return status == 429 or (status >= 500 and status != 501)
