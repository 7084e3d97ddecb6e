"""Subscriptions: the notices that a client has asked its server for, in whichever era.

In 2026-07-28 each is a `subscriptions/listen` request, whose notices carry its id. Before, a server tells of changes of
its lists without being asked, and resources are subscribed to one by one. The NotificationHub owns the queues. The
waiting for a server's answer is done here, in the task of the caller, or of the actor that renews subscriptions.

basic/patterns/subscriptions of 2026-07-28; server/resources, "Subscriptions", before it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trimcp.client.features.listen import ListenRequest
from trimcp.client.notifications.hub import NotificationHub
from trimcp.client.notifications.notices import ListenEnd, Notices, Topics
from trimcp.errors import ConnectionEnded, RequestFailed, RequestTimedOut, TrimcpError, UsageError
from trimcp.types.capabilities import announced_lists
from trimcp.types.jsonrpc import INVALID_PARAMS
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.session.negotiation import Agreement
    from trimcp.session.pending_calls import Calls
    from trimcp.types.capabilities import ServerCapabilities


class OpenListen:
    """One `Client.listen` of the program, over any number of streams, until its context is left."""

    __slots__ = ("began", "held", "notices", "request", "scope", "subscribed_in")

    def __init__(self, notices: Notices) -> None:
        self.notices: Notices = notices
        self.began: bool = False
        self.request: ListenRequest | None = None
        self.subscribed_in: LegacySubscriptions | None = None
        self.held: list[str] = []
        self.scope: trio.CancelScope | None = None


class Subscriptions:
    """Holds all that one client has asked its server to tell."""

    def __init__(self, calls: Calls, agreement: Agreement, hub: NotificationHub, timeout: float | None) -> None:
        """`timeout`: seconds that the server has to agree."""
        self._calls = calls
        self._agreement = agreement
        self._hub = hub
        self._timeout = timeout
        self._legacy = LegacySubscriptions(calls, timeout)
        self._changing = trio.Lock()
        self._opened: dict[OpenListen, None] = {}

    @property
    def _is_modern(self) -> bool:
        return self._agreement.revision.era is Era.MODERN

    # --- for as long as a context lasts -----------------------------------------------

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[Notices]:
        """Open a queue of all notices. See `Client.notices`."""
        await self._check()
        notices = self._hub.open(None)
        try:
            yield notices
        finally:
            self._hub.leave(notices)

    @asynccontextmanager
    async def listen(self, asked: Topics) -> AsyncIterator[Notices]:
        """Ask for notices of these topics, and open a queue of them. See `Client.listen`."""
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
        """Refuse to begin on a connection that is gone.

        Raises:
            ConnectionEnded: it is.
        """
        if self._hub.over is not None:
            await trio.lowlevel.checkpoint()  # see `_granted`
            raise self._hub.over.again()

    async def _begin(self, opened: OpenListen, asked: Topics) -> None:
        """Ask the server on the connection that there is, and wait until it has agreed."""
        notices = opened.notices
        opened.held = []
        self._hub.follow(notices, by_id=self._is_modern)
        if self._is_modern:
            # Where a scope around client and caller was cancelled, the caller gets its `Cancelled`.
            await trio.lowlevel.checkpoint()
            opened.request = ListenRequest(self._calls, self._agreement, asked, notices, self._hub)
            notices.acknowledged = await self._granted(opened.request)
            return
        opened.request, opened.subscribed_in = None, self._legacy
        if asked.uris and _tells_of_resources(self._agreement.capabilities):
            refused = await self._legacy.take(asked.uris)
            opened.held = [uri for uri in asked.uris if uri not in refused]
        notices.acknowledged = _granted_by_legacy(self._agreement.capabilities, asked, opened.held)

    async def _granted(self, request: ListenRequest) -> Topics:
        """Wait until the server has acknowledged a listen request.

        Raises:
            RequestFailed: it was answered with an error.
            RequestTimedOut: it was not acknowledged in time.
            InvalidResult: the acknowledgement breaks the schema.
            ConnectionEnded: the connection is gone.
        """
        self._hub.listen(request)
        try:
            with trio.move_on_after(math.inf if self._timeout is None else self._timeout):
                return await request.granted.wait()
            raise RequestTimedOut(f"subscriptions/listen was not acknowledged within {self._timeout:g} s")
        except BaseException:
            self._close(request, "it was not acknowledged in time")
            raise

    def _close(self, request: ListenRequest, why: str) -> None:
        self._hub.abandon(request)
        request.abandon(why)

    def _leave(self, opened: OpenListen) -> None:
        """Tell the server that the program no longer listens. Never waits."""
        if opened.scope is not None:
            opened.scope.cancel()
        if opened.request is not None:
            self._close(opened.request, "the client no longer listens")
        if opened.subscribed_in is not None:
            opened.subscribed_in.give_back(opened.held)
        self._hub.leave(opened.notices)

    # --- until they are taken back ----------------------------------------------------

    async def subscribe(self, uri: str) -> None:
        """Subscribe to a resource. See `Client.subscribe`."""
        if not _tells_of_resources(self._agreement.capabilities):
            raise UsageError(
                f"cannot subscribe to {uri}: the server does not tell of resources (it did not declare "
                "resources.subscribe)"
            )
        async with self._changing:
            if self._hub.over is not None:
                raise self._hub.over.again()
            subscribed = self._hub.subscribed
            if uri in subscribed:
                return
            if self._is_modern:
                await self._listen_to((*subscribed, uri))
                if uri not in self._hub.subscribed:
                    raise RequestFailed(INVALID_PARAMS, f"the server did not agree to tell of {uri}")
                return
            refused = await self._legacy.take([uri])
            if refused:
                raise refused[uri]
            self._hub.subscribe((*self._hub.subscribed, uri))

    async def unsubscribe(self, uri: str) -> None:
        """Take a subscription back. See `Client.unsubscribe`."""
        async with self._changing:
            subscribed = self._hub.subscribed
            if uri not in subscribed:
                return
            others = tuple(other for other in subscribed if other != uri)
            if self._is_modern:
                await self._listen_to(others)
            else:
                self._hub.subscribe(others)
                self._legacy.give_back([uri])

    async def _listen_to(self, uris: Sequence[str]) -> None:
        """Replace the listen request that all subscriptions share. No change in between is missed."""
        before = self._hub.shared_listen
        if uris:
            await trio.lowlevel.checkpoint()  # as in `_begin`
            request = ListenRequest(self._calls, self._agreement, Topics(uris=tuple(uris)), None, self._hub)
            granted = set((await self._granted(request)).uris)
            if request.has_ended:  # at once: the server is stopping
                granted.clear()
            told = tuple(uri for uri in uris if uri in granted)
            lost = tuple(uri for uri in self._hub.subscribed if uri in uris and uri not in granted)
            self._hub.subscribe(told, request, lost=lost)
        else:
            self._hub.subscribe(())
        if before is not None:
            self._close(before, "another one stands in for it")

    # --- over another stream ----------------------------------------------------------

    def finish(self, end: ConnectionEnded) -> None:
        """End all subscriptions, and tell their readers why, with this error."""
        shared = self._hub.shared_listen
        self._hub.finish(end, for_good=False)
        if shared is not None:
            self._close(shared, "the client no longer listens")

    async def resume(self, agreement: Agreement, *, anew: bool = False) -> None:
        """Ask again for all that was lost and is still wanted.

        Readers get an `Interrupted` once the server has agreed. A subscription that it refuses now ends. Where a
        stream is lost once more, the rest waits for the next `resume`.

        Args:
            agreement: with the server.
            anew: whether the server has forgotten all that it was asked.
        """
        self._agreement = agreement
        async with self._changing:
            if anew:
                self._legacy = LegacySubscriptions(self._calls, self._timeout)
            async with trio.open_nursery() as nursery:
                for opened in list(self._opened):
                    nursery.start_soon(self._resume_listen, opened, anew)
            if self._hub.subscribed:
                await self._resume_subscribed(anew)
        self._hub.resume()

    async def _resume_listen(self, opened: OpenListen, anew: bool) -> None:
        notices, asked = opened.notices, opened.notices.asked
        goes_on = not anew and opened.request is not None and not opened.request.has_ended
        if not opened.began or goes_on or asked is None or notices.end is not None:
            return
        with trio.CancelScope() as opened.scope:
            try:
                if anew or opened.request is not None:
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
                refused = await self._legacy.take(uris)
            elif self._is_modern and shared is None:
                await self._listen_to(uris)
                return
            else:
                return
        except ConnectionEnded:
            return
        except TrimcpError:
            refused = uris
        self._hub.subscribe(tuple(uri for uri in uris if uri not in refused), lost=tuple(refused))


# --- the legacy era -------------------------------------------------------------------


class LegacySubscriptions:
    """Counts how many listens of the client hold each resource that a legacy session is subscribed to.

    The first listen that wants a resource subscribes, the last that gives it back unsubscribes. `Client.subscribe`
    counts as a listen. (server/resources, "Subscriptions", up to 2025-11-25)
    """

    def __init__(self, calls: Calls, timeout: float | None) -> None:
        self._calls = calls
        self._timeout = timeout
        self._holders: dict[str, int] = {}
        self._changing = trio.Lock()

    async def take(self, uris: Sequence[str]) -> dict[str, RequestFailed]:
        """Subscribe to resources, all at once. Return those that the server refused, and why.

        Raises:
            RequestTimedOut, ConnectionEnded, InvalidPayload: a subscription failed; none of them is held then.
        """
        async with self._changing:
            new = [uri for uri in uris if uri not in self._holders]
            outcomes: dict[str, TrimcpError | None] = {}
            done = False
            try:
                async with trio.open_nursery() as nursery:
                    for uri in new:
                        nursery.start_soon(self._subscribe, uri, outcomes)
                refused = {uri: error for uri, error in outcomes.items() if isinstance(error, RequestFailed)}
                for error in outcomes.values():
                    if error is not None and not isinstance(error, RequestFailed):
                        raise error
                done = True
            finally:
                if not done:
                    for uri in new:
                        if not isinstance(outcomes.get(uri), RequestFailed):  # the server may have subscribed
                            self._calls.post("resources/unsubscribe", {"uri": uri})
            for uri in uris:
                if uri not in refused:
                    self._holders[uri] = self._holders.get(uri, 0) + 1
            return refused

    async def _subscribe(self, uri: str, outcomes: dict[str, TrimcpError | None]) -> None:
        try:
            await self._calls.call("resources/subscribe", {"uri": uri}, timeout=self._timeout)
            outcomes[uri] = None
        except TrimcpError as exc:
            outcomes[uri] = exc

    def give_back(self, uris: Iterable[str]) -> None:
        """Unsubscribe from the resources that no other listen holds. Does not wait for the server."""
        for uri in uris:
            left = self._holders[uri] - 1
            if left:
                self._holders[uri] = left
            else:
                del self._holders[uri]
                self._calls.post("resources/unsubscribe", {"uri": uri})


def _tells_of_resources(capabilities: ServerCapabilities) -> bool:
    """Return whether a server declared that clients can subscribe to resources."""
    return capabilities.resources is not None and bool(capabilities.resources.subscribe)


def _granted_by_legacy(capabilities: ServerCapabilities, asked: Topics, held: Iterable[str]) -> Topics:
    """Return the topics that a legacy server tells of: the lists that it declared, and resources subscribed to."""
    announced = announced_lists(capabilities)
    return Topics(
        asked.tools and announced["tools"],
        asked.prompts and announced["prompts"],
        asked.resources and announced["resources"],
        tuple(held),
    )
