"""An actor handles one message at a time, in the order of telling, and starts with the first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.notebook import Notebook, where
from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.actors.supervisor import Supervisor, open_supervisor

IN_TURN = pytest.mark.parametrize("in_turn", [False, True])


def tasks_of(supervisor: Supervisor) -> tuple[str, ...]:
    """The names of the tasks that a supervisor has now."""
    return supervisor.snapshot().tasks


# --- the start ------------------------------------------------------------------------


async def test_an_actor_gets_its_task_with_its_first_message(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        assert (actor.snapshot().state, tasks_of(supervisor), actor.task) == ("idle", (), None)
        actor.tell("a")
        assert (actor.snapshot().state, tasks_of(supervisor)) == ("running", ("session: notebook",))
        assert actor.notes == []
        actor.tell("b")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b"]
        actor.tell("c")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b", "c"]
        assert tasks_of(supervisor) == ("session: notebook",)
    assert actor.snapshot().state == "ended"


async def test_an_actor_runs_in_the_context_of_its_supervisor(autojump_clock: MockClock) -> None:
    seen: list[str] = []
    where.set("supervisor")
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, on=lambda _: seen.append(where.get())))
        where.set("sender")
        actor.tell("first")
        await wait_all_tasks_blocked()
        actor.tell("second")
        await wait_all_tasks_blocked()
    assert seen == ["supervisor", "supervisor"]


async def test_what_an_actor_changes_in_its_context_stays_there(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        seen: list[str] = []

        def note(message: str) -> None:
            seen.append(where.get())
            where.set(message)

        one = supervisor.add(Notebook(supervisor, on=note))
        other = supervisor.add(Notebook(supervisor, on=note))
        one.tell("one")
        await wait_all_tasks_blocked()
        other.tell("other")
        await wait_all_tasks_blocked()
    assert seen == ["nowhere", "nowhere"]
    assert where.get() == "nowhere"


async def test_a_lazy_start_does_not_take_the_cancel_of_the_sender(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        with trio.CancelScope() as sender:
            sender.cancel()
            actor.tell("a")
            await trio.lowlevel.checkpoint()
        actor.tell("b")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b"]


async def test_one_wake_handles_all_that_has_arrived(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        actor.tell("start")
        await wait_all_tasks_blocked()
        for message in "abcde":
            actor.tell(message)
        for _ in range(2):  # passes of the scheduler, fewer than messages
            await trio.lowlevel.cancel_shielded_checkpoint()
        assert actor.notes == ["start", *"abcde"]


async def test_one_wake_handles_also_what_is_told_meanwhile(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:

        def on(message: str) -> None:
            if len(message) < 10:
                actor.tell(message + "a")

        actor = supervisor.add(Notebook(supervisor, on=on))
        actor.tell("a")
        for _ in range(3):  # passes of the scheduler, fewer than messages
            await trio.lowlevel.cancel_shielded_checkpoint()
        assert len(actor.notes) == 10


# --- telling while a message is handled -----------------------------------------------


@IN_TURN
async def test_a_message_told_while_one_is_handled_is_handled_after_it(
    in_turn: bool, autojump_clock: MockClock
) -> None:
    async with open_supervisor("session") as supervisor:

        def on(message: str) -> None:
            if message == "a":
                actor.tell("b")
                actor.tell("c")
            elif message == "b":
                actor.tell("d")

        actor = supervisor.add(Notebook(supervisor, in_turn=in_turn, on=on))
        actor.tell("a")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b", "c", "d"]


async def test_two_actors_in_turn_may_answer_each_other(autojump_clock: MockClock) -> None:
    notes: list[str] = []
    async with open_supervisor("session") as supervisor:

        def ping(message: str) -> None:
            if len(message) < 4:
                pong.tell(message + "o")

        def back(message: str) -> None:
            ping_actor.tell(message + "i")

        ping_actor = supervisor.add(Notebook(supervisor, in_turn=True, on=ping, notes=notes))
        pong = supervisor.add(Notebook(supervisor, in_turn=True, on=back, notes=notes))
        ping_actor.tell("p")
        assert notes == ["p", "po", "poi", "poio", "poioi"]


async def test_in_turn_there_is_no_task(autojump_clock: MockClock) -> None:
    seen: list[str] = []
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, in_turn=True, on=lambda _: seen.append(where.get())))
        where.set("sender")
        actor.tell("a")
        assert actor.notes == ["a"]
        assert seen == ["sender"]
        assert (actor.snapshot().state, tasks_of(supervisor)) == ("in turn", ())
    assert actor.snapshot().state == "ended"


async def test_a_full_mailbox_is_the_senders_to_know_of(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, capacity=2))
        actor.tell("a")
        actor.tell("b")
        with pytest.raises(MailboxFull):
            actor.tell("c")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b"]
        assert actor.snapshot().mailbox.refused == 1


# --- from another thread --------------------------------------------------------------


async def test_in_the_runs_own_thread_a_message_is_told_at_once(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, in_turn=True))
        actor.tell_from_thread("before")
        actor.accept_threads()
        actor.tell_from_thread("after")
        actor.tell_from_thread("after", coalesce=True)
        assert actor.notes == ["before", "after", "after"]


async def test_from_another_thread_a_message_is_handled_in_the_runs_own() -> None:
    threads: list[int] = []
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, on=lambda _: threads.append(threading.get_ident())))
        actor.accept_threads()
        await trio.to_thread.run_sync(actor.tell_from_thread, "a")
        await wait_all_tasks_blocked()
        await trio.to_thread.run_sync(actor.tell_from_thread, "b")
        await wait_all_tasks_blocked()
        assert actor.notes == ["a", "b"]
    assert threads == [threading.get_ident()] * 2


async def test_equal_messages_from_another_thread_become_one_where_they_may() -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        actor.accept_threads()

        def flood() -> None:
            for _ in range(1000):
                actor.tell_from_thread("tools", coalesce=True)
                actor.tell_from_thread("prompts", coalesce=True)
            actor.tell_from_thread("twice")
            actor.tell_from_thread("twice")

        flooding = threading.Thread(target=flood)
        flooding.start()
        flooding.join()  # without a turn of Trio's in between
        await wait_all_tasks_blocked()
        assert sorted(actor.notes) == ["prompts", "tools", "twice", "twice"]
        await trio.to_thread.run_sync(lambda: actor.tell_from_thread("tools", coalesce=True))
        await wait_all_tasks_blocked()
        assert actor.notes.count("tools") == 2  # the first one has been told: this one is another


async def test_a_flood_from_another_thread_hurts_only_itself() -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor, capacity=10))
        actor.accept_threads()

        def flood() -> None:
            for number in range(50):
                actor.tell_from_thread(f"{number}")

        flooding = threading.Thread(target=flood)
        flooding.start()
        flooding.join()
        await wait_all_tasks_blocked()
        assert actor.notes == [f"{number}" for number in range(10)]
        assert actor.snapshot().mailbox.refused == 40


async def test_an_actor_that_does_not_accept_threads_says_so() -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        with pytest.raises(RuntimeError, match="call `accept_threads`"):
            await trio.to_thread.run_sync(actor.tell_from_thread, "a")
        assert actor.snapshot().state == "idle"


async def test_a_message_from_a_thread_is_handled_after_the_end_of_the_supervisor() -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        actor.accept_threads()
    await trio.to_thread.run_sync(actor.tell_from_thread, "late")
    await wait_all_tasks_blocked()
    assert actor.notes == ["late"]


@pytest.mark.parametrize("coalesce", [False, True])
def test_after_the_run_a_message_from_another_thread_is_dropped(coalesce: bool) -> None:
    async def main() -> Notebook:
        async with open_supervisor("session") as supervisor:
            actor = supervisor.add(Notebook(supervisor))
            actor.accept_threads()
        return actor

    actor = trio.run(main)
    thread = threading.Thread(target=lambda: actor.tell_from_thread("late", coalesce=coalesce))
    thread.start()
    thread.join()
    assert actor.notes == []


# --- at once, where the actor is idle --------------------------------------------------


class Table(Actor[str]):
    """Notes its messages, and handles them by a table."""

    name = "table"

    def __init__(self, owner: Supervisor) -> None:
        super().__init__(owner, Mailbox(16))
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Handle a message; `again` sends one more, and `fail` raises."""
        self.notes.append(message)
        if message == "again":
            self.tell_now("later")
            assert self.notes[-1] == "again"  # one message at a time
        if message == "fail":
            raise ValueError(message)
        if message == "fail later":
            for told in ("fail", "kept"):
                self.tell(told)

    handlers: ClassVar[Mapping[type, Callable[..., None]]] = {str: note}


