"""`ToolConsent`: has each call of a tool agreed to, by the definition of the tool that was listed last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Protocol

from trimcp.client.features.client_features import ClientFeatures
from trimcp.client.features.consent import ToolCall
from trimcp.errors import ConnectionEnded, ConsentRefused, InvalidPayload, RequestFailed, RequestTimedOut
from trimcp.observability import events, log
from trimcp.types.tools import Tool

TRIES: Final = 3
"""Questions about one call whose tool changes while the question is open."""
LATER_ROUND: Final = ("inputResponses", "requestState")
"""Params of a request that goes on: its first round was agreed to."""


class ToolLister(Protocol):
    """The tools of a server, as `ToolConsent` sees them."""

    async def list_all(self) -> object:
        """Read the list of the tools, and pass it to `ToolConsent.learn`."""
        ...


class ToolConsent:
    """Has each call of a tool agreed to."""

    def __init__(self, features: ClientFeatures, lister: ToolLister) -> None:
        self._features = features
        self._lister = lister
        self._tools: dict[str, Tool] = {}
        self._is_whole = False

    def learn(self, tools: Iterable[Tool]) -> None:
        """Take in the tools of one page."""
        self._tools.update((tool.name, tool) for tool in tools)

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these, which are the whole list."""
        self._tools = {name: tool for name, tool in self._tools.items() if name in names}
        self._is_whole = True

    def forget(self) -> None:
        """Forget all tools: the list has changed."""
        self._tools.clear()
        self._is_whole = False

    async def check(self, params: Mapping[str, Any]) -> None:
        """Have a call agreed to, before it is sent.

        Raises:
            ConsentRefused: it was refused, or the server keeps changing the tool.
        """
        if any(key in params for key in LATER_ROUND):
            return
        name, arguments = str(params.get("name")), dict(params.get("arguments") or {})
        for _ in range(TRIES):
            tool = await self._definition(name)
            call = ToolCall(self._features.server, name, arguments, tool)
            if await self._features.agreed(call) is None:
                raise ConsentRefused(f"The call of the tool {name} was refused: the user did not agree, or a rule")
            # A list may have arrived while the question was open, and another tool in it.
            if await self._definition(name) == tool:
                return
        raise ConsentRefused(f"The call of the tool {name} was refused: the server keeps changing the tool")

    async def _definition(self, name: str) -> Tool | None:
        if name not in self._tools and not self._is_whole:
            try:
                await self._lister.list_all()
            except (RequestFailed, RequestTimedOut, ConnectionEnded, InvalidPayload) as exc:
                # The question then says that the tool is not listed.
                log.debug(events.TOOL_LEFT_OUT, tool=name, why=str(exc))
        return self._tools.get(name)
