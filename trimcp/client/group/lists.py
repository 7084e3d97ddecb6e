"""The lists of tools, prompts and resources: those of one member, and those that a group merges of all members.

A connection of a member has its own `MemberLists`, and tells it of changes. A server of 2026-07-28 says itself how
long its lists may be kept, and the client has them in its cache. The lists of an older server that promised to tell
of changes are kept here, until it does.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import attrs
import trio

from trimcp.client.group.naming import is_digested, merged_name, reference
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError
from trimcp.types.prompts import Prompt
from trimcp.types.resources import Resource, ResourceTemplate
from trimcp.types.revisions import BY_VERSION
from trimcp.types.tools import Tool

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.notifications.notices import Notices

T = TypeVar("T")

ListKind = Literal["tools", "prompts", "resources", "templates"]

KEPT_ITEMS: Final = 10_000
"""The most items of a list that is kept; a longer one is asked for each time."""
_SINGULAR: Final[dict[ListKind, str]] = {
    "tools": "tool",
    "prompts": "prompt",
    "resources": "resource",
    "templates": "resource template",
}


class MemberLists:
    """Reads the lists of one member, over one connection, and keeps them while the server tells of changes."""

    def __init__(self, server: str, client: Client) -> None:
        """`server`: the member's name."""
        self.server: str = server
        self.client: Client = client
        self.notices: Notices | None = None
        """The notices of changes, while the connection listens to them."""
        self._kept: dict[ListKind, list[Any]] = {}
        self._changes = 0
        self._fetching: dict[ListKind, trio.Lock] = {}
        self._digested: dict[ListKind, dict[str, str]] = {}

    def offers(self, kind: ListKind) -> bool:
        """Return whether the server declared that it has items of this kind."""
        capabilities = self.client.server_capabilities
        if kind == "tools":
            return capabilities.tools is not None
        return (capabilities.prompts if kind == "prompts" else capabilities.resources) is not None

    def forget(self) -> None:
        """Forget all lists, and those that are on their way: something has changed."""
        self._changes += 1
        self._kept.clear()

    async def all(self, kind: ListKind, *, fresh: bool = False) -> list[Any]:
        """Read the whole list, as the server gives it. The caller may change the returned list.

        Raises:
            RequestFailed, RequestTimedOut, ConnectionEnded, InvalidResult: it cannot be read.
        """
        # A caller that has just been told of a change: the task of the connection, which was told at the same time,
        # gets its turn to forget the lists.
        await trio.lowlevel.checkpoint()
        if not self.offers(kind):
            return []
        if not self._may_keep(kind):
            return await self._fetch(kind, fresh)
        # Callers that come at once ask the server once.
        async with self._fetching.setdefault(kind, trio.Lock()):
            items = None if fresh else self._kept.get(kind)
            if items is None:
                changes = self._changes
                items = await self._fetch(kind, fresh)
                if changes != self._changes or not self._may_keep(kind) or len(items) > KEPT_ITEMS:
                    return items
                self._kept[kind] = items
            return copy.deepcopy(items)

    async def own_name(self, kind: ListKind, name: str, rest: str) -> str:
        """Return the name that the server itself has for a tool or prompt.

        Args:
            kind: `tools` or `prompts`.
            name: in the group.
            rest: the part of the name behind the separator.

        Raises:
            UsageError: the server has no tool or prompt of that name.
        """
        if not is_digested(rest):
            return rest
        # A digest always stands for the same name, so a name that was learned once stays valid.
        if name not in self._digested.get(kind, {}):
            await self.all(kind)
        own = self._digested.get(kind, {}).get(name)
        if own is None:
            raise UsageError(
                f"the server of {self.server!r} has no {_SINGULAR[kind]} {name!r}: see the lists of the group"
            )
        return own

    async def _fetch(self, kind: ListKind, fresh: bool) -> list[Any]:
        client = self.client
        match kind:
            case "tools":
                return self._learn(kind, await client.list_tools(fresh=fresh))
            case "prompts":
                return self._learn(kind, await client.list_prompts(fresh=fresh))
            case "resources":
                return list(await client.list_resources(fresh=fresh))
            case "templates":
                return list(await client.list_resource_templates(fresh=fresh))

    def _learn(self, kind: ListKind, items: list[Any]) -> list[Any]:
        names = ((merged_name(self.server, item.name), item.name) for item in items)
        # Of two items that share a name, the first has it.
        self._digested[kind] = {name: own for name, own in reversed(list(names)) if is_digested(name)}
        return items

    def _may_keep(self, kind: ListKind) -> bool:
        notices = self.notices
        if notices is None or notices.is_interrupted or BY_VERSION[self.client.protocol_version].result_type:
            return False
        told = notices.acknowledged
        return {"tools": told.tools, "prompts": told.prompts}.get(kind, told.resources)


