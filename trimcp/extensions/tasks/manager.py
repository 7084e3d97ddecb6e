"""The task manager: the actor that knows the tasks which run on this node, and all that watch tasks.

It takes the steps in the life of a task through the table, and tells of each change: the running task, the requests
that wait for the result, and clients.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.supervisor import Supervisor
from trimcp.errors import RequestFailed
from trimcp.extensions.tasks import lifecycle, wire
from trimcp.extensions.tasks.polls import PollMeter
from trimcp.extensions.tasks.running_task import RunningTask
from trimcp.extensions.tasks.table import Step, TaskTable, busy
from trimcp.extensions.tasks.watching import TaskObserver, TaskWatch
from trimcp.extensions.tasks.work import TaskWork
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.principal import key_of
from trimcp.session.refusals import retry_data, store_unavailable
from trimcp.session.request import InboundRequest
from trimcp.stores.task_store import TaskRecord, TaskStore
from trimcp.types.jsonrpc import DRAINING
from trimcp.types.revisions import BY_VERSION, Revision

if TYPE_CHECKING:
    from trimcp.server.context.sealed_state import State
    from trimcp.server.features.task_support import TaskTool

SETTLING: Final = 5.0
"""Seconds to store what becomes of the tasks that still run when the server stops."""


@attrs.frozen
class _Began:
    """A task runs here."""

    task: RunningTask


@attrs.frozen
class _Ended:
    """A task does not run here any more."""

    task: RunningTask


@attrs.frozen
class _Changed:
    """A task has changed: on this node, or on another."""

    record: TaskRecord
    is_here: bool


@attrs.frozen
class _Watched:
    """A request waits for changes of a task, or waits no longer."""

    watch: TaskWatch
    is_on: bool


_Message = _Began | _Ended | _Changed | _Watched


class TaskManager(Actor[_Message]):
    """Knows the tasks of one run of a server. It works in the turn of its senders."""

    name = "task manager"

    def __init__(
        self,
        supervisor: Supervisor,
        store: TaskStore,
        limits: Limits,
        *,
        is_shared: bool,
        is_durable: bool,
    ) -> None:
        """
        Args:
            supervisor: of the run: the tasks live in its nursery.
            store: keeps the tasks.
            limits: of the server.
            is_shared: whether other nodes use the store.
            is_durable: whether the store lives longer than the run.
        """
        super().__init__(supervisor, Mailbox(1), in_turn=True)  # the mailbox of an actor in turn stays empty
        self.limits: Limits = limits
        self.is_shared: bool = is_shared
        self.is_durable: bool = is_durable
        self.table: TaskTable = TaskTable(store, supervisor)
        self.polls: PollMeter = PollMeter(limits.task_polls)
        self.incarnation: int = 1
        """Of this node in the store."""
        self.observers: list[TaskObserver] = []
        """All that tell others of changes."""
        self._supervisor = supervisor
        self._pool = supervisor.open_pool("tasks", limits.running_tasks)
        self._works: set[TaskWork] = set()
        self._running: dict[str, RunningTask] = {}
        self._watches: dict[str, set[TaskWatch]] = {}
        self._kept: list[float] = []
        """A heap: when the tasks that ended here expire."""
        self._is_draining = False
        self._is_fenced = False
        self._idle = trio.Event()

    # --- work -------------------------------------------------------------------------

    def admit(self, work: TaskWork) -> None:
        """Give some work a place, which it gives back itself when it ends.

        Raises:
            RequestFailed: there is no room for it, or the server stops.
        """
        if self._is_draining:
            raise _draining()
        if len(self._works) >= self.limits.running_tasks:
            raise busy(f"{self.limits.running_tasks} tasks run")
        self._works.add(work)

    def left(self, work: TaskWork) -> None:
        """See `WorkPlaces`."""
        self._works.discard(work)

    def start(self, work: TaskWork) -> None:
        """Let a worker do some work soon, which has a place."""
        self._pool.post(work)

    async def create(
        self, request: InboundRequest, tool: TaskTool, ttl: float | None, state: State | None
    ) -> TaskRecord:
        """Keep a new task; it is kept when this returns.

        Args:
            request: the call that becomes the task.
            tool: the tool that is called.
            ttl: the milliseconds that the client asks for, if it asks.
            state: of the rounds before the call became a task, if there were any.

        Raises:
            RequestFailed: there is no room, the server stops, or the store failed.
        """
        limits = self.limits
        self._check_open(self.incarnation)
        now = lifecycle.now()
        while self._kept and self._kept[0] <= now:
            heapq.heappop(self._kept)
        if len(self._kept) + len(self._running) >= limits.kept_tasks:
            raise busy(f"{limits.kept_tasks} tasks are kept")
        principal = key_of(request.delivery.principal)
        params = lifecycle.stored_params(request)
        if len(params) > limits.task_bytes:
            raise busy(f"the params of a task may have {limits.task_bytes} bytes")
        record = TaskRecord(
            id=lifecycle.new_id(),
            principal=principal,
            incarnation=self.incarnation,
            method=request.method,
            params=params,
            revision=request.revision.version,
            created_at=now,
            updated_at=now,
            ttl=lifecycle.granted_ttl(ttl, limits.task_ttl, limits.task_ttl_most),
            poll_interval=limits.task_poll,
            on_lost=tool.on_lost,
            answers=None if state is None else lifecycle.stored_answers(state),
            kept=None if state is None else lifecycle.stored_steps(state),
            scopes=() if request.delivery.principal is None else tuple(sorted(request.delivery.principal.scopes)),
        )
        most = limits.anonymous_tasks if principal is None else limits.tasks
        is_kept = False
        failure: RequestFailed | None = None
        with trio.CancelScope(shield=True):  # each call of the store has a deadline
            try:
                is_kept = await self.table.create(record, most)
                self._check_open(record.incarnation)
            except RequestFailed as exc:
                failure = exc
            if failure is not None:
                await self.table.discard(record)  # the store may have it all the same
                raise failure
        if not is_kept:
            raise busy(f"{most} tasks are kept, the most that one client may have")
        log.info(events.TASK_CREATED, method=record.method, principal=principal)
        return record

    def _check_open(self, incarnation: int) -> None:
        """Refuse new tasks of a server that stops, or of an incarnation whose tasks other nodes may have settled."""
        if self._is_draining:
            raise _draining()
        if not self.owns(incarnation):
            raise store_unavailable()

    def owns(self, incarnation: int) -> bool:
        """Whether tasks of an incarnation may run here: it is that of this node, which is not fenced."""
        return incarnation == self.incarnation and not self._is_fenced

    def begin(self, record: TaskRecord, work: TaskWork) -> RunningTask:
        """Run a task on this node."""
        task = self._supervisor.add(RunningTask(self._supervisor, self, record, work))
        self.tell(_Began(task))
        return task

    # --- records ----------------------------------------------------------------------

    async def find(self, request: InboundRequest, id: str) -> TaskRecord:
        """Return a task that the sender of a request may see: its own, of the same dialect.

        Raises:
            InvalidParams: there is none.
            RequestFailed: its sender asks too often, or the store failed.
        """
        self.polls.count(request)
        record = await self.table.find(id)
        if record is None or not is_visible(record, request):
            log.debug(events.TASK_NOT_FOUND, method=request.method)
            raise wire.no_such_task()
        return record

    async def list(self, request: InboundRequest, after: str | None, limit: int) -> Sequence[TaskRecord]:
        """Return tasks of the principal of a request, in the order of their creation.

        Raises:
            KeyError: the store cannot place `after`.
            RequestFailed: its sender asks too often, or the store failed.
        """
        self.polls.count(request)
        principal = key_of(request.delivery.principal)
        assert principal is not None
        return await self.table.list(principal, after, limit)

    async def change(self, record: TaskRecord, step: Step) -> TaskRecord | None:
        """Take a step of the life of a task, and tell all that watch it; see `TaskTable.change`."""
        newest, has_changed = await self.table.change(record, step)
        if newest is not None and has_changed:
            self.tell(_Changed(newest, is_here=True))
        return newest

    async def look(self, id: str) -> TaskRecord | None:
        """Read a task that has changed elsewhere, and tell all that watch it here."""
        record = await self.table.find(id)
        if record is not None:
            self.tell(_Changed(record, is_here=False))
        return record

    @contextmanager
    def watching(self, id: str) -> Iterator[TaskWatch]:
        """Watch a task for as long as the block runs."""
        watch = TaskWatch(id)
        self.tell(_Watched(watch, is_on=True))
        try:
            yield watch
        finally:
            self.tell(_Watched(watch, is_on=False))

    def concerns(self, id: str) -> bool:
        """Whether the task runs here, or a request here waits for it."""
        return id in self._running or id in self._watches

    @property
    def running(self) -> int:
        """The tasks that run here."""
        return len(self._running)

    @property
    def concerned(self) -> Sequence[str]:
        """The ids of the tasks that run here or that requests here wait for."""
        return list({**self._running, **self._watches})

    def task_ended(self, task: RunningTask) -> None:
        """See `TaskKeeper`."""
        self.tell(_Ended(task))

    # --- the actor --------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        if type(message) is _Changed:
            self._tell_changed(message.record, is_here=message.is_here)
        elif type(message) is _Watched:
            self._set_watch(message.watch, is_on=message.is_on)
        elif type(message) is _Began:
            self._running[message.task.id] = message.task
            message.task.wake()
        elif type(message) is _Ended:
            self._forget(message.task)

    def _forget(self, task: RunningTask) -> None:
        self._running.pop(task.id, None)
        record = task.record
        if record.expires_at is not None:
            heapq.heappush(self._kept, record.expires_at)
        log.info(events.TASK_ENDED, method=record.method, principal=record.principal, status=record.status)
        if not self._running:
            self._idle.set()

    def _tell_changed(self, record: TaskRecord, *, is_here: bool) -> None:
        for watch in self._watches.get(record.id, ()):
            watch.tell()
        task = self._running.get(record.id)
        if task is not None:
            task.changed(record)
        if is_here:
            stream = None if task is None else task.stream
            for observer in self.observers:
                observer.changed(record, stream)

    def _set_watch(self, watch: TaskWatch, *, is_on: bool) -> None:
        watches = self._watches.setdefault(watch.id, set())
        if is_on:
            watches.add(watch)
            return
        watches.discard(watch)
        if not watches:
            del self._watches[watch.id]

    # --- the end ----------------------------------------------------------------------

    async def drain(self, deadline: float) -> None:
        """Take no new tasks, let those that run finish, and settle the others after `deadline` seconds."""
        self._is_draining = True
        with trio.move_on_after(deadline):
            await self._wait_idle()
        running = [task for task in self._running.values() if not task.stops]
        for task in running:
            task.give_up()
        if self.is_durable:
            self.table.leave_pool()
            with trio.move_on_after(SETTLING):
                for task in running:
                    try:
                        await self.release(task.record)
                    except RequestFailed:  # where nodes share the store, it is tried again with the end of the lease
                        log.error(events.TASK_LOST, method=task.work.method, principal=task.record.principal)
        with trio.move_on_after(self.limits.cleanup):
            await self._wait_idle()

    async def _wait_idle(self) -> None:
        while self._running:
            self._idle = trio.Event()
            await self._idle.wait()

    async def release(self, record: TaskRecord) -> None:
        """Hand over a task of this node that does not run any more, or let it fail.

        Raises:
            RequestFailed: the store failed.
        """
        mine = record.incarnation
        runs_again = self.is_shared and record.on_lost == "rerun"

        def stop(newest: TaskRecord) -> TaskRecord | None:
            if newest.incarnation != mine:
                return None
            if self.table.is_discarded(newest.id):
                return lifecycle.cancelled(newest, lifecycle.now())
            return lifecycle.handed_over(newest) if runs_again else lifecycle.lost(newest, lifecycle.now())

        await self.change(record, stop)

    def join(self, incarnation: int) -> None:
        """Go on as another node, after a fence."""
        self.incarnation = incarnation
        self._is_fenced = False

    def fence(self) -> None:
        """Give up all tasks that run here, without a word to the store: other nodes settle them."""
        self._is_fenced = True
        for task in list(self._running.values()):
            task.give_up()


def is_visible(record: TaskRecord, request: InboundRequest) -> bool:
    """Whether the sender of a request may see a task: it is its own, and of the same dialect."""
    revision: Revision | None = BY_VERSION.get(record.revision)
    return (
        revision is not None
        and revision.era is request.revision.era
        and record.principal == key_of(request.delivery.principal)
    )


def _draining() -> RequestFailed:
    return RequestFailed(DRAINING, "The server is stopping and takes no new tasks", retry_data("draining"))
