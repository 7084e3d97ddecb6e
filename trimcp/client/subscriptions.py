"""What a client has asked the server to tell, in the same words whichever era it speaks.

In 2026-07-28 each is a `subscriptions/listen` request, whose notices carry its id. Before, changes of lists are told
anyway, and resources are subscribed to one by one. The NotificationHub owns the queues; what waits for a server's
answer is done here, in the task of the caller, or of the actor that brings listens back.

basic/patterns/subscriptions of 2026-07-28; server/resources, "Subscriptions", before it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.client.leases import UriLeases, tells_of_resources, told_anyway
from trimcp.client.listen import Listen
from trimcp.client.notices import ListenEnd, Notices, Topics
from trimcp.client.notification_hub import NotificationHub
from trimcp.errors import ConnectionEnded, RequestFailed, RequestTimedOut, TrimcpError, UsageError
from trimcp.types.jsonrpc import INVALID_PARAMS
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.negotiation import Agreement
    from trimcp.session.calls import Calls


class OpenListen:
    """One `Client.listen` of the program, over as many connections as it takes until its context is left."""

    __slots__ = ("began", "held", "leases", "listen", "notices", "scope")

    def __init__(self, notices: Notices) -> None:
        self.notices = notices
        self.began = False
        self.listen: Listen | None = None
        self.leases: UriLeases | None = None
        self.held: list[str] = []
        self.scope: trio.CancelScope | None = None


class Subscriptions:
    """All that one client has asked to be told."""

    def __init__(self, calls: Calls, agreement: Agreement, hub: NotificationHub, timeout: float | None) -> None:
        """`timeout`: seconds that the server has to agree."""
        self._calls = calls
        self._agreement = agreement
        self._hub = hub
        self._timeout = timeout
        self._leases = UriLeases(calls, timeout)
        self._changing = trio.Lock()
        self._opened: dict[OpenListen, None] = {}

    @property
    def _is_modern(self) -> bool:
        return self._agreement.revision.era is Era.MODERN

    # --- for as long as a context lasts -----------------------------------------------

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[Notices]:
        """See `Client.notices`."""
        await self._check()
        notices = self._hub.open(None)
        try:
            yield notices
        finally:
            self._hub.leave(notices)

    @asynccontextmanager
    async def listen(self, asked: Topics) -> AsyncIterator[Notices]:
        """See `Client.listen`."""
        await self._check()
        opened = OpenListen(self._hub.open(asked))
        self._opened[opened] = None
        try:
            await self._begin(opened, asked)
            opened.began = True
            yield opened.notices
        finally:
            del self._opened[opened]
            self._leave(opened)

    async def _check(self) -> None:
        """
        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._hub.over is not None:
            await trio.lowlevel.checkpoint()  # see `_granted`
            raise self._hub.over.again()

    async def _begin(self, opened: OpenListen, asked: Topics) -> None:
        """Ask for it, on the connection that there is, and wait until the server has agreed."""
        notices = opened.notices
        opened.held = []
        self._hub.follow(notices, by_id=self._is_modern)
        if self._is_modern:
            # Where a scope around client and caller was cancelled, that is what the caller gets to know.
            await trio.lowlevel.checkpoint()
            opened.listen = Listen(self._calls, self._agreement, asked, notices, self._hub)
            notices.acknowledged = await self._granted(opened.listen)
            return
        opened.listen, opened.leases = None, self._leases
        if asked.uris and tells_of_resources(self._agreement.capabilities):
            refused = await self._leases.take(asked.uris)
            opened.held = [uri for uri in asked.uris if uri not in refused]
        notices.acknowledged = told_anyway(self._agreement.capabilities, asked, opened.held)

    async def _granted(self, listen: Listen) -> Topics:
        """Wait until the server has acknowledged a listen.

        Raises:
            RequestFailed: it was answered with an error.
            RequestTimedOut: it was not acknowledged in time.
            InvalidResult: the acknowledgement breaks the schema.
            ConnectionEnded: the connection is gone.
        """
        self._hub.listen(listen)
        try:
            with trio.move_on_after(math.inf if self._timeout is None else self._timeout):
                return await listen.granted.wait()
            raise RequestTimedOut(f"subscriptions/listen was not acknowledged within {self._timeout:g} s")
        except BaseException:
            self._close(listen, "it was not acknowledged in time")
            raise

    def _close(self, listen: Listen, why: str) -> None:
        self._hub.abandon(listen)
        listen.abandon(why)

    def _leave(self, opened: OpenListen) -> None:
        """Tell the server that nobody listens any more. Never waits."""
        if opened.scope is not None:
            opened.scope.cancel()
        if opened.listen is not None:
            self._close(opened.listen, "nobody listens any more")
        if opened.leases is not None:
            opened.leases.give_back(opened.held)
        self._hub.leave(opened.notices)

    # --- until further notice ---------------------------------------------------------

    async def subscribe(self, uri: str) -> None:
        """See `Client.subscribe`."""
        if not tells_of_resources(self._agreement.capabilities):
            raise UsageError("the server does not tell of resources: it did not declare resources.subscribe")
        async with self._changing:
            if self._hub.over is not None:
                raise self._hub.over.again()
            subscribed = self._hub.subscribed
            if uri in subscribed:
                return
            if self._is_modern:
                await self._listen_again((*subscribed, uri))
                if uri not in self._hub.subscribed:
                    raise RequestFailed(INVALID_PARAMS, f"the server did not agree to tell of {uri}")
                return
            refused = await self._leases.take([uri])
            if refused:
                raise refused[uri]
            self._hub.subscribe((*self._hub.subscribed, uri))

    async def unsubscribe(self, uri: str) -> None:
        """See `Client.unsubscribe`."""
        async with self._changing:
            subscribed = self._hub.subscribed
            if uri not in subscribed:
                return
            others = tuple(other for other in subscribed if other != uri)
            if self._is_modern:
                await self._listen_again(others)
            else:
                self._hub.subscribe(others)
                self._leases.give_back([uri])

    async def _listen_again(self, uris: Sequence[str]) -> None:
        """Have one listen for all of them in place of the one that stands; no change in between is missed."""
        before = self._hub.shared_listen
        if uris:
            await trio.lowlevel.checkpoint()  # as in `_begin`
            fresh = Listen(self._calls, self._agreement, Topics(uris=tuple(uris)), None, self._hub)
            granted = set((await self._granted(fresh)).uris)
            if fresh.has_ended:  # at once: the server is stopping
                granted.clear()
            told = tuple(uri for uri in uris if uri in granted)
            lost = tuple(uri for uri in self._hub.subscribed if uri in uris and uri not in granted)
            self._hub.subscribe(told, fresh, lost=lost)
        else:
            self._hub.subscribe(())
        if before is not None:
            self._close(before, "another one stands in for it")

    # --- over another connection ------------------------------------------------------

    def finish(self, end: ConnectionEnded, *, for_good: bool) -> None:
        """Ask for nothing again: readers are told why. Not for good: what is asked from here on is asked anew."""
        shared = self._hub.shared_listen
        self._hub.finish(end, for_good=for_good)
        if shared is not None and not for_good:
            self._close(shared, "nobody listens any more")

    async def resume(self, calls: Calls, agreement: Agreement, *, anew: bool = False) -> None:
        """Ask again for all that is still wanted and was lost, on the connection that there is now.

        Whoever reads is told by `Interrupted`, once the server has agreed to tell. What it refuses
        now ends. Where the connection is lost once more, the rest waits for the next `resume`.
        `anew`: the server knows nothing of what was asked before, though `calls` are the same.
        """
        anew = anew or calls is not self._calls
        self._calls, self._agreement = calls, agreement
        async with self._changing:
            if anew:
                self._leases = UriLeases(calls, self._timeout)
            async with trio.open_nursery() as nursery:
                for opened in list(self._opened):
                    nursery.start_soon(self._resume_one, opened, anew)
            if self._hub.subscribed:
                await self._resume_subscribed(anew)
        self._hub.resume()

    async def _resume_one(self, opened: OpenListen, anew: bool) -> None:
        notices, asked = opened.notices, opened.notices.asked
        goes_on = not anew and opened.listen is not None and not opened.listen.has_ended
        if not opened.began or goes_on or asked is None or notices.end is not None:
            return
        with trio.CancelScope() as opened.scope:
            try:
                if anew or opened.listen is not None:
                    await self._begin(opened, asked)
            except ConnectionEnded:
                return
            except TrimcpError as exc:
                notices.finish(ListenEnd.FAILED, exc)
                return
            self._hub.resume(notices)

    async def _resume_subscribed(self, anew: bool) -> None:
        uris, shared = self._hub.subscribed, self._hub.shared_listen
        refused: Iterable[str] = ()
        try:
            if not self._is_modern and anew:
                refused = await self._leases.take(uris)
            elif self._is_modern and shared is None:
                await self._listen_again(uris)
                return
            else:
                return
        except ConnectionEnded:
            return
        except TrimcpError:
            refused = uris
        self._hub.subscribe(tuple(uri for uri in uris if uri not in refused), lost=tuple(refused))
