"""The group's actor: which members there are, how it stands with each, and the readers that are told of it.

It publishes: a status that a member's actor tells it is seen by programs in the same turn in which the readers get
the events that led to it, so that a member which is ready has said so to all of them.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from trimcp.actors.actor import Actor
from trimcp.actors.mailbox import Mailbox, MailboxFull
from trimcp.actors.reply import Reply
from trimcp.actors.supervisor import Supervisor
from trimcp.client.group.events import GroupEvent, GroupEvents, MemberClosed
from trimcp.client.group.member import Member
from trimcp.client.group.member_status import MemberStatus
from trimcp.errors import UsageError

EACH: Final = 8
"""Messages of one member that may wait: it takes one message in a turn, which makes three at most, and may have a
second turn before this actor has its own."""
OTHERS: Final = 4096
"""Messages of the program that may wait: members that join, and readers. Further ones are refused."""


@attrs.frozen
class _Join:
    """A member comes in and begins to connect, unless it is refused."""

    member: Member
    reply: Reply[None]


@attrs.frozen
class _Stands:
    """How it stands with a member, and what has happened to it."""

    server: str
    status: MemberStatus
    happened: tuple[GroupEvent, ...]


@attrs.frozen
class _Left:
    """Nothing of a member is left."""

    server: str


@attrs.frozen
class _Follow:
    """A reader is told of what happens from here on."""

    reader: GroupEvents


@attrs.frozen
class _Close:
    """All members close, and no other comes in."""


_Message = _Join | _Stands | _Left | _Follow | _Close


class Membership(Actor[_Message]):
    """Lets members in and out, and publishes what becomes of them."""

    name = "membership"

    def __init__(self, supervisor: Supervisor, most: int) -> None:
        """
        Args:
            supervisor: of the group: the members' actors are in its nursery as well.
            most: members that there may be.
        """
        super().__init__(supervisor, Mailbox(EACH * most + OTHERS))
        self._supervisor = supervisor
        self._most = most
        self._readers: list[GroupEvents] = []
        self._is_closing = False  # what was asked for
        self._is_open = True  # what has been done about it
        self._is_empty = trio.Event()
        self.members: dict[str, Member] = {}
        """By name, in the order in which they came in. For others to read."""

    # --- in front ---------------------------------------------------------------------

    async def join(self, member: Member) -> None:
        """Let a member in, and have it begin to connect. Leaving this early does not keep it out.

        Raises:
            UsageError: its name is taken; there are as many members as may be; the group is closed.
        """
        reply: Reply[None] = Reply()
        self._ask(_Join(member, reply))
        await reply.wait()

    def follow(self, reader: GroupEvents) -> None:
        """Tell a reader of what happens from here on, until it is finished."""
        self._ask(_Follow(reader))

    def stands(self, server: str, status: MemberStatus, *happened: GroupEvent) -> None:
        """See `GroupActor`."""
        self.tell(_Stands(server, status, happened))

    def left(self, server: str) -> None:
        """See `GroupActor`."""
        self.tell(_Left(server))

    def close(self) -> None:
        """Close all members, and let no other in."""
        for member in list(self.members.values()):
            member.close()  # those that are in already are closed at once
        if not self._is_closing:
            self._is_closing = True
            self.tell(_Close())

    async def wait_empty(self) -> None:
        """Wait until the group is closed, and nothing of its members is left."""
        await self._is_empty.wait()

    def _ask(self, message: _Join | _Follow) -> None:
        try:
            self.tell(message)
        except MailboxFull:
            raise UsageError(f"more than {OTHERS} members and readers come at once: let some come first") from None

    # --- the task ---------------------------------------------------------------------

    def handle(self, message: _Message) -> None:
        """See `Actor`."""
        match message:
            case _Stands(server, status, happened):
                self.members[server].publish(status)
                self._tell_readers(*happened)
            case _Join(member, reply):
                self._let_in(member, reply)
            case _Left(server):
                self.members.pop(server).gone()
                self._tell_readers(MemberClosed(server))
                self._finish_if_empty()
            case _Follow(reader):
                self._readers = [each for each in self._readers if not each.is_over]
                self._readers.append(reader)
                self._finish_if_empty()
            case _Close():
                self._is_open = False
                for member in self.members.values():
                    member.close()
                self._finish_if_empty()

    def _let_in(self, member: Member, reply: Reply[None]) -> None:
        if not self._is_open:
            reply.fail(UsageError("the group is closed: nothing can be added to it"))
        elif member.name in self.members:
            there = self.members[member.name]
            reply.fail(UsageError(f"the member {there.describe()}: names are used once at a time"))
        elif len(self.members) >= self._most:
            most = self._most
            reply.fail(UsageError(f"the group has {most} members, and may have no more: open_group(members=…)"))
        else:
            self.members[member.name] = member
            member.begin(self._supervisor)
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
