"""Asking a server to tell what changes, in the same words whichever era it speaks.

In 2026-07-28 that is a `subscriptions/listen` request, which stays open without a task of ours and
whose notices carry its id. Before, changes of lists are told anyway, and resources are subscribed to
one by one. `trimcp.client.notices` owns the queues that the notices go to.

basic/patterns/subscriptions of 2026-07-28; server/resources, "Subscriptions", before it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trimcp.client.leases import UriLeases, tells_of_resources, told_anyway
from trimcp.client.notice_board import NoticeBoard
from trimcp.client.notices import Interrupted, ListenEnd, Notices, SubscriptionsEnded, Topics
from trimcp.codec.revisions import codec_for
from trimcp.errors import (
    ConnectionClosed,
    ConnectionEnded,
    InvalidPayload,
    InvalidResult,
    RequestFailed,
    RequestTimedOut,
    TrimcpError,
    UsageError,
)
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER, INVALID_PARAMS
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.negotiation import Agreement
    from trimcp.session.calls import Calls, OpenCall
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
        self._asked = Topics()
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
        self._asked = asked
        # Where a scope around client and caller was cancelled, that is what the caller gets to know.
        await trio.lowlevel.checkpoint()
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
            extra={member: list(keys) for member, keys in asked.more.items()},
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
                self._granted_more(granted.extra),
            )
        self._decided.set()

    def _granted_more(self, members: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """What of extensions' topics is granted; whatever else is in there was not asked for."""
        return {
            member: tuple(key for key in members[member] if isinstance(key, str))
            for member in self._asked.more
            if isinstance(members.get(member), list)
        }

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


class Opened:
    """One `Client.listen` of the program, over as many connections as it takes until its context is left."""

    __slots__ = ("began", "held", "leases", "listen", "notices", "scope")

    def __init__(self, notices: Notices) -> None:
        self.notices = notices
        self.began = False
        self.listen: Listen | None = None
        self.leases: UriLeases | None = None
        self.held: list[str] = []
        self.scope: trio.CancelScope | None = None

    def leave(self) -> None:
        """Tell the server that nobody listens any more. Never waits."""
        if self.scope is not None:
            self.scope.cancel()
        if self.listen is not None:
            self.listen.close("nobody listens any more")
        if self.leases is not None:
            self.leases.give_back(self.held)


class Subscriptions:
    """All that one client has asked to be told."""

    def __init__(
        self, calls: Calls, agreement: Agreement, board: NoticeBoard, timeout: float | None, *, stays: bool
    ) -> None:
        """`stays`: whether another connection follows one that is lost, so that `resume` is called."""
        self._calls = calls
        self._agreement = agreement
        self._board = board
        self._timeout = timeout
        self.stays = stays
        self._leases = UriLeases(calls, timeout)
        self._changing = trio.Lock()
        self._opened: dict[Opened, None] = {}
        self._subscribed: dict[str, None] = {}
        self._standing: Listen | None = None

    @property
    def _is_modern(self) -> bool:
        return self._agreement.revision.era is Era.MODERN

    # --- for as long as a context lasts -----------------------------------------------

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[Notices]:
        """See `Client.notices`."""
        await self._check()
        notices = self._board.open(None)
        try:
            yield notices
        finally:
            self._board.close(notices)

    @asynccontextmanager
    async def listen(self, asked: Topics) -> AsyncIterator[Notices]:
        """See `Client.listen`."""
        await self._check()
        opened = Opened(self._board.open_tagged(asked))
        self._opened[opened] = None
        try:
            await self._begin(opened, asked)
            opened.began = True
            yield opened.notices
        finally:
            del self._opened[opened]
            opened.leave()
            self._board.close(opened.notices)

    async def _check(self) -> None:
        """
        Raises:
            ConnectionEnded: the connection is gone.
        """
        if self._board.is_over:
            await trio.lowlevel.checkpoint()  # see `Listen.open`
            self._board.check()

    async def _begin(self, opened: Opened, asked: Topics) -> None:
        """Ask for it, on the connection that there is, and wait until the server has agreed."""
        notices = opened.notices
        opened.held = []
        self._board.take_in(notices, tagged=self._is_modern)
        if self._is_modern:
            on_end = functools.partial(self._ended, notices)
            opened.listen = Listen(self._calls, self._agreement, self._board, notices, on_end)
            notices.acknowledged = await opened.listen.open(asked, self._timeout)
            return
        opened.listen, opened.leases = None, self._leases
        if asked.uris and tells_of_resources(self._agreement.capabilities):
            refused = await self._leases.take(asked.uris)
            opened.held = [uri for uri in asked.uris if uri not in refused]
        notices.acknowledged = told_anyway(self._agreement.capabilities, asked, opened.held)

    def _ended(self, notices: Notices, end: ListenEnd, error: TrimcpError | None) -> None:
        """The server ended a listen, or the connection did."""
        if self._comes_back(error):
            notices.is_interrupted = True
        else:
            notices.finish(end, error)

    def _comes_back(self, error: TrimcpError | None) -> bool:
        return self.stays and isinstance(error, ConnectionEnded) and not isinstance(error, ConnectionClosed)

    # --- until further notice ---------------------------------------------------------

    async def subscribe(self, uri: str) -> None:
        """See `Client.subscribe`."""
        if not tells_of_resources(self._agreement.capabilities):
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
        self._standing = None
        if self._comes_back(error):
            return
        uris = tuple(self._subscribed)
        self._subscribed = {}
        if uris and not isinstance(error, ConnectionEnded):
            self._board.put(SubscriptionsEnded(uris))

    # --- over another connection ------------------------------------------------------

    def end(self, end: ConnectionEnded) -> None:
        """There will be no other connection."""
        self.stays = False
        for opened in self._opened:
            opened.notices.finish(ListenEnd.FAILED, end.again())

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
            if self._subscribed:
                await self._resume_subscribed(anew)
        self._board.resumed()

    async def _resume_one(self, opened: Opened, anew: bool) -> None:
        notices, asked = opened.notices, opened.notices.asked
        goes_on = not anew and opened.listen is not None and not opened.listen.ended
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
            notices.is_interrupted = False
            notices.put(Interrupted())

    async def _resume_subscribed(self, anew: bool) -> None:
        uris = tuple(self._subscribed)
        refused: Iterable[str] = ()
        try:
            if not self._is_modern and anew:
                refused = await self._leases.take(uris)
                self._subscribed = {uri: None for uri in uris if uri not in refused}
            elif self._is_modern and self._standing is None:
                await self._listen_again(uris)
        except ConnectionEnded:
            return
        except TrimcpError:
            self._subscribed, refused = {}, uris
        if refused:
            self._board.put(SubscriptionsEnded(tuple(refused)))
