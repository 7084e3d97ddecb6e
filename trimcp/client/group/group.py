"""`Group`: any number of servers behind one object. Its supervisor owns the actor of each member, and its own."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

import trio

from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.client.connect import connect
from trimcp.client.features.elicitation import Elicitation
from trimcp.client.group.calls import GroupCalls
from trimcp.client.group.events import GroupEvents
from trimcp.client.group.member import Member
from trimcp.client.group.member_actor import MemberActor
from trimcp.client.group.membership import Membership
from trimcp.client.group.naming import check_server_name
from trimcp.client.group.options import ConnectOptions, GroupFunctions, GroupOptions, ask_in_turn, check_options
from trimcp.client.group.restarts import Restarts
from trimcp.errors import UsageError
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.configuration import Configuration
    from trimcp.client.group.options import GroupConsent, GroupElicitation, GroupRoots, GroupSampling, GroupVisit


class Group(GroupCalls):
    """Clients of any number of servers, each supervised on its own. `trimcp.open_group` makes one.

    What happens to one member (its server dies, hangs, answers nonsense) concerns no other. A member whose
    connection ends is connected again, by `Restarts`; what it offers is part of the merged lists while it is ready.
    All of it may be used from any task, by any number at once.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        restarts: Restarts,
        members: int,
        events: int,
        functions: GroupFunctions,
        options: Mapping[str, Any],
    ) -> None:
        """Made by `trimcp.open_group`."""
        self._supervisor = supervisor
        self._membership = supervisor.add(Membership(supervisor, members))
        self._elicitation = supervisor.add(Elicitation(supervisor))
        self._restarts = restarts
        self._most_events = events
        self._functions = functions
        self._options = options

    @property
    def members(self) -> Mapping[str, Member]:
        """All members by name, in the order in which they were added; a view."""
        return MappingProxyType(self._membership.members)

    def member(self, name: str) -> Member:
        """The member of that name.

        Raises:
            UsageError: there is none.
        """
        member = self.members.get(name)
        if member is None:
            there = ", ".join(self.members) or "none"
            raise UsageError(f"no member of the group is called {name!r}; there are: {there}")
        return member

    def client(self, name: str) -> Client:
        """The client of a member, for whatever the group does not do itself. The next connection has another one.

        Raises:
            UsageError: there is no such member, or it is not ready.
        """
        return self.member(name).ready().client

    # --- who is in it -----------------------------------------------------------------

    async def add(
        self,
        server: str,
        target: object,
        /,
        *,
        restarts: Restarts | None = None,
        **options: Unpack[ConnectOptions],
    ) -> Member:
        """Have one more member, and begin to connect it. It does not wait for that; see `wait_ready`.

        Args:
            server: what to call it: 1 to 32 letters, digits, `-` and single `_`.
            target: where its server is, as `trimcp.connect` takes it. A `Duplex` is good for one connection.
            restarts: when to connect it again; as for the whole group, if not given.
            options: of `trimcp.connect`; they go before those of the group. `sampling=None` and the like keep a
                function of the group's from this server.

        Raises:
            UsageError: the name is none, or taken; there are as many members as may be; there is no such option;
                the group is closed.
        """
        check_server_name(server)
        check_options(options)
        given: dict[str, Any] = {**self._options, **self._functions.of(server), **options}
        ask_in_turn(given, self._elicitation)
        actor = MemberActor(
            self._supervisor,
            self._membership,
            server,
            functools.partial(_open, target, given),
            restarts or self._restarts,
            once=isinstance(target, Duplex),
        )
        member = Member(actor)
        await self._membership.join(member)
        return member

    async def remove(self, name: str) -> None:
        """Close a member, and wait until nothing of it is left. Leaving this early leaves it closing.

        Raises:
            UsageError: there is none of that name.
        """
        member = self.member(name)
        member.close()
        await member.wait_closed()

    async def wait_ready(self, name: str, timeout: float | None = None) -> Client:
        """Wait until a member is ready; see `Member.wait_ready`.

        Raises:
            UsageError: there is none of that name.
            SessionFailed: it has failed.
            ConnectionClosed: it is closed.
            RequestTimedOut: the time is over.
        """
        return await self.member(name).wait_ready(timeout)

    async def wait_attempted(self) -> None:
        """Wait until each member is ready, or its first attempt to connect has failed: a group that has just been
        opened has lists worth reading then, however bad some of its servers are."""
        await trio.lowlevel.checkpoint()
        for member in list(self.members.values()):
            await member.wait_attempted()

    # --- events -----------------------------------------------------------------------

    @asynccontextmanager
    async def events(self) -> AsyncIterator[GroupEvents]:
        """Read what becomes of the members, from here on.

            async with group.events() as events:
                async for event in events:
                    ...  # MemberReady(server), MemberLost(server, error), MemberRestarting(…), …

        Any number may be open at once, each for one task to read; see `GroupEvents` for one that is slow. Reading
        ends when the group has closed its members. Nothing that happens to a member is missed by who opens this
        before it is added.
        """
        events = GroupEvents(self._most_events)
        self._membership.follow(events)
        try:
            yield events
        finally:
            events.finish()

    # --- the end ----------------------------------------------------------------------

    def close(self) -> None:
        """Close all members. Does not wait; leaving the group's context does. Nothing can be added any more."""
        self._membership.close()


