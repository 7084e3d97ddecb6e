"""Requests to a server that are authorized by a hook: a `Remote` in front of another one.

A response with 401 or 403 is read and let go, the hook is asked, and the request is made once more where
the hook says so. If not, the response is what the caller gets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio

from trimcp.errors import ExchangeFailed
from trimcp.transports.http.authorization import CHALLENGES, Authorization
from trimcp.transports.http.client_auth import AuthChallenge, AuthRequest
from trimcp.transports.http.remote import Deadline, Remote, RemoteReply

BODY_BYTES: Final = 64 * 1024
"""Bytes of a challenge's body that are kept for the error, should it come to that."""
BODY_TIME: Final = 5.0
"""Seconds that they may take."""


class KeptReply(RemoteReply):
    """A response whose body was read, and whose connection was let go."""

    __slots__ = ("_body", "_fields")

    def __init__(self, status: int, fields: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self._fields = fields
        self._body = body

    @property
    def fields(self) -> Mapping[str, str]:
        """See `RemoteReply`."""
        return self._fields

    async def next_piece(self) -> bytes | None:
        """See `RemoteReply`."""
        await trio.lowlevel.checkpoint()
        body, self._body = self._body, b""
        return body or None

    async def aclose(self) -> None:
        """See `RemoteReply`."""
        await trio.lowlevel.checkpoint()


class AuthorizedRemote(Remote):
    """See `Remote`."""

    def __init__(self, remote: Remote, authorization: Authorization) -> None:
        """
        Args:
            remote: makes the requests; it is closed with this one.
            authorization: of the client.
        """
        self._remote = remote
        self._authorization = authorization

    @property
    def url(self) -> str:  # type: ignore[override]  # whose it is moves it
        """See `Remote`."""
        return self._remote.url

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
    ) -> AsyncIterator[RemoteReply]:
        """See `Remote`."""
        repeated: set[int] = set()
        while True:
            request = AuthRequest(method=verb, url=url or self.url)
            with _suspended(deadline):
                sent, generation = await self._authorization.headers(request)
            own = {name.lower() for name in sent}
            fields = {name: value for name, value in headers.items() if name.lower() not in own}
            async with self._remote.request(verb, {**fields, **sent}, body, url=url, repeatable=repeatable) as reply:
                if reply.status not in CHALLENGES or reply.status in repeated:
                    yield reply
                    return
                kept = KeptReply(reply.status, reply.fields, await _beginning(reply))
            challenge = AuthChallenge(
                status=kept.status,
                www_authenticate=kept.fields.get("www-authenticate"),
                request=request,
                sent=sent,
                headers=kept.fields,
            )
            repeated.add(kept.status)
            with _suspended(deadline):
                is_met = await self._authorization.challenged(challenge, generation)
            if not is_met:
                yield kept
                return

    async def aclose(self) -> None:
        """See `Remote`."""
        await self._remote.aclose()


@contextmanager
def _suspended(deadline: Deadline | None) -> Iterator[None]:
    """Suspend a deadline: what is waited for is not the server."""
    if deadline is None:
        yield
        return
    deadline.suspend()
    try:
        yield
    finally:
        deadline.resume()


async def _beginning(reply: RemoteReply) -> bytes:
    """The body of a response, or as much of it as is worth reading."""
    pieces: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_TIME):
        try:
            while size < BODY_BYTES and (piece := await reply.next_piece()) is not None:
                pieces.append(piece)
                size += len(piece)
        except ExchangeFailed:
            pass  # it broke off: the head has said what matters
    return b"".join(pieces)[:BODY_BYTES]
