"""`Streams`: keeps streams of notices open while a load runs, and counts what arrives by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trimcp.actors.backoff import Backoff
from trimcp.bench.operations import error_name
from trimcp.bench.plan import Plan
from trimcp.bench.result import StreamsResult
from trimcp.errors import TrimcpError, UsageError
from trimcp.types.capabilities import announced_lists

if TYPE_CHECKING:
    from trimcp.client.client import Client


class Streams:
    """Keeps the streams of notices of a plan.

    They ask for the changes of the lists that the server announces, and of the URIs of the plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._is_measuring = False
        self.result: StreamsResult = StreamsResult()

    def begin(self) -> None:
        """Begin the window in which notices are counted."""
        self._is_measuring = True

    def end(self) -> None:
        """End the window."""
        self._is_measuring = False

    def number_for(self, session: int) -> int:
        """Return the number of streams on a session."""
        whole, rest = divmod(self._plan.listens, self._plan.sessions)
        return whole + (session < rest)

    def check(self, client: Client) -> None:
        """Check that the server announces something.

        Raises:
            UsageError: it does not, and no URI is given.
        """
        if self._plan.listens and not (any(announced_lists(client.server_capabilities).values()) or self._plan.uris):
            raise UsageError("the server announces changes of no list: give --subscribe URI, or leave out --listen")

    async def keep(self, client: Client) -> None:
        """Keep one stream open for as long as the session lasts."""
        backoff, uris = Backoff(budget=None), self._plan.uris
        while client.session.is_running:
            lists = announced_lists(client.server_capabilities)
            try:
                async with client.listen(
                    tools=lists["tools"], prompts=lists["prompts"], resources=lists["resources"], uris=uris
                ) as notices:
                    self.result.opened += 1
                    async for _ in notices:
                        backoff.succeeded()
                        self.result.notices += self._is_measuring
                self.result.lost += 1
            except TrimcpError as exc:
                name = error_name(exc)
                self.result.failed[name] = self.result.failed.get(name, 0) + 1
            await trio.sleep(backoff.next_pause() or 0)
