"""What a group does on the servers of its members: lists over all of them, and calls on the one that a name names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

import trio

from trimcp.client.group.merged import (
    MemberPrompt,
    MemberResource,
    MemberTemplate,
    MemberTool,
    MergedList,
    prompt_of,
    resource_of,
    template_of,
    tool_of,
)
from trimcp.client.group.naming import SEPARATOR, split
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.group.lists import Kind, Lists
    from trimcp.client.group.member import Member
    from trimcp.client.results import ResourceResult, ToolResult
    from trimcp.session.calls import OnProgress
    from trimcp.types.prompts import GetPromptResult

T = TypeVar("T")


class GroupCalls:
    """The part of `Group` that lists and calls."""

    @property
    def members(self) -> Mapping[str, Member]:
        """See `Group.members`."""
        raise NotImplementedError

    def member(self, name: str) -> Member:
        """See `Group.member`."""
        raise NotImplementedError

    # --- lists ------------------------------------------------------------------------

    async def list_tools(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberTool]:
        """The tools of all members that are ready, each under a name that no other has.

        The members are asked at once. One whose list cannot be read is left out, and `failures` of the list
        says why. A list that the server lets the client keep, or of which it promised to tell when it
        changes, is asked for once, and again after it has changed.

        Args:
            timeout: seconds that each member has; beside the timeouts of its client.
            fresh: ask also where an earlier list may still be used.
        """
        return _told_apart(await self._merged("tools", tool_of, timeout, fresh))

    async def list_prompts(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberPrompt]:
        """The prompts of all members that are ready, each under a name that no other has; see `list_tools`."""
        return _told_apart(await self._merged("prompts", prompt_of, timeout, fresh))

    async def list_resources(self, *, timeout: float | None = None, fresh: bool = False) -> MergedList[MemberResource]:
        """The resources of all members that are ready, under their own URIs; see `list_tools`.

        Two members may have a resource of the same URI: `server` says whose it is, and `reference` is
        another for each.
        """
        return await self._merged("resources", resource_of, timeout, fresh)

    async def list_resource_templates(
        self, *, timeout: float | None = None, fresh: bool = False
    ) -> MergedList[MemberTemplate]:
        """The resource templates of all members that are ready; see `list_resources`."""
        return await self._merged("templates", template_of, timeout, fresh)

    async def _merged(
        self, kind: Kind, make: Callable[[str, Any], T], timeout: float | None, fresh: bool
    ) -> MergedList[T]:
        ready = [member.lists for member in self.members.values() if member.lists is not None]
        merged = MergedList[T]()
        found: dict[str, list[Any]] = {}

        async def read(lists: Lists) -> None:
            try:
                with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
                    found[lists.server] = await lists.all(kind, fresh=fresh)
                if scope.cancelled_caught:
                    raise RequestTimedOut(f"the list of {kind} did not come within {timeout:g} s")
            except TrimcpError as exc:
                merged.failures[lists.server] = exc

        async with trio.open_nursery() as nursery:
            for lists in ready:
                nursery.start_soon(read, lists)
        for lists in ready:
            merged.extend(make(lists.server, item) for item in found.get(lists.server, ()))
        return merged

    # --- calls ------------------------------------------------------------------------

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult: ...

    @overload
    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: type[T],
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> T: ...

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        returns: Any = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a tool of the member that its name names; see `Client.call_tool`.

        A call is made once: where the connection ends before the answer comes, it raises, and is not made
        again on the next, since the server may have acted.

        Args:
            name: of the tool, as `list_tools` has it.
            arguments: by name, as JSON values.
            returns: a type to make the structured content into.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `Client.request`.
            meta: further keys for the request's `_meta`.

        Raises:
            UsageError: the name names no member, or one that is not ready.
        """
        client, own = await self._routed("tools", name)
        options: dict[str, Any] = {} if returns is None else {"returns": returns}
        return await client.call_tool(own, arguments, timeout=timeout, on_progress=on_progress, meta=meta, **options)

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GetPromptResult:
        """Get the messages of a prompt of the member that its name names; see `Client.get_prompt`.

        Args:
            name: of the prompt, as `list_prompts` has it.
            arguments: by name.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `Client.request`.
            meta: further keys for the request's `_meta`.

        Raises:
            UsageError: the name names no member, or one that is not ready.
        """
        client, own = await self._routed("prompts", name)
        return await client.get_prompt(own, arguments, timeout=timeout, on_progress=on_progress, meta=meta)

    async def _routed(self, kind: Kind, name: str) -> tuple[Client, str]:
        server, rest = split(name)
        lists = self.member(server).ready()
        return lists.client, await lists.own_name(kind, name, rest)

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

        Where neither `server` nor a reference says whose it is, it is read from the one member that lists
        that URI; else from the one that has a template which begins like it; else from the only one that
        has resources at all. It is never guessed between two.

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
        client = (await self._owner(uri) if server is None else self.member(server).ready()).client
        return await client.read_resource(uri, timeout=timeout, on_progress=on_progress, meta=meta, fresh=fresh)

    async def _owner(self, uri: str) -> Lists:
        """The one member whose resource it must be."""
        resources = await self.list_resources()
        listed = {resource.server for resource in resources if resource.uri == uri}
        if listed:
            return self._only(listed, uri)
        templates = await self.list_resource_templates()
        made = {one.server for one in templates if uri.startswith(one.uri_template.partition("{")[0])}
        if made:
            return self._only(made, uri)
        ready = {name for name, one in self.members.items() if one.lists is not None and one.lists.offers("resources")}
        if len(ready) == 1:
            return self._only(ready, uri)
        failures = "".join(f"; the list of {name!r} cannot be read ({why})" for name, why in resources.failures.items())
        raise UsageError(f"no member that is ready lists {uri!r}: say which is meant, by server=…{failures}")

    def _only(self, names: set[str], uri: str) -> Lists:
        if len(names) > 1:
            raise UsageError(f"{uri!r} may be of {' or '.join(sorted(names))}: say which is meant, by server=…")
        (name,) = names
        return self.member(name).ready()


Named = TypeVar("Named", MemberTool, MemberPrompt)


def _told_apart(items: MergedList[Named]) -> MergedList[Named]:
    """Without what a server lists twice: providers of language models take no name twice."""
    by_name: dict[str, Named] = {}
    for item in items:
        by_name.setdefault(item.name, item)
    items[:] = by_name.values()
    return items
