"""The lease of this node: the actor that joins a shared store, renews, notices the deaths of nodes, and leaves.

A part of the server that owns data with an incarnation derives from `NodeObserver`, and is added with `observe`. It
is told when the node is fenced or has joined anew, and settles what dead nodes left behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar, TypeVarTuple, Unpack

import trio

from trimcp.observability import events, log
from trimcp.stores.contained import READ_SECONDS, DirectCalls, StoreFailed, log_failure
from trimcp.stores.node_store import NodeStore

T = TypeVar("T")
Args = TypeVarTuple("Args")

RENEWALS: Final = 5
"""Renewals in the time of one lease."""
FENCED_AFTER: Final = 2 / 3
"""The part of the lease after which a node that could not renew counts itself as dead: before others do."""
SETTLE_SECONDS: Final = 60.0
"""Seconds that one observer has to settle the work of a dead node, before the next attempt."""
LEAVE_SECONDS: Final = 2.0
"""Seconds to settle the work of this node and to leave, at its end."""


class NotSettled(Exception):
    """A part of the server could not settle all work of a dead node now. The next sweep tries again."""


class NodeObserver:
    """Owns data that belongs to an incarnation of this node. The methods do nothing by default."""

    def node_fenced(self, incarnation: int) -> None:
        """The node cannot renew its lease: end what belongs to this incarnation. Never waits.

        Other nodes settle it from now on. The node may go on with `node_joined`.
        """

    def node_joined(self, incarnation: int) -> None:
        """The node has joined anew after a fence: what begins now belongs to this incarnation. Never waits."""

    async def settle(self, incarnation: int) -> None:
        """Finish the work that a dead node left behind, such as its tasks.

        Several nodes may do this at the same time, and it is tried again where it raises. A node that ends does it
        for itself.

        Raises:
            NotSettled: some work is not settled, for a reason that is no failure, such as too much work at this node.
        """


class NodeLease:
    """Keeps this node alive in a shared store. Made by `joined`."""

    def __init__(self, store: NodeStore, incarnation: int, asked_at: float) -> None:
        self.incarnation: int = incarnation
        """Of this node at present. Another one after each fence."""
        self.is_fenced: bool = False
        """Whether the node could not renew in time, and has not joined anew."""
        self._store = store
        self._calls = DirectCalls()
        self._interval = store.lease / RENEWALS
        self._patience = FENCED_AFTER * store.lease
        self._fenced_at = asked_at + self._patience
        """When the node counts itself as dead, if it does not renew."""
        self._observers: list[NodeObserver] = []

    def observe(self, observer: NodeObserver) -> None:
        """Tell an observer of everything from now on. Its incarnation is `incarnation`, unless `is_fenced`."""
        self._observers.append(observer)

    def forget(self, observer: NodeObserver) -> None:
        """Tell an observer nothing more."""
        self._observers.remove(observer)

    async def is_alive(self, incarnation: int) -> bool:
        """Return whether the lease of a node has not run out.

        Raises:
            StoreFailed: the store does not answer.
        """
        return incarnation in await self._calls.call(READ_SECONDS, self._store.alive, (incarnation,))

    # --- its tasks --------------------------------------------------------------------

    async def run(self) -> None:
        """Renew the lease, and settle the work of dead nodes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew)
            nursery.start_soon(self._sweep)

    async def _renew(self) -> None:
        """Renew the lease until cancelled; fence the node, and join anew, where that fails."""
        while True:
            next_at = trio.current_time() + self._interval
            if self.is_fenced:
                await trio.sleep_until(next_at)
                asked_at = trio.current_time()
                incarnation = await self._asked(self._store.join)
                if incarnation is not None:
                    self._join_anew(incarnation, asked_at)
                continue
            await trio.sleep_until(min(next_at, self._fenced_at))
            # The lease counts from the question, since the answer may take its time.
            asked_at = trio.current_time()
            with trio.move_on_at(self._fenced_at):
                renewed = await self._asked(self._store.renew, self.incarnation)
                if renewed is not None:
                    # Where the lease has run out, others may have settled the work of this node already.
                    self._fenced_at = asked_at + self._patience if renewed else asked_at
            if trio.current_time() >= self._fenced_at:
                self._fence()

    def _fence(self) -> None:
        self.is_fenced = True
        log.error(events.NODE_FENCED, incarnation=self.incarnation)
        for observer in tuple(self._observers):
            observer.node_fenced(self.incarnation)

    def _join_anew(self, incarnation: int, asked_at: float) -> None:
        self.incarnation, self.is_fenced, self._fenced_at = incarnation, False, asked_at + self._patience
        log.info(events.NODE_JOINED, incarnation=incarnation)
        for observer in tuple(self._observers):
            observer.node_joined(incarnation)

    async def _sweep(self) -> None:
        """Settle the work of dead nodes until cancelled."""
        while True:
            await trio.sleep(self._interval)
            for incarnation in await self._asked(self._store.dead) or ():
                if incarnation != self.incarnation and await self._settled(incarnation):
                    await self._asked(self._store.leave, incarnation)

    async def leave(self) -> None:
        """Settle the work of this node, and leave. Where that fails, other nodes do it after the lease."""
        if not self.is_fenced and await self._settled(self.incarnation):
            await self._asked(self._store.leave, self.incarnation)

    async def _settled(self, incarnation: int) -> bool:
        """Have each observer settle the work of a dead node. Returns whether all of it is settled."""
        is_settled = True
        for observer in tuple(self._observers):
            with trio.move_on_after(SETTLE_SECONDS) as scope:
                try:
                    await observer.settle(incarnation)
                except NotSettled as exc:
                    log.info(events.NODE_SETTLED, incarnation=incarnation, complete=False, why=str(exc))
                    is_settled = False
                except Exception as exc:  # noqa: BLE001 - the next sweep tries again
                    log_failure(exc)
                    is_settled = False
            is_settled = is_settled and not scope.cancelled_caught
        if is_settled:
            log.info(events.NODE_SETTLED, incarnation=incarnation, complete=True)
        return is_settled

    async def _asked(self, method: Callable[[Unpack[Args]], Awaitable[T]], *args: *Args) -> T | None:
        """Return the answer of the store; None where it failed or took too long."""
        try:
            return await self._calls.call(self._interval, method, *args)
        except StoreFailed as exc:  # the lease may run out
            log_failure(exc)
            return None


@asynccontextmanager
async def joined(store: NodeStore) -> AsyncIterator[NodeLease]:
    """Join a shared store, and leave at the end. Start `run` of the lease in a nursery inside of the block.

    Raises:
        Exception: the store does not let the node join.
    """
    asked_at = trio.current_time()
    lease = NodeLease(store, await store.join(), asked_at)
    log.info(events.NODE_JOINED, incarnation=lease.incarnation)
    try:
        yield lease
    finally:
        with trio.move_on_after(LEAVE_SECONDS, shield=True):
            await lease.leave()