# --- merged lists ---------------------------------------------------------------------


@attrs.define
class MemberTool(Tool):
    """A tool of a member; `name` is its name in the group.

    Attributes:
        server: the member's name.
        own_name: its name on the server.
    """

    server: str = attrs.field(kw_only=True)
    own_name: str = attrs.field(kw_only=True)


@attrs.define
class MemberPrompt(Prompt):
    """A prompt of a member; `name` is its name in the group.

    Attributes:
        server: the member's name.
        own_name: its name on the server.
    """

    server: str = attrs.field(kw_only=True)
    own_name: str = attrs.field(kw_only=True)


@attrs.define
class MemberResource(Resource):
    """A resource of a member, under the URI that the server gives it.

    Attributes:
        server: the member's name.
        reference: member and URI in one, `SERVER__URI`; unique in the group.
    """

    server: str = attrs.field(kw_only=True)
    reference: str = attrs.field(kw_only=True)


@attrs.define
class MemberTemplate(ResourceTemplate):
    """A resource template of a member, as the server gives it.

    Attributes:
        server: the member's name: read resources of the template with `read_resource(uri, server=…)`.
    """

    server: str = attrs.field(kw_only=True)


class MergedList(list[T]):
    """A list over all members that are ready, in the order in which they were added."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, Exception] = {}
        """Why a list is missing, by the name of its member: `RequestFailed`, `RequestTimedOut`, `ConnectionEnded`, …"""


def tool_of(server: str, tool: Tool) -> MemberTool:
    """Return a tool for a merged list."""
    return MemberTool(**_fields(tool, name=merged_name(server, tool.name)), server=server, own_name=tool.name)


def prompt_of(server: str, prompt: Prompt) -> MemberPrompt:
    """Return a prompt for a merged list."""
    return MemberPrompt(**_fields(prompt, name=merged_name(server, prompt.name)), server=server, own_name=prompt.name)


def resource_of(server: str, resource: Resource) -> MemberResource:
    """Return a resource for a merged list."""
    return MemberResource(**_fields(resource), server=server, reference=reference(server, resource.uri))


def template_of(server: str, template: ResourceTemplate) -> MemberTemplate:
    """Return a resource template for a merged list."""
    return MemberTemplate(**_fields(template), server=server)


def _fields(item: Any, **others: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in attrs.fields(type(item))} | others


async def merge(
    members: Iterable[MemberLists], kind: ListKind, make: Callable[[str, Any], T], timeout: float | None, fresh: bool
) -> MergedList[T]:
    """Read a list of all these members at once, and merge them in this order.

    Args:
        members: those that are ready.
        kind: of the list.
        make: makes an item of the merged list, of a member's name and an item of its list.
        timeout: seconds that each member has.
        fresh: ask the servers also where an earlier list may still be used.
    """
    ready = list(members)
    merged = MergedList[T]()
    found: dict[str, list[Any]] = {}

    async def read(lists: MemberLists) -> None:
        try:
            with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
                found[lists.server] = await lists.all(kind, fresh=fresh)
            if scope.cancelled_caught:
                raise RequestTimedOut(f"the list of {kind} of {lists.server!r} did not come within {timeout:g} s")
        except TrimcpError as exc:
            merged.failures[lists.server] = exc

    async with trio.open_nursery() as nursery:
        for lists in ready:
            nursery.start_soon(read, lists)
    for lists in ready:
        merged.extend(make(lists.server, item) for item in found.get(lists.server, ()))
    return merged


Named = TypeVar("Named", MemberTool, MemberPrompt)


def without_repeated(items: MergedList[Named]) -> MergedList[Named]:
    """Remove the items that a server lists twice: providers of language models take no name twice."""
    by_name: dict[str, Named] = {}
    for item in items:
        by_name.setdefault(item.name, item)
    items[:] = by_name.values()
    return items
