"""A member of a group, as programs hold it: what is known of it, and the requests that its actor gets."""

from __future__ import annotations

import math

import attrs
import trio

from trimcp.actors.supervisor import Supervisor
from trimcp.client.client import Client
from trimcp.client.group.events import Failure
from trimcp.client.group.lists import Lists
from trimcp.client.group.member_actor import MemberActor
from trimcp.client.group.member_status import MemberState, MemberStatus
from trimcp.errors import ConnectionClosed, RequestTimedOut, SessionFailed, UsageError


class Member:
    """One server of a group. Made by `Group.add`; all of it may be used from any task of the group's run of Trio."""

    def __init__(self, actor: MemberActor) -> None:
        """Made by `Group.add`. `actor`: keeps the client connected; it begins with `begin`."""
        self.name = actor.server
        """What the group calls it."""
        self._actor = actor
        self._status = MemberStatus(MemberState.CONNECTING)
        self._restarts = 0
        self._is_closed = False
        self._changed = trio.Event()
        self._gone = trio.Event()

    # --- how it stands ----------------------------------------------------------------

    @property
    def state(self) -> MemberState:
        """How it stands."""
        return self._status.state

    @property
    def client(self) -> Client | None:
        """The client, while the member is ready; the next connection has another one."""
        lists = self._status.lists
        return None if lists is None else lists.client

    @property
    def lists(self) -> Lists | None:
        """What the server offers, for `Group` to merge, while the member is ready."""
        return self._status.lists

    @property
    def failure(self) -> Failure | None:
        """Why it has failed, in the state `FAILED`."""
        return self._status.failure

    @property
    def error(self) -> Exception | None:
        """What the last connection, or attempt at one, ended with; None where none has."""
        return self._status.error

    @property
    def connections(self) -> int:
        """Connections that were made so far: more than one where it was restarted."""
        return self._status.connections

    def ready(self) -> Lists:
        """What the server offers now.

        Raises:
            UsageError: the member is not ready.
        """
        lists = self._status.lists
        if lists is None:
            raise UsageError(f"the member {self.describe()}; it cannot be used now")
        return lists

    def describe(self) -> str:
        """How it stands, in words."""
        status = self._status
        why = status.error if status.failure is None else status.failure.error
        told = "" if why is None or status.lists is not None else f" ({why})"
        return f"{self.name!r} is {status.state.value}{told}"

    # --- requests ---------------------------------------------------------------------

    def close(self) -> None:
        """End the connection, and leave the group. Does not wait; see `wait_closed`.

        What waits for an answer of this server's raises `ConnectionClosed`. Once it is closed it stays closed.
        """
        if not self._is_closed:
            self._is_closed = True
            self._show(self._status)
            self._actor.close()

    def restart(self) -> None:
        """End the connection that there is, and make another at once, with the whole budget. Does not wait.

        Also for a member that has failed, or waits.

        Raises:
            UsageError: it is closed.
        """
        if self._status.state is MemberState.CLOSED:
            raise UsageError(f"the member {self.name!r} is closed: add it again")
        self._restarts += 1
        self._show(self._status)
        self._actor.restart(self._restarts)

    # --- waiting ----------------------------------------------------------------------

    async def wait_closed(self) -> None:
        """Wait until nothing of the member is left: no task, connection or process."""
        await self._gone.wait()

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
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(math.inf if timeout is None else timeout):
            while True:
                if self.client is not None:
                    return self.client
                self._raise_if_over()
                await self._changed.wait()
        raise RequestTimedOut(f"the member {self.describe()}; it was not ready within {timeout:g} s")

    async def wait_attempted(self) -> None:
        """Wait until the first attempt to connect has come to something: a connection, a failure, or the end."""
        await trio.lowlevel.checkpoint()
        while not self._status.is_attempted:
            await self._changed.wait()

    def _raise_if_over(self) -> None:
        if self.failure is not None:
            raise SessionFailed(f"the member {self.describe()}") from self.failure.error
        if self.state is MemberState.CLOSED:
            raise ConnectionClosed(f"the member {self.name!r} is closed")

    # --- for the group's actor --------------------------------------------------------

    def begin(self, supervisor: Supervisor) -> None:
        """Begin to connect; its tasks are in the nursery of this supervisor."""
        supervisor.add(self._actor).restart(0)

    def publish(self, status: MemberStatus) -> None:
        """Show how it stands, now that its actor has said so."""
        self._show(status)

    def gone(self) -> None:
        """Nothing of it is left."""
        self._gone.set()

    def _show(self, status: MemberStatus) -> None:
        # What was asked for holds at once, also while the actor has not taken the message.
        if self._is_closed:
            status = attrs.evolve(status, state=MemberState.CLOSED, lists=None)
        elif status.restarts != self._restarts and status.state is not MemberState.CLOSED:
            status = attrs.evolve(status, state=MemberState.CONNECTING, lists=None, failure=None, is_attempted=False)
        self._status = status
        self._changed.set()
        self._changed = trio.Event()
