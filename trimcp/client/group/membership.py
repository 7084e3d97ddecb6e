"""`Membership`, the actor of a group: its members, their status, and the readers of their events.

Programs see a new status of a member in the same turn in which the readers get the events that led to it. So all
readers have the event of a member that is seen to be ready.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.client.group.events import GroupEvent, GroupEvents, MemberClosed, MemberStatus
from trimcp.client.group.member import Member, MemberRecord
from trimcp.errors import UsageError

EACH: Final = 8
"""Messages of one member that may wait: in each turn it handles one message, which leads to three at most, and it may
have a second turn before this actor has its own."""
OTHERS: Final = 4096
"""Messages of the program that may wait: members that join, and readers. Further ones are refused."""


@attrs.frozen
class _Join:
    """A member joins and begins to connect, unless it is refused."""

    record: MemberRecord
    reply: Reply[None]


@attrs.frozen
class _Stands:
    """A member has another status, after these events."""

    server: str
    status: MemberStatus
    happened: tuple[GroupEvent, ...]


@attrs.frozen
class _Left:
    """Nothing of a member is left."""

    server: str


@attrs.frozen
class _Follow:
    """A reader gets the events from here on."""

    reader: GroupEvents


@attrs.frozen
class _Close:
    """All members close, and no other joins."""


_Message = _Join | _Stands | _Left | _Follow | _Close


class Membership(Actor[_Message]):
    """Lets members join and leave, and publishes their status and events."""

    name = "membership"

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """Begin without members.

        Args:
            supervisor: of the group: the actors of the members run in its nursery as well.
            most: members that there may be.
        """
        super().__init__(supervisor, Mailbox(EACH * most + OTHERS))
        self._supervisor = supervisor
        self._most = most
        self._readers: list[GroupEvents] = []
        self._is_closing = False  # `close` was called
        self._is_open = True  # until its message is handled
        self._is_empty = trio.Event()
        self.records: dict[str, MemberRecord] = {}
        """The members by name, in the order in which they joined. For others to read."""
        self.members: dict[str, Member] = {}
        """The same, for programs."""

    # --- in front ---------------------------------------------------------------------

    async def join(self, record: MemberRecord) -> None:
        """Let a member join and begin to connect. Leaving this early does not keep it out.

        Raises:
            UsageError: its name is taken; there are as many members as may be; the group is closed.
        """
        reply: Reply[None] = Reply()
        self._ask(_Join(record, reply))
        await reply.wait()

    def follow(self, reader: GroupEvents) -> None:
        """Give a reader the events from here on, until it is finished."""
        self._ask(_Follow(reader))

    def stands(self, server: str, status: MemberStatus, *happened: GroupEvent) -> None:
        """See `GroupActor`."""
        self.tell(_Stands(server, status, happened))

    def left(self, server: str) -> None:
        """See `GroupActor`."""
        self.tell(_Left(server))

    def close(self) -> None:
        """Close all members, and let no other join."""
        for record in list(self.records.values()):
            record.close()  # members that have joined are closed at once
        if not self._is_closing:
            self._is_closing = True
            self.tell(_Close())

    async def wait_empty(self) -> None:
        """Wait until the group is closed and nothing of its members is left."""
        await self._is_empty.wait()

    def _ask(self, message: _Join | _Follow) -> None:
        try:
            self.tell(message)
        except MailboxFull:
            raise UsageError(
                f"more than {OTHERS} members and readers come at once: wait until some of them have joined"
            ) from None

    # --- the task ---------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Stands(server, status, happened):
                self.records[server].publish(status)
                self._tell_readers(*happened)
            case _Join(record, reply):
                self._let_in(record, reply)
            case _Left(server):
                del self.members[server]
                self.records.pop(server).gone.set()
                self._tell_readers(MemberClosed(server))
                self._finish_if_empty()
            case _Follow(reader):
                self._readers = [each for each in self._readers if not each.is_over]
                self._readers.append(reader)
                self._finish_if_empty()
            case _Close():
                self._is_open = False
                for record in self.records.values():
                    record.close()
                self._finish_if_empty()

    def _let_in(self, record: MemberRecord, reply: Reply[None]) -> None:
        there = self.records.get(record.name)
        if not self._is_open:
            reply.fail(UsageError(f"cannot add the member {record.name!r}: the group is closed"))
        elif there is not None:
            reply.fail(UsageError(f"the member {there.describe()}: names are used once at a time, so choose another"))
        elif len(self.records) >= self._most:
            reply.fail(
                UsageError(
                    f"cannot add the member {record.name!r}: the group has {self._most} members, and may have no "
                    "more: open_group(members=…)"
                )
            )
        else:
            self.records[record.name] = record
            self.members[record.name] = record.member
            record.begin(self._supervisor)
            reply.set(None)

    def _tell_readers(self, *happened: GroupEvent) -> None:
        for event in happened:
            for reader in self._readers:
                reader.put(event)

    def _finish_if_empty(self) -> None:
        if not self._is_open and not self.members:
            self._is_empty.set()
            for reader in self._readers:
                reader.finish()
