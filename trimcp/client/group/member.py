"""A member of a group: `Member`, as programs hold it, and `MemberRecord`, as the group does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import trio

from trimcp.client.group.events import MemberState, MemberStatus
from trimcp.errors import ConnectionClosed, RequestTimedOut, SessionFailed, UsageError

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.client.client import Client
    from trimcp.client.group.events import Failure
    from trimcp.client.group.lists import MemberLists
    from trimcp.client.group.member_actor import MemberActor


class Member:
    """One server of a group. Made by `Group.add`; all of it may be used from any task of the group's run of Trio."""

    def __init__(self, record: MemberRecord) -> None:
        """Made by `Group.add`."""
        self._record = record

    @property
    def name(self) -> str:
        """The name of the member in the group."""
        return self._record.name

    @property
    def state(self) -> MemberState:
        """The present state."""
        return self._record.status.state

    @property
    def client(self) -> Client | None:
        """The client, while the member is ready; the next connection has another one."""
        lists = self._record.status.lists
        return None if lists is None else lists.client

    @property
    def failure(self) -> Failure | None:
        """Why it has failed, in the state `FAILED`."""
        return self._record.status.failure

    @property
    def error(self) -> Exception | None:
        """The error that ended the last connection, or attempt at one; None where none has ended."""
        return self._record.status.error

    @property
    def connections(self) -> int:
        """Connections that were made so far: more than one where it was restarted."""
        return self._record.status.connections

    def close(self) -> None:
        """End the connection, and leave the group. Does not wait; see `wait_closed`.

        Calls that wait for an answer of this server raise `ConnectionClosed`. Once it is closed it stays closed.
        """
        self._record.close()

    def restart(self) -> None:
        """End the connection that there is, and make another at once, with the whole budget. Does not wait.

        Also for a member that has failed, or waits.

        Raises:
            UsageError: it is closed.
        """
        self._record.restart()

    async def wait_closed(self) -> None:
        """Wait until nothing of the member is left: no task, connection or process."""
        await self._record.gone.wait()

    async def wait_ready(self, timeout: float | None = None) -> Client:
        """Wait until there is a connection, however many attempts that takes.

        Args:
            timeout: seconds to wait at most.

        Returns:
            The client.

        Raises:
            SessionFailed: the member has failed; the exception says why.
            ConnectionClosed: it is closed.
            RequestTimedOut: the time is over; the member goes on as before.
        """
        record = self._record
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(math.inf if timeout is None else timeout):
            while True:
                if self.client is not None:
                    return self.client
                if self.failure is not None:
                    raise SessionFailed(f"the member {record.describe()}") from self.failure.error
                if self.state is MemberState.CLOSED:
                    raise ConnectionClosed(f"the member {self.name!r} is closed")
                await record.changed.wait()
        raise RequestTimedOut(f"the member {record.describe()}; it was not ready within {timeout:g} s")

    async def wait_attempted(self) -> None:
        """Wait until the first attempt to connect has ended: in a connection, a failure, or the end of the member."""
        await trio.lowlevel.checkpoint()
        while not self._record.status.is_attempted:
            await self._record.changed.wait()


class MemberRecord:
    """Holds the status of one member, as its actor last published it, and passes requests on to the actor."""

    def __init__(self, actor: MemberActor) -> None:
        """`actor` keeps the client connected, from `begin` on."""
        self.name: str = actor.server
        self.member: Member = Member(self)
        """The member, for programs."""
        self.status: MemberStatus = MemberStatus(MemberState.CONNECTING)
        self.changed: trio.Event = trio.Event()
        """Set at the next change of the status; replaced by a new event then."""
        self.gone: trio.Event = trio.Event()
        """Set when nothing of the member is left."""
        self._actor = actor
        self._restarts = 0
        self._is_closed = False

    def begin(self, supervisor: Supervisor) -> None:
        """Begin to connect; the tasks of the actor run in the nursery of this supervisor."""
        supervisor.add(self._actor).restart(0)

    def ready(self) -> MemberLists:
        """Return the lists of the present connection.

        Raises:
            UsageError: the member is not ready.
        """
        lists = self.status.lists
        if lists is None:
            raise UsageError(f"the member {self.describe()}; it cannot be used now: see wait_ready")
        return lists

    def describe(self) -> str:
        """Describe the member in words, for messages."""
        status = self.status
        why = status.error if status.failure is None else status.failure.error
        told = "" if why is None or status.lists is not None else f" ({why})"
        return f"{self.name!r} is {status.state.value}{told}"

    def close(self) -> None:
        """See `Member.close`."""
        if not self._is_closed:
            self._is_closed = True
            self.publish(self.status)
            self._actor.close()

    def restart(self) -> None:
        """See `Member.restart`."""
        if self.status.state is MemberState.CLOSED:
            raise UsageError(f"the member {self.name!r} is closed: add it again")
        self._restarts += 1
        self.publish(self.status)
        self._actor.restart(self._restarts)

    def publish(self, status: MemberStatus) -> None:
        """Show a status of the actor. Requests that the actor has not handled yet are already seen in it."""
        if self._is_closed:
            status = attrs.evolve(status, state=MemberState.CLOSED, lists=None)
        elif status.restarts != self._restarts and status.state is not MemberState.CLOSED:
            status = attrs.evolve(status, state=MemberState.CONNECTING, lists=None, failure=None, is_attempted=False)
        self.status = status
        self.changed.set()
        self.changed = trio.Event()
