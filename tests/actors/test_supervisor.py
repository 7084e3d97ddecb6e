"""A supervisor starts its actors, ends them, and handles what they were told."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.notebook import Notebook, where
from tests.actors.pieces import HANDED_BACK, Piece, quick
from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.snapshots import ActorSnapshot, MailboxStatistics, PoolSnapshot, SupervisorSnapshot
from trimcp.actors.supervisor import Supervisor, open_supervisor

IN_TURN = pytest.mark.parametrize("in_turn", [False, True])


class Walker(Actor[str]):
    """Has a `run` of its own, which waits while it is at work on a message."""

    name = "walker"

    def __init__(self, owner: Owner, *, walks: int = 100) -> None:
        super().__init__(owner, Mailbox(100))
        self.notes: list[str] = []
        self._walks = walks

    def handle(self, message: str) -> None:
        self.notes.append(f"at the end: {message}")

    async def run(self) -> None:
        for _ in range(self._walks):
            message = await self.mailbox.receive()
            try:
                await trio.sleep(1)
                self.notes.append(message)
            except trio.Cancelled:
                self.notes.append(f"cancelled: {message}")
                raise


# --- the end --------------------------------------------------------------------------


async def test_the_end_of_the_block_ends_all_tasks_and_handles_what_waits(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        one, other = supervisor.add(Notebook(supervisor)), supervisor.add(Notebook(supervisor))
        supervisor.nursery.start_soon(trio.sleep_forever)
        one.tell("a")
        await wait_all_tasks_blocked()
        one.tell("b")
        one.tell("c")
        other.tell("d")
    assert (one.notes, other.notes) == (["a", "b", "c"], ["d"])
    assert {actor.state for actor in supervisor.snapshot().actors} == {"ended"}
    assert supervisor.snapshot().tasks == ()


async def test_actors_end_in_the_order_that_is_asked_for_and_then_in_that_of_adding(
    autojump_clock: MockClock,
) -> None:
    notes: list[str] = []
    async with open_supervisor("session") as supervisor:
        actors = [supervisor.add(Notebook(supervisor, notes=notes)) for _ in range(5)]
        for number, actor in enumerate(actors):
            actor.tell(f"{number}a")
            actor.tell(f"{number}b")
        supervisor.stop(actors[3], actors[1])
        assert notes == ["3a", "3b", "1a", "1b", "0a", "0b", "2a", "2b", "4a", "4b"]
        supervisor.stop()
    assert len(notes) == 10


async def test_messages_told_to_a_supervisor_that_ends_are_handled(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        awake = supervisor.add(Notebook(supervisor))
        asleep = supervisor.add(Notebook(supervisor))
        awake.tell("a")
        await wait_all_tasks_blocked()
        supervisor.stop()
        for actor in (awake, asleep):
            actor.tell("late")
            assert actor.notes[-1] == "late"  # in the turn of the sender
    for actor in (awake, asleep):
        actor.tell("after the end")
    assert awake.notes == ["a", "late", "after the end"]
    assert asleep.notes == ["late", "after the end"]


async def test_an_actor_that_is_made_at_the_end_handles_messages_in_turn(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        supervisor.stop()
        actor = supervisor.add(Notebook(supervisor))
        actor.tell("a")
        assert actor.notes == ["a"]
        assert actor.snapshot().state == "ended"


async def test_a_message_that_was_handed_over_comes_before_the_others_at_the_end(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
        actor.tell("a")
        await wait_all_tasks_blocked()
        actor.tell("handed")  # its task is on its way with this one
        actor.tell("left")
        supervisor.stop()
        assert actor.notes == ["a", "handed", "left"]
        actor.tell("late")
    assert actor.notes == ["a", "handed", "left", "late"]
    assert actor.snapshot().state == "ended"


async def test_an_actor_may_stop_its_supervisor(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:

        def on(message: str) -> None:
            if message == "stop":
                supervisor.stop(actor)
                actor.tell("told by itself")

        actor = supervisor.add(Notebook(supervisor, on=on))
        other = supervisor.add(Notebook(supervisor, on=lambda m: actor.tell(f"from the other: {m}")))
        for message in ("a", "stop", "b"):
            actor.tell(message)
        other.tell("x")
        await trio.sleep_forever()
    assert actor.notes[:3] == ["a", "stop", "b"]
    assert sorted(actor.notes[3:]) == ["from the other: x", "told by itself"]
    assert other.notes == ["x"]


async def test_an_actor_that_waits_is_cancelled_and_what_is_left_is_handled(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        walker = supervisor.add(Walker(supervisor))
        for message in "abc":
            walker.tell(message)
        await trio.sleep(1.5)
    assert walker.notes == ["a", "at the end: c", "cancelled: b"]


async def test_an_actor_whose_run_returns_has_ended(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        walker = supervisor.add(Walker(supervisor, walks=1))
        walker.tell("a")
        walker.tell("b")
        await trio.sleep(2)
        assert walker.snapshot().state == "ended"
        walker.tell("c")
        assert walker.notes == ["a", "at the end: b", "at the end: c"]


async def test_an_actor_that_is_done_when_its_mailbox_closes(autojump_clock: MockClock) -> None:
    class Reader(Walker):
        async def run(self) -> None:
            try:
                await super().run()
            except trio.EndOfChannel:
                self.notes.append("no more")

    async with open_supervisor("session") as supervisor:
        reader = supervisor.add(Reader(supervisor))
        reader.tell("a")
        reader.mailbox.close()
        await trio.sleep(5)
        assert reader.notes == ["a", "no more"]


async def test_cancelled_from_outside_a_supervisor_handles_what_its_actors_were_told(
    autojump_clock: MockClock,
) -> None:
    notes: list[str] = []
    with trio.move_on_after(5) as outer:
        async with open_supervisor("session") as supervisor:
            first = supervisor.add(Notebook(supervisor, notes=notes))
            second = supervisor.add(Notebook(supervisor, notes=notes))
            first.tell("a")
            await wait_all_tasks_blocked()
            first.tell("b")
            outer.cancel()
            first.tell("c")
            second.tell("d")  # the first one of this actor: its task starts cancelled
            await trio.sleep_forever()
    assert outer.cancelled_caught
    assert sorted(notes) == ["a", "b", "c", "d"]
    assert notes.index("b") < notes.index("c")


async def test_cancelled_from_outside_actors_work_on_while_the_block_cleans_up(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as outer:
        async with open_supervisor("session") as supervisor:
            actor = supervisor.add(Notebook(supervisor))
            asleep = supervisor.add(Notebook(supervisor))
            actor.tell("a")
            await wait_all_tasks_blocked()
            outer.cancel()
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                actor.tell("while it cleans up")
                assert actor.notes == ["a", "while it cleans up"]
                asleep.tell("too")
                await trio.sleep(1)
                assert asleep.notes == ["too"]


async def test_an_exception_of_the_block_ends_the_supervisor(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(KeyError):
        async with open_supervisor("session") as supervisor:
            actor = supervisor.add(Notebook(supervisor))
            actor.tell("a")
            raise KeyError
    assert actor.notes == ["a"]


# --- failures -------------------------------------------------------------------------


@IN_TURN
async def test_an_actor_that_fails_ends_its_supervisor_and_all_that_was_told_is_handled(
    in_turn: bool, autojump_clock: MockClock
) -> None:
    with pytest.RaisesGroup(ValueError):
        async with open_supervisor("session") as supervisor:
            failing = supervisor.add(Notebook(supervisor, in_turn=in_turn))
            sibling = supervisor.add(Notebook(supervisor))
            sibling.tell("a")
            for message in ("b", "fail", "c"):
                failing.tell(message)  # the sender does not see the failure
            await trio.sleep_forever()
    assert failing.notes == ["b", "fail", "c"]
    assert sibling.notes == ["a"]


async def test_a_failure_in_turn_leaves_what_was_told_meanwhile(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError, ValueError):
        async with open_supervisor("session") as supervisor:

            def on(message: str) -> None:
                if message == "a":
                    for following in ("fail", "b", "fail", "c"):
                        actor.tell(following)

            actor = supervisor.add(Notebook(supervisor, in_turn=True, on=on))
            actor.tell("a")
    assert actor.notes == ["a", "fail", "b", "fail", "c"]


async def test_a_failure_while_the_supervisor_ends_is_visible(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError):
        async with open_supervisor("session") as supervisor:
            failing = supervisor.add(Notebook(supervisor))
            sibling = supervisor.add(Notebook(supervisor))
            for message in ("fail", "a"):
                failing.tell(message)
            sibling.tell("b")
    assert failing.notes == ["fail", "a"]
    assert sibling.notes == ["b"]


async def test_a_failure_after_the_end_is_the_senders(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        actor = supervisor.add(Notebook(supervisor))
    with pytest.raises(ValueError, match="fail"):
        actor.tell("fail")
    actor.tell("a")
    assert actor.notes == ["fail", "a"]


async def test_two_failures_are_both_told(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError, KeyError):
        async with open_supervisor("session") as supervisor:
            actor = supervisor.add(Notebook(supervisor))
            actor.tell("fail")
            supervisor.fail(KeyError())
            await trio.sleep_forever()


# --- a nursery that has closed, and snapshots -----------------------------------------


async def test_where_the_nursery_has_closed_a_message_is_handled_in_turn(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor("session")
        supervisor.opened(nursery)
        actor = supervisor.add(Notebook(supervisor))
    actor.tell("a")
    actor.tell("b")
    assert actor.notes == ["a", "b"]
    with pytest.raises(KeyError):
        supervisor.fail(KeyError())


async def test_a_supervisor_opens_its_nursery_with_the_first_message(autojump_clock: MockClock) -> None:
    opened: list[str] = []

    async def run() -> None:
        async with open_supervisor("session", supervisor):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:

        def open_soon() -> None:
            opened.append("session")
            nursery.start_soon(run)

        supervisor = Supervisor("session", open_soon)
        actor = supervisor.add(Notebook(supervisor))
        await wait_all_tasks_blocked()
        assert (opened, supervisor.is_open, supervisor.snapshot().tasks) == ([], False, ())
        actor.tell("a")
        actor.tell("b")
        supervisor.begin()
        assert (actor.notes, opened) == ([], ["session"])
        await wait_all_tasks_blocked()
        assert (actor.notes, opened) == (["a", "b"], ["session"])
        assert supervisor.snapshot().tasks == ("session: notebook",)
        nursery.cancel_scope.cancel()


async def test_a_failure_before_the_nursery_is_open_ends_the_supervisor(autojump_clock: MockClock) -> None:
    async def run() -> None:
        async with open_supervisor("session", supervisor):
            await trio.sleep_forever()

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor("session", lambda: nursery.start_soon(run))
            supervisor.add(Notebook(supervisor, in_turn=True)).tell("fail")


async def test_where_the_nursery_cannot_be_opened_a_message_is_handled_in_turn() -> None:
    def open_soon() -> None:
        raise RuntimeError("Nursery is closed to new arrivals")

    supervisor = Supervisor("session", open_soon)
    actor = supervisor.add(Notebook(supervisor))
    actor.tell("a")
    assert actor.notes == ["a"]


async def test_a_pool_that_is_opened_at_the_end_is_closed(autojump_clock: MockClock) -> None:
    async with open_supervisor("session") as supervisor:
        supervisor.stop()
        pool = supervisor.open_pool("late", 1)
        piece = quick()
        pool.post(piece)
        assert piece.told == HANDED_BACK


async def test_a_pool_runs_work_in_the_context_of_the_supervisor(autojump_clock: MockClock) -> None:
    async def body(piece: Piece) -> str:
        return where.get()

    where.set("supervisor")
    async with open_supervisor("session") as supervisor:
        where.set("actor")
        piece = Piece(body)
        supervisor.open_pool("tools", 1).post(piece)
        await wait_all_tasks_blocked()
        assert piece.result == "supervisor"


async def test_a_snapshot_tells_of_actors_pools_and_tasks(autojump_clock: MockClock) -> None:
    async with open_supervisor("session 7") as supervisor:
        awake = supervisor.add(Notebook(supervisor))
        supervisor.add(Notebook(supervisor))
        supervisor.add(Notebook(supervisor, in_turn=True))
        pool = supervisor.open_pool("tools", 10)
        supervisor.nursery.start_soon(trio.sleep_forever, name="a task")
        awake.tell("a")
        await wait_all_tasks_blocked()
        awake.tell("b")
        empty = MailboxStatistics(100, 0, 0, 0, 0, 0, 0, 0)
        assert supervisor.snapshot() == SupervisorSnapshot(
            "session 7",
            (
                ActorSnapshot("notebook", "running", MailboxStatistics(100, 1, 0, 2, 1, 0, 0, 0)),
                ActorSnapshot("notebook", "idle", empty),
                ActorSnapshot("notebook", "in turn", empty),
            ),
            (PoolSnapshot("session 7: tools", waiting=0, workers=0, idle=0, parked=0, done=0),),
            ("a task", "session 7: notebook"),
        )
        assert pool.snapshot() == supervisor.snapshot().pools[0]
