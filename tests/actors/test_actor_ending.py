"""An actor that ends: by its supervisor, with a message in the hand of its task; and by itself."""

from __future__ import annotations

from trio.testing import wait_all_tasks_blocked

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox
from trimcp.actors.supervisor import Supervisor, open_supervisor


class Notes(Actor[int]):
    """Takes down numbers; ends by itself at 0."""

    name = "notes"

    def __init__(self, owner: Supervisor) -> None:
        super().__init__(owner, Mailbox(10))
        self.taken: list[int] = []

    def handle(self, message: int) -> None:
        self.taken.append(message)

    async def run(self) -> None:
        while 0 not in self.taken:
            self.handle(await self.mailbox.receive())


async def test_no_message_is_lost_where_the_task_was_handed_one_that_it_has_not_taken() -> None:
    async with open_supervisor("test") as supervisor:
        notes = supervisor.add(Notes(supervisor))
        notes.tell(1)
        await wait_all_tasks_blocked()
        notes.tell(2)  # handed to the task, which waits
        notes.tell(3)
    notes.tell(4)
    assert sorted(notes.taken) == [1, 2, 3, 4]
    assert notes.snapshot().state == "ended"


async def test_an_actor_that_ends_by_itself_leaves_its_supervisor() -> None:
    async with open_supervisor("test") as supervisor:
        for _ in range(3):
            notes = supervisor.add(Notes(supervisor))
            notes.tell(0)
            await wait_all_tasks_blocked()
            assert notes.snapshot().state == "ended"
        last = supervisor.add(Notes(supervisor))
        assert [actor.state for actor in supervisor.snapshot().actors] == ["idle"]
        assert supervisor.snapshot().tasks == ()
    assert len(supervisor.snapshot().actors) == 1
    assert last.snapshot().state == "ended"