async def test_a_message_is_handled_at_once_where_its_actor_is_idle(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        table = supervisor.add(Table(supervisor))
        table.tell_now("first")  # it has no task yet
        assert table.notes == []
        await wait_all_tasks_blocked()
        table.tell_now("now")
        assert table.notes == ["first", "now"]
        table.tell("told")
        table.tell_now("behind it")
        assert table.notes == ["first", "now"]
        await wait_all_tasks_blocked()
        assert table.notes == ["first", "now", "told", "behind it"]
        table.tell_now("again")
        assert table.notes[4:] == ["again", "later"]  # a message that is told meanwhile is handled too
        table.tell("again")
        await wait_all_tasks_blocked()
        assert table.notes[4:] == ["again", "later", "again", "later"]
        assert table.mailbox.statistics().told == 8
    table.tell_now("last")
    assert table.notes[-1] == "last"


async def test_messages_behind_a_failure_at_once_are_kept_for_the_end(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError):
        async with open_supervisor("session") as supervisor:
            table = supervisor.add(Table(supervisor))
            table.tell("first")
            await wait_all_tasks_blocked()
            table.tell_now("fail later")
            assert table.has_failed
            assert table.notes == ["first", "fail later", "fail"]
            await trio.sleep(1)
            raise AssertionError("the supervisor goes on")
    assert table.notes == ["first", "fail later", "fail", "kept"]


async def test_a_failure_at_once_is_the_actors_and_not_the_senders(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError):
        async with open_supervisor("session") as supervisor:
            table = supervisor.add(Table(supervisor))
            table.tell("first")
            await wait_all_tasks_blocked()
            table.tell_now("fail")
            assert table.has_failed
            await trio.sleep(1)
            raise AssertionError("the supervisor goes on")
