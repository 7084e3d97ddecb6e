"""What one server of a group offers, over one connection, kept for as long as it would tell of a change.

A `Member` makes one for each connection, and tells it of changes; `calls` reads it. A server of 2026-07-28
says itself how long its lists may be kept, and the client has them in its cache; an older one that promised to
tell of changes has its lists kept here, until it does.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, Literal

import trio

from trimcp.client.group.naming import is_digested, merged_name
from trimcp.errors import UsageError
from trimcp.types.revisions import BY_VERSION

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.client.notices import Notices

Kind = Literal["tools", "prompts", "resources", "templates"]

KEPT_ITEMS: Final = 10_000
"""A longer list is not kept, but asked for each time."""
ONE: Final[dict[Kind, str]] = {
    "tools": "tool",
    "prompts": "prompt",
    "resources": "resource",
    "templates": "resource template",
}


class Lists:
    """The lists of one client's server."""

    def __init__(self, server: str, client: Client) -> None:
        """`server`: the member's name."""
        self.server = server
        self.client = client
        self.notices: Notices | None = None
        """What tells of changes, while it does."""
        self._kept: dict[Kind, list[Any]] = {}
        self._changes = 0
        self._fetching: dict[Kind, trio.Lock] = {}
        self._digested: dict[Kind, dict[str, str]] = {}

    def offers(self, kind: Kind) -> bool:
        """Whether the server declared that it has such things."""
        capabilities = self.client.server_capabilities
        if kind == "tools":
            return capabilities.tools is not None
        return (capabilities.prompts if kind == "prompts" else capabilities.resources) is not None

    def forget(self) -> None:
        """Something has changed: keep nothing, nor what is on its way."""
        self._changes += 1
        self._kept.clear()

    async def all(self, kind: Kind, *, fresh: bool = False) -> list[Any]:
        """The whole list, as the server gives it; for the caller alone to keep or change.

        Raises:
            RequestFailed, RequestTimedOut, ConnectionEnded, InvalidResult: it cannot be read.
        """
        # Whoever has been told of a change asks now: the member's task, which was told at the same time,
        # gets its turn to forget what is kept.
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

    async def own_name(self, kind: Kind, name: str, rest: str) -> str:
        """What the server itself calls a tool or prompt.

        Args:
            kind: which of them.
            name: in the group.
            rest: that, behind the separator.

        Raises:
            UsageError: the server has none of that name.
        """
        if not is_digested(rest):
            return rest
        # A digest stands for the same name for ever, so that what a list once said holds.
        if name not in self._digested.get(kind, {}):
            await self.all(kind)
        own = self._digested.get(kind, {}).get(name)
        if own is None:
            raise UsageError(f"the server of {self.server!r} has no {ONE[kind]} that is called {name!r} here")
        return own

    async def _fetch(self, kind: Kind, fresh: bool) -> list[Any]:
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

    def _learn(self, kind: Kind, items: list[Any]) -> list[Any]:
        names = ((merged_name(self.server, item.name), item.name) for item in items)
        # The first of two that share a name has it.
        self._digested[kind] = {name: own for name, own in reversed(list(names)) if is_digested(name)}
        return items

    def _may_keep(self, kind: Kind) -> bool:
        notices = self.notices
        if notices is None or notices.is_interrupted or BY_VERSION[self.client.protocol_version].result_type:
            return False
        told = notices.acknowledged
        return {"tools": told.tools, "prompts": told.prompts}.get(kind, told.resources)
