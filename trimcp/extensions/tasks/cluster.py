"""Tasks over several nodes that share a store: their changes, and the tasks of nodes that have died.

A message to the other nodes says only that a task has changed: the store has the truth, and is asked from time to time
in any case. A task whose node is gone fails, or runs again at the node whose compare-and-set is the first.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.errors import RequestFailed
from trimcp.extensions.tasks import lifecycle
from trimcp.extensions.tasks.manager import TaskManager
from trimcp.extensions.tasks.rerun import Reruns
from trimcp.extensions.tasks.running_task import LOOK_AGAIN
from trimcp.extensions.tasks.streams import TaskStream
from trimcp.extensions.tasks.watching import ClientNotifier
from trimcp.extensions.tasks.work import TaskWork
from trimcp.observability import events, log
from trimcp.session.refusals import store_unavailable
from trimcp.stores.node_lease import NodeObserver, NotSettled
from trimcp.stores.node_messages import NodeMessages
from trimcp.stores.task_store import TaskRecord
from trimcp.types.task_extension import TASK_IDS

if TYPE_CHECKING:
    from trimcp.server.features.subscriptions.bus import SubscriptionBus

TASK: Final = "task"
"""The kind of message that a task has changed."""
FREE: Final = "task_free"
"""The kind of message that a node which stops has handed over a task."""
LISTENS_LOOK_AGAIN: Final = 15.0
"""Seconds after which the tasks that listens watch are read again, in case no message came."""
CAPACITY: Final = 1024
"""Changed tasks that may wait to be read. Where there are more, all that concern this node are read."""


@attrs.frozen
class _Doubt:
    """This node may have taken a task that it does not run, or a late write may still take it."""

    incarnation: int
    """Of this node at that time."""
    version: int
    """Of the record that the write replaces. When the store has a later one, all is decided."""


class TaskCluster(Actor[str | None], NodeObserver):
    """The actor that connects the tasks of this node with those of the others.

    Each message is the id of a task that another node has changed; None: any task may have changed.
    """

    name = "tasks of nodes"

    def __init__(
        self,
        owner: Owner,
        manager: TaskManager,
        messages: NodeMessages,
        subscriptions: SubscriptionBus,
        notifier: ClientNotifier,
        reruns: Reruns,
    ) -> None:
        """
        Args:
            owner: the supervisor of the run.
            manager: the tasks of this node.
            messages: to and from the other nodes.
            subscriptions: has the listens of this node.
            notifier: notifies the listens.
            reruns: runs tasks again.
        """
        super().__init__(owner, Mailbox(CAPACITY, Overflow.REPLACE, key=lambda id: id))
        self._manager = manager
        self._messages = messages
        self._subscriptions = subscriptions
        self._notifier = notifier
        self._reruns = reruns
        self._has_missed = False
        """Whether the mailbox was too full for a change."""
        self._free = trio.Event()
        """Set when a task may have been handed over."""
        self._doubts: dict[str, _Doubt] = {}
        """By the id of the task."""
        manager.incarnation = messages.lease.incarnation
        manager.observers.append(self)
        messages.lease.observe(self)
        messages.add_taker((TASK, FREE), self)

    # --- TaskObserver: changes here ---------------------------------------------------

    def changed(self, record: TaskRecord, stream: TaskStream | None) -> None:
        """See `TaskObserver`."""
        self._messages.send(TASK, record.id, key=(TASK, record.id))
        if record.incarnation == lifecycle.NO_NODE and not record.is_final:
            self._messages.send(FREE, key=FREE)

    # --- MessageTaker: changes at other nodes -----------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        if kind == FREE:
            self._free.set()
            return
        (id,) = content
        if self._manager.concerns(id) or self._subscriptions.is_watched((TASK_IDS, id)):
            self._take(id)

    def take_gap(self) -> None:
        """See `MessageTaker`."""
        self._take(None)
        self._free.set()

    def _take(self, id: str | None) -> None:
        try:
            self.tell(id)
        except MailboxFull:
            self._has_missed = True

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Read the tasks that have changed, and tell all that watch them here, until cancelled."""
        while True:
            id = await self.mailbox.receive()
            if id is not None:
                await self._look(id)
            if id is None or self._has_missed:
                self._has_missed = False
                for each in {*self._manager.concerned, *self._subscriptions.watched_keys(TASK_IDS)}:
                    await self._look(each)

    def handle(self, message: str | None) -> None:
        """Drop a change: the run is over. See `Actor`."""

    async def _look(self, id: str) -> None:
        with suppress(RequestFailed):  # it was logged; all that wait look again
            record = await self._manager.look(id)
            if record is not None:
                self._notifier.changed(record, None)

    async def look_again(self) -> None:
        """Read the tasks that listens here watch now and then, until cancelled.

        No message comes of a change whose node died at that moment, or had no answer of the store.
        """
        while True:
            await trio.sleep(LISTENS_LOOK_AGAIN)
            for id in self._subscriptions.watched_keys(TASK_IDS):
                if self._notifier.has_told_end(id):
                    continue
                with suppress(RequestFailed):  # it was logged; the next time comes
                    record = await self._manager.look(id)
                    if record is not None:
                        self._notifier.found(record)

    # --- tasks that were handed over --------------------------------------------------

    async def take_over(self) -> None:
        """Take the tasks that other nodes have handed over, until cancelled. Looks now and then in any case.

        Before that, tasks are put right whose last change had no answer of the store.
        """
        while True:
            self._free = trio.Event()
            for step in (self._manager.table.discard_again, self._decide_doubts, self._take_free):
                with suppress(RequestFailed, NotSettled):  # it was logged
                    await step()
            with trio.move_on_after(LOOK_AGAIN):
                await self._free.wait()

    async def _take_free(self) -> None:
        await self.settle(lifecycle.NO_NODE)

    # --- NodeObserver -----------------------------------------------------------------

    def node_fenced(self, incarnation: int) -> None:
        """See `NodeObserver`."""
        self._manager.fence()

    def node_joined(self, incarnation: int) -> None:
        """See `NodeObserver`."""
        self._manager.join(incarnation)

    async def settle(self, incarnation: int) -> None:
        """Run the tasks of a node again, or let them fail; release those of this node. See `NodeObserver`.

        Raises:
            NotSettled: some task is not settled. The others are.
        """
        try:
            unfinished = await self._manager.table.unfinished(incarnation)
        except RequestFailed as exc:
            raise NotSettled(str(exc)) from exc
        failure: RequestFailed | None = None
        for record in unfinished:
            try:
                if incarnation == self._manager.incarnation:
                    await self._manager.release(record)
                else:
                    await self._settle_task(record, incarnation)
            except RequestFailed as exc:
                failure = exc
        if failure is not None:
            raise NotSettled(str(failure)) from failure

    async def _settle_task(self, record: TaskRecord, incarnation: int) -> None:
        def fail(record: TaskRecord) -> TaskRecord | None:
            is_its = record.incarnation == incarnation
            return lifecycle.lost(record, lifecycle.now(), "node_lost") if is_its else None

        work = await self._reruns.work_of(record)
        if work is not None:
            await self._take_task(record, work, incarnation)
        elif incarnation != lifecycle.NO_NODE:
            await self._manager.change(record, fail)

    async def _take_task(self, record: TaskRecord, work: TaskWork, incarnation: int) -> None:
        """Run a task again, if this node is the first to take it."""
        mine = self._manager.incarnation
        if not self._manager.owns(mine):  # other nodes may have settled this incarnation: nothing would take it again
            raise store_unavailable()

        tried = record.version

        def take(record: TaskRecord) -> TaskRecord | None:
            nonlocal tried
            is_its, tried = record.incarnation == incarnation, record.version
            return lifecycle.taken_over(record, mine) if is_its else None

        self._manager.admit(work)
        try:
            newest, is_taken = await self._manager.table.change(record, take)
        except BaseException:
            self._manager.left(work)
            self._doubts[record.id] = _Doubt(mine, tried)
            raise
        if newest is not None and is_taken and self._manager.owns(mine):
            self._doubts.pop(record.id, None)
            self._reruns.start(newest, work)
            log.info(events.TASK_TAKEN_OVER, method=record.method, principal=record.principal)
            return
        self._manager.left(work)
        if newest is not None and is_taken:  # the node was fenced meanwhile
            self._doubts[record.id] = _Doubt(mine, tried)

    async def _decide_doubts(self) -> None:
        """Hand over the tasks that this node has taken without an answer of the store, or as it was fenced."""
        for id, doubt in tuple(self._doubts.items()):
            record = await self._manager.table.find(id)
            if record is not None and record.version <= doubt.version:
                continue
            if record is not None and record.incarnation == doubt.incarnation:
                await self._manager.release(record)
            if self._doubts.get(id) is doubt:
                del self._doubts[id]
