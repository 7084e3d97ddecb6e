"""`Group`: any number of servers behind one object. One supervisor owns its actors, and those of its members."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Unpack

import trio

from trimcp.actors.containment import unwrapped
from trimcp.actors.loop import check_loop
from trimcp.actors.supervisor import Supervisor, open_supervisor
from trimcp.client.calls import CallsByName
from trimcp.client.connect import connect
from trimcp.client.features.elicitation import Elicitation
from trimcp.client.group.events import GroupEvents
from trimcp.client.group.lists import (
    MemberLists,
    MemberPrompt,
    MemberResource,
    MemberTemplate,
    MemberTool,
    MergedList,
    merge,
    prompt_of,
    resource_of,
    template_of,
    tool_of,
    without_repeated,
)
from trimcp.client.group.member import Member, MemberRecord
from trimcp.client.group.member_actor import MemberActor
from trimcp.client.group.membership import Membership
from trimcp.client.group.naming import SEPARATOR, check_server_name, split
from trimcp.client.group.options import ConnectOptions, GroupFunctions, GroupOptions, ask_in_turn, check_options
from trimcp.client.group.restarts import Restarts
from trimcp.errors import UsageError
from trimcp.transports.duplex import Duplex

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.configuration import Configuration
    from trimcp.client.features.consent import Consent
    from trimcp.client.features.resources import ResourceResult
    from trimcp.client.group.options import GroupConsent, GroupElicitation, GroupRoots, GroupSampling, GroupVisit
    from trimcp.client.run import ClientRun
    from trimcp.client.tasks.calls import ReachTasks, Tasks
    from trimcp.session.call import OnProgress
    from trimcp.session.tasks.handle import TaskHandle


class Group(CallsByName):
    """Clients of any number of servers, each supervised on its own. `trimcp.open_group` makes one.

    A failure of one member (its server dies, hangs, answers nonsense) does not affect the others. A member whose
    connection ends is connected again, by `Restarts`; its tools are part of the merged lists while it is ready.
    All of it may be used from any task, by any number at once.

    `call_tool` and `get_prompt` call on the member that the name belongs to, by names of the merged lists.
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
        return self._record(name).member

    def _record(self, name: str) -> MemberRecord:
        record = self._membership.records.get(name)
        if record is None:
            there = ", ".join(self.members) or "none"
            raise UsageError(f"no member of the group is called {name!r}; there are: {there}")
        return record

    def client(self, name: str) -> Client:
        """The client of a member, for calls that the group does not have. The next connection has another one.

        Raises:
            UsageError: there is no such member, or it is not ready.
        """
        return self._record(name).ready().client

    # --- members ----------------------------------------------------------------------

    async def add(
        self,
        server: str,
        target: object,
        /,
        *,
        restarts: Restarts | None = None,
        **options: Unpack[ConnectOptions],
    ) -> Member:
        """Add a member, and begin to connect it. It does not wait for the connection; see `wait_ready`.

        Args:
            server: its name: 1 to 32 letters, digits, `-` and single `_`.
            target: where its server is, as `trimcp.connect` takes it. A `Duplex` is good for one connection.
            restarts: when to connect it again; as for the whole group, if not given.
            options: of `trimcp.connect`; they take the place of those of the group. With `sampling=None`, for
                example, this server does not get the function of the group.

        Raises:
            UsageError: the name is invalid, or taken; there are as many members as may be; there is no such option;
                the group is closed.
        """
        check_server_name(server)
        check_options(options)
        given: dict[str, Any] = {**self._options, **self._functions.of(server), **options}
        ask_in_turn(given, server, self._elicitation)
        actor = MemberActor(
            self._supervisor,
            self._membership,
            server,
            functools.partial(_open, target, given),
            restarts or self._restarts,
            once=isinstance(target, Duplex),
        )
        record = MemberRecord(actor)
        await self._membership.join(record)
        return record.member

    async def remove(self, name: str) -> None:
        """Close a member, and wait until nothing of it is left. Leaving this early leaves it closing.

        Raises:
            UsageError: there is no member of that name.
        """
        member = self.member(name)
        member.close()
        await member.wait_closed()

    async def wait_ready(self, name: str, timeout: float | None = None) -> Client:
        """Wait until a member is ready; see `Member.wait_ready`.

        Raises:
            UsageError: there is no member of that name.
            SessionFailed: it has failed.
            ConnectionClosed: it is closed.
            RequestTimedOut: the time is over.
        """
        return await self.member(name).wait_ready(timeout)

    async def wait_attempted(self) -> None:
        """Wait until each member is ready, or its first attempt to connect has failed.

        The lists of a group that has just been opened are worth reading then, even if some servers are down.
        """
        await trio.lowlevel.checkpoint()
        for member in list(self.members.values()):
            await member.wait_attempted()

    # --- events -----------------------------------------------------------------------

    @asynccontextmanager
    async def events(self) -> AsyncIterator[GroupEvents]:
        """Read the events of the members, from here on.

            async with group.events() as events:
                async for event in events:
                    ...  # MemberReady(server), MemberLost(server, error), MemberRestarting(…), …

        Any number may be open at once, each for one task to read; see `GroupEvents` for a slow reader. Reading
        ends when the group has closed its members. A reader that is opened before a member is added misses none of
        its events.
        """
        events = GroupEvents(self._most_events)
        self._membership.follow(events)
        try:
            yield events
        finally:
            events.finish()

    # --- lists and calls --------------------------------------------------------------

    async def list_tools(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberTool]:
        """The tools of all members that are ready, each under a name that is unique in the group.

        The members are asked at once. A member whose list cannot be read is left out, and `failures` of the list
        says why. A list that the server lets the client keep, or of which it promised to tell when it
        changes, is asked for once, and again after it has changed.

        Args:
            timeout: seconds that each member has; beside the timeouts of its client.
            fresh: ask also where an earlier list may still be used.
        """
        return without_repeated(await merge(self._ready(), "tools", tool_of, timeout, fresh))

    async def list_prompts(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberPrompt]:
        """The prompts of all members that are ready, each under a name that is unique; see `list_tools`."""
        return without_repeated(await merge(self._ready(), "prompts", prompt_of, timeout, fresh))

    async def list_resources(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberResource]:
        """The resources of all members that are ready, under their own URIs; see `list_tools`.

        Two members may have a resource of the same URI: `server` names the member, and `reference` is unique.
        """
        return await merge(self._ready(), "resources", resource_of, timeout, fresh)

    async def list_resource_templates(
        self, *, timeout: float | None = None, fresh: bool = False
    ) -> MergedList[MemberTemplate]:
        """The resource templates of all members that are ready; see `list_resources`."""
        return await merge(self._ready(), "templates", template_of, timeout, fresh)

    async def read_resource(
        self,
        uri: str,
        *,
        server: str | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> ResourceResult:
        """Read a resource of a member; see `Client.read_resource`.

        Where neither `server` nor a reference names the member, it is read from the one member that lists
        that URI; else from the one that has a template which begins like it; else from the only one that
        has resources at all. The group never guesses between two.

        Args:
            uri: of the resource, or its reference in `list_resources`.
            server: the name of the member.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `Client.request`.
            meta: further keys for the request's `_meta`.
            fresh: ask the server also where an earlier result may still be used.

        Raises:
            UsageError: there is no such member, or it is not ready; or several may be meant, or none.
        """
        if server is None:
            named, separator, rest = uri.partition(SEPARATOR)
            if separator and named in self.members:
                server, uri = named, rest
        if server is None:
            server = await self._server_of(uri)
        client = self.client(server)
        return await client.read_resource(uri, timeout=timeout, on_progress=on_progress, meta=meta, fresh=fresh)

    def task(self, server: str, id: str, *, returns: Any = None) -> TaskHandle[Any]:
        """Return a handle of a task of a member, which goes on over the next connections; see `Client.task`.

        Raises:
            UsageError: there is no such member, or it is not ready.
        """
        run = self.client(server)._run
        return run.tasks.handle(
            id, returns, functools.partial(self._reach_tasks, server, run.requests.timeouts.request)
        )

    def _ready(self) -> list[MemberLists]:
        statuses = (record.status for record in self._membership.records.values())
        return [status.lists for status in statuses if status.lists is not None]

    async def _route(self, kind: Literal["tools", "prompts"], name: str) -> tuple[ClientRun, str]:
        server, rest = split(name)
        lists = self._record(server).ready()
        return lists.client._run, await lists.own_name(kind, name, rest)

    def _reach_of(self, name: str, run: ClientRun) -> ReachTasks:
        return functools.partial(self._reach_tasks, split(name)[0], run.requests.timeouts.request)

    async def _reach_tasks(self, server: str, patience: float | None) -> Tasks:
        """Return the tasks of a member, after its next connection if it has none now."""
        return (await self.wait_ready(server, patience))._run.tasks

    async def _server_of(self, uri: str) -> str:
        """Return the name of the only member that a resource can belong to."""
        resources = await self.list_resources()
        servers = {resource.server for resource in resources if resource.uri == uri}
        if not servers:
            templates = await self.list_resource_templates()
            servers = {one.server for one in templates if uri.startswith(one.uri_template.partition("{")[0])}
        if len(servers) > 1:
            raise UsageError(f"{uri!r} may be of {' or '.join(sorted(servers))}: say which is meant, by server=…")
        if not servers:
            servers = {lists.server for lists in self._ready() if lists.offers("resources")}
        if len(servers) == 1:
            return servers.pop()
        failures = "".join(f"; the list of {name!r} cannot be read ({why})" for name, why in resources.failures.items())
        raise UsageError(f"no member that is ready lists {uri!r}: say which is meant, by server=…{failures}")

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
    consent: Consent | GroupConsent | None = None,
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
        members: the most members; `Group.add` refuses further ones.
        events: the most events that wait for one reader of `Group.events`.
        sampling: as `trimcp.connect` takes it, but called with the member's name first; so are the next four.
        elicitation: as `sampling`.
        visit: as `sampling`.
        roots: folders, or an async function that is called with the member's name, and gives them.
        consent: as `trimcp.connect` takes it; a function is called with the member's name, the method and its params.
        on_stderr: called with the member's name, and a line that its command has written to stderr.
        options: further options of `trimcp.connect`, for all members.

    Leaving the context closes all members at once, each in good order, and within 10 seconds and what it takes to
    stop a command that does not stop by itself; one that is cancelled does not wait for good order.

    Raises:
        UsageError: there is no such option; the configuration names more servers than there may be members.
    """
    check_loop("trimcp.open_group")
    check_options(options)
    functions = GroupFunctions(
        sampling=sampling, elicitation=elicitation, visit=visit, roots=roots, consent=consent, on_stderr=on_stderr
    )
    with unwrapped() as block:
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
                with block:
                    for entry in () if configuration is None else configuration.servers.values():
                        await group.add(entry.name, entry.target, **entry.options)
                    yield group
            finally:
                group.close()
            await group._membership.wait_empty()
