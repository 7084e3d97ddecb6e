"""The authorization of one client: it asks the auth hook, once for all requests that were challenged alike.

A request gets the header fields of the hook before it is sent, and their generation. A request that
is challenged (401, 403) waits here for the verdict of the hook, unless something newer has become known since. The hook
works in a task of the client's own nursery, so that no call's end cuts it off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio

from trimcp.actors.containment import unwrapped
from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.http.client.auth import AuthChallenge, AuthRequest, ClientAuth
from trimcp.http.client.http_client import Deadline, HttpClient, HttpClientResponse, WrappedHttpClient, check_field
from trimcp.http.urls import shown
from trimcp.observability import events, log

BODY_BYTES: Final = 64 * 1024
"""Bytes of a challenge's body that are kept for the error that the caller may get."""
BODY_TIME: Final = 5.0
"""Seconds that reading those bytes may take."""
HEADERS_TIME: Final = 60.0
"""Seconds that a hook may take to give header fields."""
CHALLENGE_TIME: Final = 600.0
"""Seconds that a hook may take to act on a challenge: a person may have to."""
CHALLENGES: Final = (401, 403)
"""Statuses that are challenges: the hook is asked about them."""
_KEPT: Final = 64
"""Challenges whose generation is remembered."""

_Key = tuple[int, str | None]


class _Verdict:
    """The verdict of the hook on one challenge, once it is known."""

    __slots__ = ("failure", "is_met", "key", "known")

    def __init__(self, key: _Key) -> None:
        self.key: _Key = key
        self.known: trio.Event = trio.Event()
        self.is_met: bool = False
        self.failure: ExchangeFailed | None = None


class Authorization:
    """Asks one hook, and remembers which challenges were met. Made by `open_authorization`."""

    def __init__(self, auth: ClientAuth, nursery: trio.Nursery) -> None:
        """`nursery`: where the hook acts on challenges."""
        self._auth = auth
        self._nursery = nursery
        self._generation = 0
        """Counts the challenges that were met."""
        self._met: dict[_Key, int] = {}
        """The generation that began when a challenge was met."""
        self._pending: _Verdict | None = None

    async def headers(self, request: AuthRequest) -> tuple[Mapping[str, str], int]:
        """Return the header fields that authorize a request, and their generation, for `challenged`.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        while self._pending is not None and self._pending.key[0] == 401:
            await self._pending.known.wait()  # the fields that are known now were refused
        generation = self._generation
        try:
            with trio.fail_after(HEADERS_TIME):
                fields = await self._auth.headers(request)
            for name, value in fields.items():
                check_field(name, value)
        except trio.TooSlowError as exc:
            raise ExchangeFailed(f"the auth hook gave no header fields within {HEADERS_TIME:g} s") from exc
        except Exception as exc:
            raise _failed(exc, None) from exc
        return fields, generation

    def responded(self, request: AuthRequest, headers: Mapping[str, str]) -> None:
        """Show the header fields of a response to the hook."""
        try:
            self._auth.responded(request, headers)
        except Exception as exc:
            raise _failed(exc, None) from exc

    async def challenged(self, challenge: AuthChallenge, generation: int) -> bool:
        """Ask the hook, or wait for its verdict; return whether a request of that generation is worth repeating.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        # All 401 are alike: the fields are not valid any more. A 403 says in its text which scope it wants.
        key = (challenge.status, None if challenge.status == 401 else challenge.www_authenticate)
        while True:
            newest = self._generation if challenge.status == 401 else self._met.get(key, 0)
            if newest > generation:
                return True
            verdict = self._pending
            if verdict is None:
                verdict = self._pending = _Verdict(key)
                self._nursery.start_soon(self._ask, verdict, challenge, name="trimcp authorization")
            await verdict.known.wait()
            if verdict.key == key:
                if verdict.failure is not None:
                    raise verdict.failure.again()
                return verdict.is_met

    async def _ask(self, verdict: _Verdict, challenge: AuthChallenge) -> None:
        url = shown(challenge.request.url)
        log.debug(events.REQUEST_CHALLENGED, status=challenge.status, url=url)
        try:
            with trio.fail_after(CHALLENGE_TIME):
                verdict.is_met = bool(await self._auth.challenged(challenge))
        except trio.TooSlowError as exc:
            why = f"the auth hook did not meet the server's challenge within {CHALLENGE_TIME:g} s"
            verdict.failure = ExchangeFailed(why, challenge.status)
            verdict.failure.__cause__ = exc
        except Exception as exc:  # noqa: BLE001 - the user's hook failed: raised in each request that waits for it
            verdict.failure = _failed(exc, challenge.status)
            verdict.failure.__cause__ = exc
        finally:
            if verdict.is_met:
                self._generation += 1
                if len(self._met) >= _KEPT:
                    self._met.clear()
                self._met[verdict.key] = self._generation
            self._pending = None
            verdict.known.set()


