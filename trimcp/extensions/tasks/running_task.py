"""A task that runs on this node: the actor that owns its record, and stores all that its work needs.

Other parts of this node, and other nodes, change the record as well: they cancel the task, or answer its
questions. Each change is a compare-and-set, and this actor is told of it, or finds it when it looks again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.backoff import doubled_pause
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.reply import Reply
from trimcp.errors import RequestFailed
from trimcp.extensions.tasks import lifecycle, wire
from trimcp.extensions.tasks.streams import TaskStream
from trimcp.extensions.tasks.table import Step, busy
from trimcp.extensions.tasks.work import TaskWork
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.stores.task_store import TaskRecord
from trimcp.types.jsonrpc import INTERNAL_ERROR, STORE_UNAVAILABLE

CAPACITY: Final = 1024
"""Messages that may wait. When half of all do, the work is refused further questions."""
LOOK_AGAIN: Final = 5.0
"""Seconds after which a record in a store that others share is read again, in case no message came."""
SAY_AGAIN: Final = 1.0
"""Seconds between two descriptions of the state of a task."""
MOST_TEXT: Final = 1000
"""Characters of such a description."""
MOST_WAIT: Final = 5.0
"""Seconds between two attempts to store the outcome of a task."""


class TaskKeeper(Protocol):
    """The task manager, as running tasks see it."""

    limits: Limits
    is_shared: bool

    async def change(self, record: TaskRecord, step: Step) -> TaskRecord | None:
        """Take a step of the life of a task, and tell all that watch it. See `TaskTable.change`."""
        ...

    async def look(self, id: str) -> TaskRecord | None:
        """Return the newest record of a task."""
        ...

    def task_ended(self, task: RunningTask) -> None:
        """Forget a task that does not run here any more. Never waits."""
        ...


@attrs.frozen(eq=False)
class _Asked:
    """The work asks the client."""

    requests: Mapping[str, Any]
    reply: Reply[Mapping[str, Any]]


@attrs.frozen
class _Withdrawn:
    """The part of the work that asked does not wait any more."""

    asked: _Asked


@attrs.frozen(eq=False)
class _Kept:
    """A step of the work has a result."""

    key: str
    value: Any
    reply: Reply[None]


@attrs.frozen
class _Changed:
    """The record has changed, or a text waits to be stored: `record` and `_text` have the newest."""


@attrs.frozen
class _Ended:
    """The work has ended."""


_Message = _Asked | _Withdrawn | _Kept | _Changed | _Ended


class RunningTask(Actor[_Message]):
    """Runs one task on this node, until it has ended or another node owns it."""

    name = "task"

    def __init__(self, owner: Owner, keeper: TaskKeeper, record: TaskRecord, work: TaskWork) -> None:
        super().__init__(owner, Mailbox(CAPACITY))
        self.id: str = record.id
        self.work: TaskWork = work
        self.record: TaskRecord = record
        """The newest record that is known here."""
        self._incarnation = record.incarnation
        self._is_told = False
        self.stops: bool = False
        """Whether the node gives the task up, so that its record is left to another one."""
        self._keeper = keeper
        self._keep = record.ttl
        self._asked: list[_Asked] = []
        self._text: str | None = None
        self._say_at = math.inf
        self._look_at = math.inf

    # --- functions in front of the messages -------------------------------------------

    async def ask(self, requests: Mapping[str, dict[str, Any]]) -> Mapping[str, Any]:
        """Put questions into the record, and wait for their answers.

        Raises:
            RequestFailed: the task has ended, or too many of its questions wait.
        """
        if self.mailbox.is_over:
            raise busy("too many questions of the task wait")
        asked = _Asked(requests, Reply())
        self.tell(asked)
        try:
            return await asked.reply.wait()
        except trio.Cancelled:
            self.tell(_Withdrawn(asked))
            raise

    async def keep(self, key: str, value: Any) -> None:
        """Keep the result of a step in the record, if the task may run again.

        Raises:
            RequestFailed: the record has no room, or the task has ended here.
        """
        if self.record.on_lost != "rerun":
            await trio.lowlevel.checkpoint()
            return
        if self.mailbox.is_over:
            raise busy("too many steps of the task wait to be stored")
        kept = _Kept(key, value, Reply())
        self.tell(kept)
        await kept.reply.wait()

    def changed(self, record: TaskRecord) -> None:
        """Take a record that was changed here or elsewhere."""
        if record.version > self.record.version:
            self.record = record
            self._tell_changed()

    def _tell_changed(self) -> None:
        if not self._is_told:
            self._is_told = True
            self.tell(_Changed())

    def work_ended(self) -> None:
        """See `WorkOwner`."""
        self.tell(_Ended())

    def say(self, text: str) -> None:
        """Describe the state of the task, at the pace of the store; the newest counts."""
        if self._say_at == math.inf:
            self._say_at = trio.current_time() + SAY_AGAIN
            self._tell_changed()  # so that it waits no longer than that
        # As text that every store and every client can take.
        self._text = text[:MOST_TEXT].encode(errors="replace").decode()

    def wake(self) -> None:
        """Begin to watch the work."""
        self._tell_changed()

    @property
    def stream(self) -> TaskStream | None:
        """Where the messages of the work go, if it runs for a session."""
        stream = self.work.reply_stream
        return stream if isinstance(stream, TaskStream) else None

    def give_up(self) -> None:
        """Cancel the work, and leave the record to another node."""
        self.stops = True
        self.work.cancel(CancelReason.SHUTDOWN)

    # --- the actor --------------------------------------------------------------------

    async def run(self) -> None:
        """Handle messages until the work has ended, and store its outcome."""
        try:
            await self._watch()
            await self._settle()
        finally:
            for asked in self._asked:
                asked.reply.fail(_over())
            self._keeper.task_ended(self)

    async def _watch(self) -> None:
        while True:
            message: _Message | None = None
            with trio.move_on_at(self._next_time()):
                message = await self.mailbox.receive()
            if type(message) is _Ended:
                return
            self._is_told = self._is_told and type(message) is not _Changed
            if type(message) is _Asked:
                await self._ask(message)
            elif type(message) is _Withdrawn:
                await self._withdraw(message.asked)
            elif type(message) is _Kept:
                await self._keep_result(message)
            self._look(self.record)
            await self._on_time()

    def handle(self, message: _Message) -> None:
        """Handle a message that comes when the task has ended. See `Actor`."""
        if type(message) is _Asked or type(message) is _Kept:
            message.reply.fail(_over())

    def _next_time(self) -> float:
        if self.stops:  # only the end of the work is waited for
            return math.inf
        if self._keeper.is_shared and self._look_at == math.inf:
            self._look_at = trio.current_time() + LOOK_AGAIN
        return min(self._say_at, self._look_at, self._extend_at())

    def _extend_at(self) -> float:
        """When the time to live must be extended: half of it is left then."""
        if self._keep is None or self.record.expires_at is None or self.record.is_final:
            return math.inf
        return trio.current_time() + self.record.expires_at - self._keep / 2 - lifecycle.now()

    async def _on_time(self) -> None:
        now = trio.current_time()
        if now >= self._look_at:
            self._look_at = math.inf
            await self._try(self._read)
        if now >= self._say_at:
            text, self._text, self._say_at = self._text, None, math.inf
            await self._change(lambda record: lifecycle.described(record, text))
        if self._keep is not None and self._extend_at() <= trio.current_time():
            keep = self._keep
            if not await self._change(lambda record: lifecycle.extended(record, keep, lifecycle.now())):
                await trio.sleep(SAY_AGAIN)  # the store is down: not in a hurry

    async def _read(self) -> None:
        self._look(await self._keeper.look(self.id))

    async def _try(self, function: Any) -> None:
        try:
            await function()
        except RequestFailed:
            return  # it was logged, and the next time comes

    async def _change(self, step: Step) -> bool:
        """Take a step as the owner of the task. Returns False where the store failed, so that it is tried again."""
        if self.stops:
            return True
        try:
            self._look(await self._keeper.change(self.record, self._own(step)))
        except RequestFailed:
            return False
        return True

    async def _stored(self, step: Step) -> TaskRecord | None:
        """Take a step that the work waits for, however long the store does not answer.

        Raises:
            RequestFailed: the step cannot be taken, or the work has ended or is given up before the store answers.
        """
        failures = 0
        while True:
            try:
                return await self._keeper.change(self.record, self._own(step))
            except RequestFailed as exc:
                if exc.code != STORE_UNAVAILABLE or self.stops or self.work.has_ended:
                    raise
            failures += 1
            await trio.sleep(doubled_pause(failures, longest=MOST_WAIT))

    def _own(self, step: Step) -> Step:
        """Take a step only while this node owns the task."""
        return lambda record: step(record) if record.incarnation == self._incarnation else None

    def _look(self, record: TaskRecord | None) -> None:
        """Act on the newest record."""
        if record is None or record.incarnation != self._incarnation:
            self.give_up()
            return
        self.record = record
        if record.is_final:
            self.work.cancel(CancelReason.CANCELLED)
            return
        if not self._asked:
            return
        answers = lifecycle.answers_of(record)
        for asked in tuple(self._asked):
            if asked.requests.keys() <= answers.keys():
                self._asked.remove(asked)
                asked.reply.set(answers)

    # --- questions --------------------------------------------------------------------

    async def _ask(self, asked: _Asked) -> None:
        self._asked.append(asked)
        try:
            record = await self._stored(lambda record: lifecycle.asked(record, asked.requests, lifecycle.now()))
        except RequestFailed as exc:
            if asked in self._asked:
                self._asked.remove(asked)
            asked.reply.fail(exc)
        else:
            self._look(record)

    async def _withdraw(self, withdrawn: _Asked) -> None:
        if withdrawn not in self._asked:
            return
        self._asked.remove(withdrawn)
        waited_for = {key for asked in self._asked for key in asked.requests}
        keys = withdrawn.requests.keys() - waited_for
        with suppress(RequestFailed):  # the work is over: its questions go with it
            self._look(await self._stored(lambda record: lifecycle.forgotten(record, keys, lifecycle.now())))

    async def _keep_result(self, kept: _Kept) -> None:
        most = self._keeper.limits.task_bytes

        def keep(record: TaskRecord) -> TaskRecord | None:
            changed = lifecycle.kept(record, kept.key, kept.value)
            if changed is not None and len(changed.kept or b"") > most:
                raise RequestFailed(INTERNAL_ERROR, f"The steps of a task may keep {most} bytes: set Limits.task_bytes")
            return changed

        try:
            record = await self._stored(keep)
        except RequestFailed as exc:
            kept.reply.fail(exc)
            return
        # Reply first: the work of a task that is not this node's any more is cancelled, and so is its wait.
        if record is None or record.incarnation != self._incarnation or record.is_final:
            kept.reply.fail(_over())
        else:
            kept.reply.set(None)
        self._look(record)

    # --- the end ----------------------------------------------------------------------

    async def _settle(self) -> None:
        """Store the outcome, however long the store does not answer, unless the node gives the task up."""
        if self.stops or self.record.is_final:
            return
        outcome = self._outcome()
        failures = 0

        def end(record: TaskRecord) -> TaskRecord | None:
            return lifecycle.ended(record, outcome.status, outcome.stored, outcome.message, lifecycle.now())

        while not await self._change(end):
            failures += 1
            await trio.sleep(doubled_pause(failures, longest=MOST_WAIT))

    def _outcome(self) -> wire.Outcome:
        work, most = self.work, self._keeper.limits.task_bytes
        try:
            outcome = self._outcome_of_work()
        except Exception as exc:  # noqa: BLE001 - an object of the tool's cannot be sent: it fails its task alone
            log.error(events.HANDLER_FAILED, exc_info=exc, method=work.method, request=work.serial)
            outcome = wire.failed(RequestFailed(INTERNAL_ERROR, "Internal error"))
        size = len(outcome.stored or b"")
        if size > most:
            log.error(events.HANDLER_FAILED, method=work.method, request=work.serial, bytes=size, most=most)
            return wire.failed(
                RequestFailed(INTERNAL_ERROR, f"The result has {size} bytes, and a task keeps at most {most}")
            )
        return outcome

    def _outcome_of_work(self) -> wire.Outcome:
        work = self.work
        try:
            return wire.completed(work.route.encode(work.outcome), errors_fail=work.revision.server_asks)
        except RequestFailed as exc:
            return wire.failed(RequestFailed(work.revision.sendable(exc.code), exc.message, exc.data))


def _over() -> RequestFailed:
    return RequestFailed(INTERNAL_ERROR, "The task has ended, or another node runs it")
