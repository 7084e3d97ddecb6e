"""The authorization of one client: asks its hook, once for all requests that were challenged alike.

Each request gets its header fields here before it is sent, with the generation of what is known then. A
request that is challenged waits here for the hook's verdict, unless something newer has become known since.
The hook works in a task of the client's own nursery, so that no call's end cuts it off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.transports.http.client_auth import AuthChallenge, AuthRequest, ClientAuth
from trimcp.transports.http.remote import check_field, shown

HEADERS_TIME: Final = 60.0
"""Seconds that a hook may take to give header fields."""
CHALLENGE_TIME: Final = 600.0
"""Seconds that a hook may take to act on a challenge: a person may have to."""
CHALLENGES: Final = (401, 403)
"""Statuses that a hook is asked about."""
_KEPT: Final = 64
"""Challenges of which it is known when they were last met."""

_Key = tuple[int, str | None]


class _Verdict:
    """What the hook makes of one challenge, once it is known."""

    __slots__ = ("failure", "is_met", "key", "known")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.known = trio.Event()
        self.is_met = False
        self.failure: ExchangeFailed | None = None


class Authorization:
    """One hook, and what is known of its challenges. Made by `open_authorization`."""

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
        """The header fields that authorize a request, and their generation, for `challenged`.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        while self._pending is not None and self._pending.key[0] == 401:
            await self._pending.known.wait()  # what is known now is refused
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

    async def challenged(self, challenge: AuthChallenge, generation: int) -> bool:
        """Whether a request of that generation is worth repeating: ask the hook, or wait for its verdict.

        Raises:
            ExchangeFailed: the hook failed, or took too long.
        """
        # All 401 are alike: what was sent is not good any more. What a 403 wants is in its text.
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
        except Exception as exc:  # noqa: BLE001 - the user's hook failed: told to those who wait for it
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


def _failed(exc: Exception, status: int | None) -> ExchangeFailed:
    if isinstance(exc, ExchangeFailed):
        return exc
    # What others say may hold secrets; it is in the cause.
    said = str(exc) if isinstance(exc, TrimcpError) else type(exc).__name__
    return ExchangeFailed(f"the auth hook failed: {said}", status)


@asynccontextmanager
async def open_authorization(auth: ClientAuth | None) -> AsyncIterator[Authorization | None]:
    """The authorization of a client that has this hook, for as long as the client is there; None without one."""
    if auth is None:
        yield None
        return
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield Authorization(auth, nursery)
            except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
                failure = exc  # leaves below as itself, rather than in a group
            nursery.cancel_scope.cancel()
    finally:
        if failure is not None:  # not lost either where the scope around it is cancelled
            raise failure