class AuthorizedRequest:
    """One request of a client. It is repeated once for a 401 and once for a 403, if the hook says so.

    A 401 that only wants the nonce of a DPoP proof (RFC 9449, section 9) counts apart.
    """

    __slots__ = ("_authorization", "_generation", "_method", "_repeated", "_request", "_sent", "_server_url")

    # Set by `headers`: the request as it was sent last.
    _request: AuthRequest
    _sent: Mapping[str, str]
    _generation: int

    def __init__(self, authorization: Authorization, method: str, server_url: str) -> None:
        """`server_url`: of the MCP server that the connection is for."""
        self._authorization = authorization
        self._server_url = server_url
        self._method = method
        self._repeated: set[tuple[int, bool]] = set()

    async def headers(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the header fields to send next, to that URL: those of the hook replace others of the same name.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        self._request = AuthRequest(method=self._method, url=url, server_url=self._server_url)
        self._sent, self._generation = await self._authorization.headers(self._request)
        own = {name.lower() for name in self._sent}
        return {**{name: value for name, value in headers.items() if name.lower() not in own}, **self._sent}

    def responded(self, headers: Mapping[str, str]) -> None:
        """Show the header fields of the response to the hook."""
        self._authorization.responded(self._request, headers)

    def is_challenge(self, status: int, www_authenticate: str | None) -> bool:
        """Whether the hook is to be asked about a response with that status."""
        return status in CHALLENGES and (status, _wants_nonce(www_authenticate)) not in self._repeated

    async def challenged(self, status: int, www_authenticate: str | None, headers: Mapping[str, str]) -> bool:
        """Return whether the request is worth repeating after a response with that status and these header fields.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        self._repeated.add((status, _wants_nonce(www_authenticate)))
        challenge = AuthChallenge(
            status=status, www_authenticate=www_authenticate, request=self._request, sent=self._sent, headers=headers
        )
        return await self._authorization.challenged(challenge, self._generation)


class BufferedResponse(HttpClientResponse):
    """Holds a response whose body was read and whose connection was given back."""

    __slots__ = ("_body", "_fields")

    def __init__(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.status: int = status
        self._fields = fields
        self._body = body

    @property
    def fields(self) -> Mapping[str, str]:
        """See `HttpClientResponse`."""
        return self._fields

    async def next_piece(self) -> bytes | None:
        """See `HttpClientResponse`."""
        await trio.lowlevel.checkpoint()
        body, self._body = self._body, b""
        return body or None


class AuthorizedHttpClient(WrappedHttpClient):
    """Authorizes each request of another HTTP client, and repeats those that were challenged. See `HttpClient`."""

    def __init__(self, client: HttpClient, authorization: Authorization) -> None:
        """
        Args:
            client: see `WrappedHttpClient`.
            authorization: of the MCP client.
        """
        super().__init__(client)
        self._authorization = authorization

    @asynccontextmanager
    async def request(
        self,
        verb: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        url: str | None = None,
        repeatable: bool = False,
        deadline: Deadline | None = None,
    ) -> AsyncIterator[HttpClientResponse]:
        """See `HttpClient`."""
        request = AuthorizedRequest(self._authorization, verb, self.url)
        while True:
            with _suspended(deadline):
                fields = await request.headers(url or self.url, headers)
            async with self._client.request(verb, fields, body, url=url, repeatable=repeatable) as reply:
                www_authenticate = reply.fields.get("www-authenticate")
                if not request.is_challenge(reply.status, www_authenticate):
                    request.responded(reply.fields)
                    yield reply
                    return
                kept = BufferedResponse(reply.status, reply.fields, await _beginning(reply))
            with _suspended(deadline):
                is_met = await request.challenged(kept.status, www_authenticate, kept.fields)
            if not is_met:
                yield kept
                return


@contextmanager
def _suspended(deadline: Deadline | None) -> Iterator[None]:
    """Suspend a deadline, since the hook is waited for and not the server."""
    if deadline is None:
        yield
        return
    deadline.suspend()
    try:
        yield
    finally:
        deadline.resume()


async def _beginning(reply: HttpClientResponse) -> bytes:
    """Read the beginning of a response's body."""
    pieces: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_TIME):
        try:
            while size < BODY_BYTES and (piece := await reply.next_piece()) is not None:
                pieces.append(piece)
                size += len(piece)
        except ExchangeFailed:
            pass  # it broke off, but the head is there
    return b"".join(pieces)[:BODY_BYTES]


def _wants_nonce(www_authenticate: str | None) -> bool:
    return www_authenticate is not None and '"use_dpop_nonce"' in www_authenticate


def _failed(exc: Exception, status: int | None) -> ExchangeFailed:
    if isinstance(exc, ExchangeFailed):
        return exc
    if isinstance(exc, TrimcpError):
        return ExchangeFailed(str(exc), status)
    # The messages of other exceptions may hold secrets; they are in the cause.
    return ExchangeFailed(f"the auth hook failed: {type(exc).__name__}", status)


@asynccontextmanager
async def open_authorization(auth: ClientAuth | None) -> AsyncIterator[Authorization | None]:
    """Open the authorization of a client that has this hook; None for a client without one."""
    if auth is None:
        yield None
        return
    with unwrapped() as block:
        async with trio.open_nursery() as nursery:
            with block:
                yield Authorization(auth, nursery)
            nursery.cancel_scope.cancel()
