"""Asking a server to tell what changes, in the same words whichever era it speaks.

In 2026-07-28 that is a `subscriptions/listen` request, which stays open without a task of ours and
whose notices carry its id. Before, changes of lists are told anyway, and resources are subscribed to
one by one. `trimcp.client.notices` owns the queues that the notices go to.

basic/patterns/subscriptions of 2026-07-28; server/resources, "Subscriptions", before it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trimcp.client.notices import ListenEnd, NoticeBoard, Notices, SubscriptionsEnded, Topics
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, RequestTimedOut, TrimcpError, UsageError
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER, INVALID_PARAMS
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.negotiation import Agreement
    from trimcp.session.calls import Calls, OpenCall
    from trimcp.types.capabilities import ServerCapabilities
    from trimcp.types.subscriptions import SubscriptionFilter

OnEnd = Callable[[ListenEnd, TrimcpError | None], None]


class Listen:
    """One `subscriptions/listen` request of ours."""

    def __init__(
        self, calls: Calls, agreement: Agreement, board: NoticeBoard, notices: Notices | None, on_end: OnEnd
    ) -> None:
        """
        Args:
            calls: of the session.
            agreement: what is spoken on it.
            board: which notices of the server go through.
            notices: where those of this request go, beside the queues that take all; None for nowhere.
            on_end: told when the server ends it, or the connection does.
        """
        self._calls = calls
        self._agreement = agreement
        self._board = board
        self._notices = notices
        self._on_end = on_end
        self._call: OpenCall | None = None
        self._error: TrimcpError | None = None
        self._decided = trio.Event()
        self.granted: Topics | None = None
        """What the server agreed to tell; None while it has not said."""
        self.ended = False
        """Whether the server, or the end of the connection, has ended it."""

    async def open(self, asked: Topics, timeout: float | None) -> Topics:
        """Make the request, and wait for the server to acknowledge it.

        Raises:
            RequestFailed: it was answered with an error.
            RequestTimedOut: it was not acknowledged in time.
            InvalidResult: what acknowledges it breaks the schema.
            ConnectionEnded: the connection is gone.
        """
        call = self._call = self._calls.begin("subscriptions/listen", self._params(asked), self._settled)
        self._board.tag(call.id, self._notices, self._acknowledged)
        try:
            with trio.move_on_after(math.inf if timeout is None else timeout):
                await self._decided.wait()
            if self._error is not None:
                raise self._error
            if self.granted is None:
                raise RequestTimedOut(f"subscriptions/listen was not acknowledged within {timeout:g} s")
        except BaseException:
            self.close("it was not acknowledged in time")
            raise
        return self.granted

    def close(self, why: str) -> None:
        """Tell the server that nobody listens any more, unless it has ended it. Never waits."""
        if self._call is not None:
            self._board.untag(self._call.id)
            self._calls.abandon(self._call, why)

    def _params(self, asked: Topics) -> dict[str, Any]:
        from trimcp.types.subscriptions import SubscriptionFilter, SubscriptionsListenRequestParams

        wanted = SubscriptionFilter(
            tools_list_changed=asked.tools or None,
            prompts_list_changed=asked.prompts or None,
            resources_list_changed=asked.resources or None,
            resource_subscriptions=list(asked.uris) or None,
        )
        encode = codec_for(self._agreement.revision).params_encoder("subscriptions/listen")
        return encode(SubscriptionsListenRequestParams(notifications=wanted, meta=self._agreement.stamp))

    def _acknowledged(self, params: Mapping[str, Any]) -> None:
        decode = codec_for(self._agreement.revision).params_decoder("notifications/subscriptions/acknowledged")
        try:
            granted: SubscriptionFilter = decode(params).notifications
        except InvalidPayload as exc:
            if self.granted is None:
                self._error = InvalidResult(exc.problems)
        else:
            self.granted = Topics(
                bool(granted.tools_list_changed),
                bool(granted.prompts_list_changed),
                bool(granted.resources_list_changed),
                tuple(granted.resource_subscriptions or ()),
            )
        self._decided.set()

    def _settled(self, call: OpenCall) -> None:
        """The server has answered, and so ended it; or the connection has."""
        self._board.untag(call.id)
        self.ended = True
        end, error = ListenEnd.FINISHED, None
        if isinstance(call.error, RequestFailed) and call.error.code == CANCELLED_BY_SERVER:
            end = ListenEnd.CANCELLED
        elif isinstance(call.error, TrimcpError):
            end, error = ListenEnd.FAILED, call.error
        if self.granted is None:
            self.granted, self._error = Topics(), error
        self._decided.set()
        self._on_end(end, error)


class UriLeases:
    """Which resources a legacy session is subscribed to, and by how many of this client.

    The first that wants one subscribes, the last that leaves unsubscribes.
    """

    def __init__(self, calls: Calls, timeout: float | None) -> None:
        self._calls = calls
        self._timeout = timeout
        self._holders: dict[str, int] = {}
        self._changing = trio.Lock()

    async def take(self, uris: Sequence[str]) -> dict[str, RequestFailed]:
        """Subscribe to resources, all at once; return those that the server refused, and why.

        Raises:
            RequestTimedOut, ConnectionEnded, InvalidPayload: it did not work out; none is held then.
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
                        if not isinstance(outcomes.get(uri), RequestFailed):  # the server may have done it
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
        """Unsubscribe from those that nobody else holds. Does not wait for the server."""
        for uri in uris:
            left = self._holders[uri] - 1
            if left:
                self._holders[uri] = left
            else:
                del self._holders[uri]
                self._calls.post("resources/unsubscribe", {"uri": uri})


