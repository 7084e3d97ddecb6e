"""A server's URL, and requests to it: what a client over HTTP needs of HTTP, whichever library does it.

Two do. The direct one, on Trio's streams, is the rule. httpx2 is there for whoever brings a client
of theirs, and where the environment names a proxy. What is sent, and what an answer means, is the
client's. Whatever may go wrong is `ExchangeFailed`, with words that say what happened, and breaks
one request and no other.
"""

from __future__ import annotations

import abc
import base64
import math
import os
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import trio

from trimcp.errors import ExchangeFailed, UsageError

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that a connection may take to be made."""
WRITE_TIMEOUT: Final = 30.0
"""Seconds that the server may take nothing of what is sent."""
KEPT: Final = 32
"""Connections without a request that are kept."""
REDIRECTS: Final = (307, 308)
"""Statuses of the redirects that keep method and body, which are the ones that are followed."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\r\n\0\u0100-\U0010ffff]*")
_FRAMING: Final = frozenset(("content-length", "transfer-encoding"))


class RemoteReply(abc.ABC):
    """The response to one request: its head, and its body as it comes."""

    __slots__ = ("status",)

    status: int

    @property
    @abc.abstractmethod
    def fields(self) -> Mapping[str, str]:
        """Header fields; names in any case."""

    @property
    def media_type(self) -> str:
        """`text/event-stream`, `application/json`, …, or nothing."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server says to wait."""
        said = self.fields.get("retry-after", "")
        return float(said) if said.isdecimal() else None

    @abc.abstractmethod
    async def next_piece(self) -> bytes | None:
        """The next piece of the body that arrives; None at its end. One task at a time.

        Raises:
            ExchangeFailed: the connection broke.
        """

    async def body(self, most: int) -> bytes:
        """The whole body.

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

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Let go of it. Idempotent."""


class Deadline(Protocol):
    """A limit of time that can be suspended, since what is waited for is not the server."""

    def suspend(self) -> None:
        """Stop the clock."""
        ...

    def resume(self) -> None:
        """Let it run again, with the time that was left."""
        ...


class ScopeDeadline:
    """The deadline of a cancel scope; see `Deadline`."""

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


class Remote(abc.ABC):
    """One URL, and the connections to its server. `remote_at` makes one."""

    url: str
    """Of the endpoint, without credentials; another one of the same server after a redirect."""

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
    ) -> AbstractAsyncContextManager[RemoteReply]:
        """Make a request. Leaving the context lets go of the response; where it was not read to its end,
        its connection is closed.

        A redirect is followed where it leads to the same origin, and keeps method and body.

        Args:
            verb: the method of HTTP's.
            headers: beside those that go with every request, or in place of them.
            body: None for none.
            url: where to, if not to the endpoint.
            repeatable: whether it may reach the server twice. It is then sent again where a connection
                that was kept turns out to be closed.
            deadline: of the request; suspended while an auth hook is waited for.

        Raises:
            ExchangeFailed: no response came.
            UsageError: a header would not stay one.
        """

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close the connections. Requests that are on their way end with `ExchangeFailed`. Idempotent."""


class Origin(NamedTuple):
    """What a server is known by (RFC 9110, section 4.3.1)."""

    is_secure: bool
    host: str
    port: int


def remote_at(url: str, headers: Mapping[str, str], client: httpx2.AsyncClient | None = None) -> Remote:
    """Make the way to a URL. Nothing is connected yet.

    Args:
        url: of the endpoint. A user and a password in it go into an `Authorization` field.
        headers: sent with every request.
        client: one of the user's, for certificates, proxies and the like; it is not closed here.

    Raises:
        UsageError: that is no URL, those are no headers, or a library is missing.
    """
    check_url(url)
    own: dict[str, Any] = {name.lower(): value for name, value in headers.items()}
    for name, value in own.items():
        check_field(name, value)
    url, credentials = _without_credentials(url)
    if credentials is not None:
        own.setdefault("authorization", credentials)
    why = "a client of httpx2's was given" if client is not None else _why_not_direct(url)
    if why is None:
        try:
            from trimcp.transports.http.remote_direct import DirectRemote
        except ImportError as exc:
            if exc.name != "httptools":
                raise
            why = "httptools is missing (pip install 'trimcp[http]')"
        else:
            return DirectRemote(url, own)
    try:
        from trimcp.transports.http.remote_httpx import HttpxRemote
    except ImportError as exc:
        if exc.name != "httpx2":
            raise
        raise UsageError(f"{why}, and httpx2 is not there either: pip install httpx2") from exc
    return HttpxRemote(url, own, client)


def check_field(name: str, value: object) -> None:
    """Refuse a header field that requests cannot have.

    Raises:
        UsageError: they cannot; the text does not show the value.
    """
    if _TOKEN.fullmatch(name) is None or name.lower() in _FRAMING:
        raise UsageError(f"{name!r} cannot be set as a header of requests")
    if not isinstance(value, str) or _VALUE.fullmatch(value) is None:
        raise UsageError(f"the value of the header {name!r} would not stay one line of Latin-1")


def check_url(url: str) -> None:
    """Refuse what is no URL of a server.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        if not url.isascii():
            (parts.hostname or "").encode("idna")
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError(f"{shown(url)!r} is no URL of a server: write https://HOST/PATH")


def origin_of(url: str) -> Origin:
    """The origin of a URL that has been checked."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    return Origin(is_secure, parts.hostname or "", parts.port or (443 if is_secure else 80))


def redirected(url: str, location: str, status: int) -> str:
    """The URL that a redirect leads to.

    Raises:
        ExchangeFailed: that is elsewhere, or nowhere.
    """
    try:
        target = urljoin(url, location)
        check_url(target)
    except (UsageError, ValueError):
        raise ExchangeFailed("the server redirects to what is no URL", status) from None
    if origin_of(target) != origin_of(url):
        # What is sent may carry secrets for the server that was named, and nobody else.
        raise ExchangeFailed(f"the server redirects elsewhere, to {shown(target)}", status)
    return _without_credentials(target)[0]


def too_long(most: int, status: int) -> ExchangeFailed:
    """What a body that has more than so many bytes is answered with."""
    return ExchangeFailed(f"the response is longer than {most} bytes", status)


def shown(url: str) -> str:
    """A URL without what may be secret in it: a user and a password, and the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is no URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def shown_redirect(url: str, location: str) -> str:
    """The same of where a redirect leads, which may be said as a part of a URL."""
    try:
        return shown(urljoin(url, location))
    except ValueError:
        return "what is no URL"


def _without_credentials(url: str) -> tuple[str, str | None]:
    parts: SplitResult = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    secret = f"{unquote(user)}:{unquote(password)}".encode()
    return parts._replace(netloc=host).geturl(), "Basic " + base64.b64encode(secret).decode()


def _why_not_direct(url: str) -> str | None:
    """Why a URL cannot be reached directly; None where it can."""
    if sys.platform not in ("win32", "darwin") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # elsewhere the system may know of proxies as well; and the import costs 20 ms
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    parts = urlsplit(url)
    if not (proxies.get(parts.scheme) or proxies.get("all")) or proxy_bypass(parts.netloc):
        return None
    return "the environment names a proxy, which takes httpx2"
