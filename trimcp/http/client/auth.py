"""The auth hook of a client over HTTP, which `trimcp.connect(url, auth=…)` takes.

`ClientAuth` is the interface. A token, and a function that returns one, are the two simple hooks. `authorization` calls
the hook; OAuth is another implementation of it.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs

from trimcp.actors.containment import answer_of
from trimcp.errors import UsageError

AUTHORIZATION: Final = "Authorization"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@attrs.frozen(kw_only=True)
class AuthRequest:
    """One HTTP request of a client, before it is sent."""

    method: str
    """`POST`, `GET` or `DELETE`; `GET` as well for the upgrade to a WebSocket."""
    url: str = attrs.field(repr=False)
    """All of the URL: its query may hold secrets."""
    server_url: str = attrs.field(default="", repr=False)
    """The URL of the MCP server that the connection is for; empty where it is `url`."""


@attrs.frozen(kw_only=True)
class AuthChallenge:
    """The response by which a server refused a request: 401 or 403."""

    status: int
    """401 or 403."""
    www_authenticate: str | None
    """The challenge (RFC 9110, section 11.6.1); several of them joined with commas; None where there is none."""
    request: AuthRequest
    """The request that was sent."""
    sent: Mapping[str, str] = attrs.field(repr=False)
    """The header fields that `ClientAuth.headers` had given for it."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    """The header fields of the response, by names in any case."""


class ClientAuth(abc.ABC):
    """Authorizes the requests of a client over HTTP or WebSocket. Derive from it, and pass it as `auth=`.

    A client asks about one challenge at a time, and about the same challenge to several requests once. It repeats
    a request once for a 401 and once for a 403. An exception fails the request; its text is kept out of the error,
    unless it is trimcp's own.
    """

    @abc.abstractmethod
    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        """Return the header fields that authorize a request, such as `{"Authorization": "Bearer …"}`.

        Called before each request, and again before it is repeated. It may wait, for up to 60 seconds, which the
        timeouts of calls do not count.
        """

    async def challenged(self, challenge: AuthChallenge) -> bool:
        """Act on a 401 or 403; return whether the request is repeated, with what `headers` returns then.

        It may wait, for up to 600 seconds, since a person may have to do something. The timeouts of calls do not
        count that. It runs in the nursery of `connect`, so a call that is cancelled does not cancel it.
        """
        return False

    def responded(self, request: AuthRequest, headers: Mapping[str, str]) -> None:  # noqa: B027 - does nothing by default
        """Take notice of the header fields of a response, such as a nonce for the next request. It must not wait."""


class TokenFunction(ClientAuth):
    """Sends the bearer token that a function returns at each request."""

    def __init__(self, function: Callable[[], Awaitable[str] | str]) -> None:
        self._function = function

    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        """See `ClientAuth`."""
        return {AUTHORIZATION: bearer(await answer_of(self._function))}

    async def challenged(self, challenge: AuthChallenge) -> bool:
        """See `ClientAuth`. The request is repeated if the function returns another token now."""
        if challenge.status != 401:
            return False
        return challenge.sent.get(AUTHORIZATION) != bearer(await answer_of(self._function))


def bearer(token: object) -> str:
    """Return the value of `Authorization` for a bearer token (RFC 6750, section 2.1).

    Raises:
        UsageError: the token is not valid; the text does not show it.
    """
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise UsageError("Invalid bearer token: give the token alone, of letters, digits and -._~+/=")
    return f"Bearer {token}"


Auth = str | Callable[[], Awaitable[str] | str] | ClientAuth
"""What `connect` takes as `auth`: a bearer token, a function that returns one, or a `ClientAuth`."""


def client_auth_of(auth: object) -> ClientAuth:
    """Return the hook that `auth` stands for.

    Raises:
        UsageError: it stands for no hook.
    """
    if isinstance(auth, ClientAuth):
        return auth
    if callable(auth) and not isinstance(auth, type):
        function: Any = auth
        return TokenFunction(function)
    raise UsageError(
        "Invalid auth: give a bearer token as a string, a function that returns one, or a ClientAuth, "
        f"not {auth.__name__ if isinstance(auth, type) else type(auth).__name__}"
    )


def checked_auth(
    auth: Auth, target: object, headers: Mapping[str, str] | None
) -> tuple[Mapping[str, str], ClientAuth | None]:
    """Return the header fields and the hook that `auth` and `headers` stand for: a token alone is a header field.

    Raises:
        UsageError: `auth` does not go together with `headers` or with the target.
    """
    if not isinstance(target, str) or not target.lower().startswith(("http://", "https://", "ws://", "wss://")):
        raise UsageError("auth is for servers at a URL: leave it out here, or connect to http(s)://… or ws(s)://…")
    fields = dict(headers or {})
    if any(name.lower() == "authorization" for name in fields):
        raise UsageError("Authorization is given twice: leave it out of headers, or leave auth out")
    if "@" in target.partition("://")[2].partition("/")[0]:
        raise UsageError("Authorization is given twice: leave user and password out of the URL, or leave auth out")
    if isinstance(auth, str):
        return {**fields, AUTHORIZATION: bearer(auth)}, None
    return fields, client_auth_of(auth)
