"""Which resources the sessions of the legacy era are subscribed to, one by one, whoever of the client wants them.

server/resources, "Subscriptions", up to 2025-11-25. `trimcp.client.listen` owns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import trio

from trimcp.client.notices import Topics
from trimcp.errors import RequestFailed, TrimcpError

if TYPE_CHECKING:
    from trimcp.session.calls import Calls
    from trimcp.types.capabilities import ServerCapabilities


class UriLeases:
    """Which resources a legacy session is subscribed to, and by how many of this client.

    The first that wants one subscribes, the last that leaves unsubscribes.
    """

    def __init__(self, calls: Calls, timeout: float | None) -> None:
        self._calls = calls
        self._timeout = timeout
        self._holders: dict[str, int] = {}
        self._changing = trio.Lock()

    async def take(self, uris: Sequence[str]) -> dict[str, RequestFailed]:
        """Subscribe to resources, all at once; return those that the server refused, and why.

        Raises:
            RequestTimedOut, ConnectionEnded, InvalidPayload: it did not work out; none is held then.
        """
        async with self._changing:
            new = [uri for uri in uris if uri not in self._holders]
            outcomes: dict[str, TrimcpError | None] = {}
            done = False
            try:
                async with trio.open_nursery() as nursery:
                    for uri in new:
                        nursery.start_soon(self._subscribe, uri, outcomes)
                refused = {uri: error for uri, error in outcomes.items() if isinstance(error, RequestFailed)}
                for error in outcomes.values():
                    if error is not None and not isinstance(error, RequestFailed):
                        raise error
                done = True
            finally:
                if not done:
                    for uri in new:
                        if not isinstance(outcomes.get(uri), RequestFailed):  # the server may have done it
                            self._calls.post("resources/unsubscribe", {"uri": uri})
            for uri in uris:
                if uri not in refused:
                    self._holders[uri] = self._holders.get(uri, 0) + 1
            return refused

    async def _subscribe(self, uri: str, outcomes: dict[str, TrimcpError | None]) -> None:
        try:
            await self._calls.call("resources/subscribe", {"uri": uri}, timeout=self._timeout)
            outcomes[uri] = None
        except TrimcpError as exc:
            outcomes[uri] = exc

    def give_back(self, uris: Iterable[str]) -> None:
        """Unsubscribe from those that nobody else holds. Does not wait for the server."""
        for uri in uris:
            left = self._holders[uri] - 1
            if left:
                self._holders[uri] = left
            else:
                del self._holders[uri]
                self._calls.post("resources/unsubscribe", {"uri": uri})


def tells_of_resources(capabilities: ServerCapabilities) -> bool:
    """Whether a server declared that resources can be subscribed to."""
    return capabilities.resources is not None and bool(capabilities.resources.subscribe)


def told_anyway(capabilities: ServerCapabilities, asked: Topics, held: Iterable[str]) -> Topics:
    """What of it a legacy server tells: the lists that it declared to, and what was subscribed to."""
    tools, prompts, resources = capabilities.tools, capabilities.prompts, capabilities.resources
    return Topics(
        asked.tools and tools is not None and bool(tools.list_changed),
        asked.prompts and prompts is not None and bool(prompts.list_changed),
        asked.resources and resources is not None and bool(resources.list_changed),
        tuple(held),
    )
