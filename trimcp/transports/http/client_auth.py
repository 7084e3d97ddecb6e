"""How a client over HTTP shows who it is: the hook that `trimcp.connect(url, auth=…)` takes.

Owns the interface, and the two simple hooks: a token, and a function that returns one. `authorization`
calls a hook; OAuth is another implementation of it.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs

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


@attrs.frozen(kw_only=True)
class AuthChallenge:
    """The response to a request that the server did not let in: 401 or 403."""

    status: int
    """401 or 403."""
    www_authenticate: str | None
    """The challenge (RFC 9110, section 11.6.1); several of them joined with `, `; None where there is none."""
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


class TokenFunction(ClientAuth):
    """Sends the bearer token that an async function returns at each request."""

    def __init__(self, function: Callable[[], Awaitable[str]]) -> None:
        self._function = function

    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        """See `ClientAuth`."""
        return {AUTHORIZATION: bearer(await self._function())}

    async def challenged(self, challenge: AuthChallenge) -> bool:
        """See `ClientAuth`. Another token than the one that was refused is worth another try."""
        if challenge.status != 401:
            return False
        return challenge.sent.get(AUTHORIZATION) != bearer(await self._function())


def bearer(token: object) -> str:
    """The value of `Authorization` for a bearer token (RFC 6750, section 2.1).

    Raises:
        UsageError: that is no token; the text does not show it.
    """
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise UsageError("Invalid bearer token: give the token alone, of letters, digits and -._~+/=")
    return f"Bearer {token}"


Auth = str | Callable[[], Awaitable[str]] | ClientAuth
"""What `connect` takes as `auth`: a bearer token, an async function that returns one, or a `ClientAuth`."""


def client_auth_of(auth: object) -> ClientAuth:
    """The hook that `auth` stands for.

    Raises:
        UsageError: it stands for none.
    """
    if isinstance(auth, ClientAuth):
        return auth
    if callable(auth) and not isinstance(auth, type):
        function: Any = auth
        return TokenFunction(function)
    raise UsageError(
        "Invalid auth: give a bearer token as a string, an async function that returns one, or a ClientAuth, "
        f"not {auth.__name__ if isinstance(auth, type) else type(auth).__name__}"
    )