def _open(target: object, options: Mapping[str, Any]) -> AbstractAsyncContextManager[Client]:
    return connect(target, **options)


@asynccontextmanager
async def open_group(
    configuration: Configuration | None = None,
    *,
    restarts: Restarts | None = None,
    members: int = 64,
    events: int = 1024,
    sampling: GroupSampling | None = None,
    elicitation: GroupElicitation | None = None,
    visit: GroupVisit | None = None,
    roots: GroupRoots | None = None,
    consent: GroupConsent | None = None,
    on_stderr: Callable[[str, str], None] | None = None,
    **options: Unpack[GroupOptions],
) -> AsyncIterator[Group]:
    """Open a group of clients, with no member, or with those that a configuration names.

        async with trimcp.open_group(trimcp.load_configuration("mcp.json")) as group:
            await group.wait_attempted()
            for tool in await group.list_tools():
                print(tool.name, tool.description)

    Args:
        configuration: servers to begin with, of `trimcp.load_configuration`.
        restarts: when a member is connected again.
        members: the most that there may be; `Group.add` refuses further ones.
        events: the most that may wait for one reader of `Group.events`.
        sampling: as `trimcp.connect` takes it, but called with the member's name first; so are the next four.
        elicitation: see there.
        visit: see there.
        roots: folders, or an async function that is called with the member's name, and gives them.
        consent: called with the member's name, the method and its params.
        on_stderr: called with the member's name, and a line that its command has written to stderr.
        options: further options of `trimcp.connect`, for all members.

    Leaving the context closes all members at once, each in good order, and within 10 seconds and what it takes to
    stop a command that does not stop by itself; one that is cancelled does not wait for good order.

    Raises:
        UsageError: there is no such option; the configuration names more servers than there may be members.
    """
    check_options(options)
    functions = GroupFunctions(
        sampling=sampling, elicitation=elicitation, visit=visit, roots=roots, consent=consent, on_stderr=on_stderr
    )
    failure: BaseException | None = None
    try:
        async with open_supervisor("group") as supervisor:
            group = Group(
                supervisor,
                restarts=restarts or Restarts(),
                members=members,
                events=events,
                functions=functions,
                options=options,
            )
            try:
                for entry in () if configuration is None else configuration.servers.values():
                    await group.add(entry.name, entry.target, **entry.options)
                yield group
            except (Exception, SystemExit, KeyboardInterrupt) as exc:  # noqa: BLE001
                # Members raise nothing, so this is the user's own, and leaves below as itself, not in a group.
                failure = exc
            finally:
                group.close()
            await group._membership.wait_empty()
    finally:
        if failure is not None:  # not lost either where the scope around it is cancelled
            raise failure
