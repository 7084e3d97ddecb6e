"""A server that lets in whoever shows one of its tokens, and hooks that a client gets them by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs
import trio

import trimcp
from tests.http.client.scripted import Answer, Ask, Script
from trimcp import AuthChallenge, AuthRequest, ClientAuth

Challenge = Callable[[Ask], "tuple[int, str | None] | None"]
"""What a request is refused with, status and `WWW-Authenticate`; None lets it in."""


@attrs.define
class Guarded:
    """A script in front of another one."""

    inner: Script
    tokens: set[str] = attrs.field(factory=lambda: {"good"})
    challenge: str | None = 'Bearer realm="x"'
    let_in: list[str] = attrs.field(factory=list)
    """The methods of the requests that were let in."""
    refused: list[str] = attrs.field(factory=list)
    """The methods of those that were not."""
    refuses: Challenge | None = None
    """Says otherwise for single requests."""

    async def __call__(self, ask: Ask, answer: Answer) -> None:
        refusal = None if self.refuses is None else self.refuses(ask)
        if refusal is None and ask.fields.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            refusal = 401, self.challenge
        if refusal is None:
            self.let_in.append(ask.method)
            await self.inner(ask, answer)
            return
        self.refused.append(ask.method)
        status, challenge = refusal
        fields = {} if challenge is None else {"www_authenticate": challenge}
        await answer.whole(status, "text/plain", b"go away", **fields)


@attrs.define(eq=False)
class Hook(ClientAuth):
    """A hook that shows one token, and has another one once it was challenged."""

    token: str | None = None
    next_token: str | None = "good"
    is_met: bool = True
    act: Callable[[AuthChallenge], Awaitable[None]] | None = None
    asked: list[AuthRequest] = attrs.field(factory=list)
    challenges: list[AuthChallenge] = attrs.field(factory=list)

    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        self.asked.append(request)
        await trio.lowlevel.checkpoint()
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    async def challenged(self, challenge: AuthChallenge) -> bool:
        self.challenges.append(challenge)
        if self.act is not None:
            await self.act(challenge)
        self.token = self.next_token
        return self.is_met


async def call_all(client: trimcp.Client, number: int) -> list[str]:
    """That many calls at once; what came of them."""
    told: list[str] = []

    async def call() -> None:
        try:
            told.append((await client.call_tool("x")).text)
        except trimcp.ExchangeFailed as exc:
            told.append(f"{exc.status}")

    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(call)
    return told
