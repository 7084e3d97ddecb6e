"""Measures the actor kernel: messages, wakes, tasks, scopes, and pieces of work on a pool.

    python -m benchmarks.actors [--rounds 15] [--json]

The variants of a group run in turns, in one process. A figure is the median of the rounds, in
microseconds of processor time; a ratio is the median of the ratios of each round to the first variant of the group.
"""

from __future__ import annotations

import argparse
import contextvars
import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import trio
import trio.testing

from benchmarks.report import machine, machine_line, progress, ratio, table
from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.actors.worker_pool import WorkerPool

TOGETHER: Final = 32
"""Messages at one wake, and requests in flight, where there are several."""
IDLE: Final = 200
"""Supervisors, for the average memory of one."""

Measured = Callable[[int], Awaitable[None]]
"""Does this number of operations."""


# --- a message, without a wake --------------------------------------------------------


async def channel_message(count: int) -> None:
    """`send_nowait` and `receive_nowait` on a channel."""
    send, receive = trio.open_memory_channel[int](TOGETHER)
    for _ in range(count // TOGETHER):
        for number in range(TOGETHER):
            send.send_nowait(number)
        for _ in range(TOGETHER):
            receive.receive_nowait()


async def _message(mailbox: Mailbox[int], count: int) -> None:
    for _ in range(count // TOGETHER):
        for number in range(TOGETHER):
            mailbox.tell(number)
        while mailbox.waiting:
            mailbox.receive_nowait()


async def mailbox_message(count: int) -> None:
    """`tell` and `receive_nowait` on a mailbox."""
    await _message(Mailbox(TOGETHER), count)


async def keyed_message(count: int) -> None:
    """The same, with a key that no other message has."""
    await _message(Mailbox(TOGETHER, Overflow.REPLACE, key=lambda message: message), count)


async def dropping_message(count: int) -> None:
    """The same, on a full mailbox that drops its oldest."""
    mailbox = Mailbox[int](TOGETHER, Overflow.DROP_OLDEST)
    for number in range(count):
        mailbox.tell(number)


# --- a wake ---------------------------------------------------------------------------


async def channel_wake(count: int) -> None:
    """Two tasks wake each other in turn, through channels."""
    there, back = trio.open_memory_channel[int](1), trio.open_memory_channel[int](1)
    await _ping_pong(there[0].send_nowait, there[1].receive, back[0].send_nowait, back[1].receive, count)


async def mailbox_wake(count: int) -> None:
    """The same with mailboxes."""
    there, back = Mailbox[int](1), Mailbox[int](1)
    await _ping_pong(there.tell, there.receive, back.tell, back.receive, count)


async def _ping_pong(
    tell_there: Callable[[int], None],
    receive_there: Callable[[], Awaitable[Any]],
    tell_back: Callable[[int], None],
    receive_back: Callable[[], Awaitable[Any]],
    count: int,
) -> None:
    async def other() -> None:
        for number in range(count // 2):
            await receive_there()
            tell_back(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for number in range(count // 2):
            tell_there(number)
            await receive_back()


async def reply_wake(count: int) -> None:
    """A `Reply` wakes the task that waits for it, which starts the task that sets the next one."""
    replies = [Reply[int]() for _ in range(count + 1)]

    async def answer(first: int) -> None:
        for number in range(first, count, 2):
            await replies[number].wait()
            replies[number + 1].set(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, 0)
        nursery.start_soon(answer, 1)
        replies[0].set(0)


async def one_pass(count: int) -> None:
    """A checkpoint of the only task: one pass of the scheduler."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


# --- an actor -------------------------------------------------------------------------


class Counter(Actor[int]):
    """Counts its messages."""

    name = "counter"

    def __init__(self, owner: Owner, *, in_turn: bool = False) -> None:
        super().__init__(owner, Mailbox(2 * TOGETHER), in_turn=in_turn)
        self.count = 0

    def handle(self, message: int) -> None:
        """See `Actor`."""
        self.count += 1


def told(together: int, *, in_turn: bool = False) -> Measured:
    """Messages to an actor, `together` for each wake."""

    async def measured(count: int) -> None:
        async with open_supervisor("benchmark") as supervisor:
            actor = supervisor.add(Counter(supervisor, in_turn=in_turn))
            actor.tell(0)
            await trio.testing.wait_all_tasks_blocked()
            tell = actor.tell
            for _ in range(count // together):
                for number in range(together):
                    tell(number)
                if not in_turn:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()

    return measured


async def first_message(count: int) -> None:
    """The first message to an actor, which starts its task, and the end of the task."""
    for _ in range(count // TOGETHER):
        async with open_supervisor("benchmark") as supervisor:
            for _ in range(TOGETHER):
                supervisor.add(Counter(supervisor)).tell(0)


# --- tasks and scopes -----------------------------------------------------------------


async def task(count: int) -> None:
    """A task that is started and ends, `TOGETHER` at a time."""

    async def nothing() -> None:
        pass

    async with trio.open_nursery() as nursery:
        for _ in range(count // TOGETHER):
            for _ in range(TOGETHER):
                nursery.start_soon(nothing)
            await trio.lowlevel.checkpoint()


async def scope(count: int) -> None:
    """A cancel scope that is entered and left."""
    for _ in range(count):
        with trio.CancelScope():  # noqa: ASYNC100
            pass


async def scope_with_deadline(count: int) -> None:
    """The same, with a deadline."""
    for _ in range(count):
        with trio.move_on_after(60):  # noqa: ASYNC100
            pass


async def nursery(count: int) -> None:
    """A nursery that is opened and closed."""
    for _ in range(count):
        async with trio.open_nursery():
            pass


async def status(count: int) -> None:
    """Checks that the cancel scopes of the task are unchanged."""
    current = trio.lowlevel.current_task()
    before = current._cancel_status
    for _ in range(count):
        if current._cancel_status is not before or current.child_nurseries:
            raise AssertionError


async def context(count: int) -> None:
    """Checks that the context is unchanged."""
    before = contextvars.copy_context()
    for _ in range(count):
        if contextvars.copy_context() != before:
            raise AssertionError


# --- a piece of work ------------------------------------------------------------------

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


class Piece:
    """A piece of work. The last of a batch wakes the task that waits for the batch."""

    __slots__ = ("_changes", "_left", "_uses_up", "_waits", "scope")

    def __init__(self, left: Callable[[], None], *, waits: bool, uses_up: bool, changes: bool) -> None:
        self.scope: trio.CancelScope | None = None
        self._left = left
        self._waits = waits
        self._uses_up = uses_up
        self._changes = changes

    async def run(self) -> None:
        """See `Work`."""
        if self._changes:
            variable.set(variable.get() + 1)
        if self._waits:
            await trio.lowlevel.checkpoint()

    def failed(self, error: BaseException) -> None:
        """See `Work`."""

    def finished(self) -> bool:
        """See `Work`."""
        return self._uses_up

    def left(self) -> None:
        """See `Work`."""
        self._left()

    def handed_back(self) -> None:
        """See `Work`."""


Poster = Callable[[Piece], None]


def worked(
    together: int, kind: str = "pool", *, waits: bool = False, uses_up: bool = False, changes: bool = False
) -> Measured:
    """Pieces of work, posted in batches; a batch is posted when the last is done."""

    async def measured(count: int) -> None:
        async with open_supervisor("benchmark") as supervisor:
            post = POSTERS[kind](supervisor)
            done = Reply[None]()
            missing = 0

            def left() -> None:
                nonlocal missing
                missing -= 1
                if not missing:
                    done.set(None)

            for _ in range(count // together):
                done, missing = Reply[None](), together
                for _ in range(together):
                    post(Piece(left, waits=waits, uses_up=uses_up, changes=changes))
                await done.wait()

    return measured


def pool_of(supervisor: Supervisor) -> Poster:
    """The pool of the kernel."""
    return supervisor.open_pool("pool", 2 * TOGETHER).post


def tasks_of(supervisor: Supervisor) -> Poster:
    """A task and a scope for each piece, as it is usually written."""

    async def work(piece: Piece) -> None:
        with trio.CancelScope() as piece.scope:
            await piece.run()
        piece.finished()
        piece.left()

    def post(piece: Piece) -> None:
        supervisor.nursery.start_soon(work, piece)

    return post


POSTERS: dict[str, Callable[[Supervisor], Poster]] = {"pool": pool_of, "tasks": tasks_of}

GROUPS: dict[str, dict[str, Measured]] = {
    "a message that wakes no task": {
        "channel: send_nowait, receive_nowait": channel_message,
        "mailbox: tell, receive_nowait": mailbox_message,
        "mailbox with keys": keyed_message,
        "mailbox that drops its oldest": dropping_message,
    },
    "a wake": {
        "channel": channel_wake,
        "mailbox": mailbox_wake,
        "Reply": reply_wake,
        "checkpoint: a pass of the scheduler": one_pass,
    },
    "a message to an actor, 1 a wake": {
        "mailbox": told(1),
        "in turn": told(1, in_turn=True),
        "the first one: the actor is made, started, told, ended": first_message,
    },
    f"a message to an actor, {TOGETHER} a wake": {
        "mailbox": told(TOGETHER),
        "in turn": told(TOGETHER, in_turn=True),
    },
    "tasks and scopes": {
        "task": task,
        "cancel scope": scope,
        "cancel scope with a deadline": scope_with_deadline,
        "nursery": nursery,
        "scopes still the same?": status,
        "context still the same?": context,
    },
    "a piece of work, 1 at a time": {
        "pool": worked(1),
        "pool, scope used up": worked(1, uses_up=True),
        "pool, context changed": worked(1, changes=True),
        "task and scope for each": worked(1, "tasks"),
    },
    f"a piece of work, {TOGETHER} at a time": {
        "pool": worked(TOGETHER),
        "pool, scope used up": worked(TOGETHER, uses_up=True),
        "pool, context changed": worked(TOGETHER, changes=True),
        "task and scope for each": worked(TOGETHER, "tasks"),
    },
    f"a piece of work that waits, {TOGETHER} at a time": {
        "pool": worked(TOGETHER, waits=True),
        "pool, scope used up": worked(TOGETHER, waits=True, uses_up=True),
        "task and scope for each": worked(TOGETHER, "tasks", waits=True),
    },
}
OPERATIONS: Final = 6400
"""In one round."""


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of each variant of each group, in each round."""
    found: dict[str, dict[str, list[float]]] = {group: {name: [] for name in GROUPS[group]} for group in GROUPS}
    for number in range(rounds + 1):
        progress(f"round {number}")
        for group, variants in GROUPS.items():
            for name, variant in variants.items():
                cost = trio.run(_timed, variant)
                if number:  # the first one warms up
                    found[group][name].append(cost)
    progress("")
    return found


async def _timed(variant: Measured) -> float:
    gc.collect()
    began = time.thread_time()
    await variant(OPERATIONS)
    return (time.thread_time() - began) / OPERATIONS * 1e6


# --- memory ---------------------------------------------------------------------------


async def kibibytes(started: int, pools: int) -> float:
    """KiB of a supervisor with four actors, some with a message, and with pools that have worked."""

    async def hold(*, task_status: trio.TaskStatus[None]) -> None:
        async with open_supervisor("benchmark") as supervisor:
            actors = [supervisor.add(Counter(supervisor)) for _ in range(4)]
            for actor in actors[:started]:
                actor.tell(0)
            for _ in range(pools):
                pool: WorkerPool = supervisor.open_pool("pool", TOGETHER)
                pool.post(Piece(lambda: None, waits=False, uses_up=False, changes=False))
            task_status.started()
            await trio.sleep_forever()

    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        stack.callback(nursery.cancel_scope.cancel)
        await nursery.start(hold)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(IDLE):
                await nursery.start(hold)
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            size = (tracemalloc.get_traced_memory()[0] - before) / IDLE / 1024
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
    return size


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.actors", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    before = machine_line()
    found = measure(options.rounds)
    sizes = {
        "a supervisor in a task, four actors without messages": trio.run(kibibytes, 0, 0),
        "the same, each actor with a message": trio.run(kibibytes, 4, 0),
        "the same, without messages, with a pool that has worked": trio.run(kibibytes, 0, 1),
    }
    if options.json:
        print(json.dumps({"machine": machine(), "microseconds": found, "kibibytes": sizes}, indent=1))
        return
    print(f"{before}; median of {options.rounds} rounds\n")
    for group, variants in found.items():
        first = next(iter(variants.values()))
        rows = [
            [name, f"{statistics.median(costs):.2f}", f"{ratio(costs, first):.2f}"] for name, costs in variants.items()
        ]
        print(table((group, "µs", "×"), rows) + "\n")
    print(table(("memory", "KiB"), [[name, f"{size:.1f}"] for name, size in sizes.items()]))


if __name__ == "__main__":
    main()