class Subscriptions:
    """All that one client has asked to be told."""

    def __init__(self, calls: Calls, agreement: Agreement, board: NoticeBoard, timeout: float | None) -> None:
        self._calls = calls
        self._agreement = agreement
        self._board = board
        self._timeout = timeout
        self._leases = UriLeases(calls, timeout)
        self._changing = trio.Lock()
        self._subscribed: dict[str, None] = {}
        self._standing: Listen | None = None

    @property
    def _is_modern(self) -> bool:
        return self._agreement.revision.era is Era.MODERN

    # --- for as long as a context lasts -----------------------------------------------

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[Notices]:
        """See `Client.notices`."""
        notices = self._board.open(None)
        try:
            yield notices
        finally:
            self._board.close(notices)

    @asynccontextmanager
    async def listen(self, asked: Topics) -> AsyncIterator[Notices]:
        """See `Client.listen`."""
        if self._is_modern:
            notices = self._board.open_tagged(asked)
            listen = Listen(self._calls, self._agreement, self._board, notices, notices.finish)
            notices.acknowledged = await listen.open(asked, self._timeout)
            try:
                yield notices
            finally:
                listen.close("nobody listens any more")
                self._board.close(notices)
            return
        notices = self._board.open(asked)
        held: list[str] = []
        try:
            if asked.uris and _tells_of_resources(self._agreement.capabilities):
                refused = await self._leases.take(asked.uris)
                held = [uri for uri in asked.uris if uri not in refused]
            notices.acknowledged = _told_anyway(self._agreement.capabilities, asked, held)
            yield notices
        finally:
            self._leases.give_back(held)
            self._board.close(notices)

    # --- until further notice ---------------------------------------------------------

    async def subscribe(self, uri: str) -> None:
        """See `Client.subscribe`."""
        if not _tells_of_resources(self._agreement.capabilities):
            raise UsageError("the server does not tell of resources: it did not declare resources.subscribe")
        async with self._changing:
            self._board.check()
            if uri in self._subscribed:
                return
            if self._is_modern:
                await self._listen_again([*self._subscribed, uri])
                if uri not in self._subscribed:
                    raise RequestFailed(INVALID_PARAMS, f"the server did not agree to tell of {uri}")
                return
            refused = await self._leases.take([uri])
            if refused:
                raise refused[uri]
            self._subscribed[uri] = None

    async def unsubscribe(self, uri: str) -> None:
        """See `Client.unsubscribe`."""
        async with self._changing:
            if uri not in self._subscribed:
                return
            if self._is_modern:
                await self._listen_again([other for other in self._subscribed if other != uri])
            else:
                del self._subscribed[uri]
                self._leases.give_back([uri])

    async def _listen_again(self, uris: Sequence[str]) -> None:
        """Have one listen for all of them in place of the one that stands; no change in between is missed."""
        before = self._standing
        if uris:
            fresh = Listen(self._calls, self._agreement, self._board, None, self._standing_ended)
            granted = set((await fresh.open(Topics(uris=tuple(uris)), self._timeout)).uris)
            if fresh.ended:  # at once: the server is stopping
                granted.clear()
            lost = [uri for uri in self._subscribed if uri in uris and uri not in granted]
            self._standing = fresh
            self._subscribed = {uri: None for uri in uris if uri in granted}
            if lost:
                self._board.put(SubscriptionsEnded(tuple(lost)))
        else:
            self._standing = None
            self._subscribed = {}
        if before is not None:
            before.close("another one stands in for it")

    def _standing_ended(self, end: ListenEnd, error: TrimcpError | None) -> None:
        """The server ended the listen that stands; where the connection did, readers are told by it."""
        if self._standing is None or not self._standing.ended:
            return  # it was another one, which was to take its place
        uris = tuple(self._subscribed)
        self._standing, self._subscribed = None, {}
        if uris and end is not ListenEnd.FAILED:
            self._board.put(SubscriptionsEnded(uris))


def _tells_of_resources(capabilities: ServerCapabilities) -> bool:
    return capabilities.resources is not None and bool(capabilities.resources.subscribe)


def _told_anyway(capabilities: ServerCapabilities, asked: Topics, held: Iterable[str]) -> Topics:
    """What of it a legacy server tells: the lists that it declared to, and what was subscribed to."""
    tools, prompts, resources = capabilities.tools, capabilities.prompts, capabilities.resources
    return Topics(
        asked.tools and tools is not None and bool(tools.list_changed),
        asked.prompts and prompts is not None and bool(prompts.list_changed),
        asked.resources and resources is not None and bool(resources.list_changed),
        tuple(held),
    )
