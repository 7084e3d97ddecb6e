"""Subscribes to the resources of a server, and sees whether their notifications come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trimcp.client.client import Client
from trimcp.client.notifications.notices import ResourceUpdated
from trimcp.errors import TrimcpError
from trimcp.observability import log
from trimcp.testing.server_checks.steps import Over, Steps, told

MOST: Final = 50
"""Resources that are subscribed to, the first of the list."""


def check_subscriptions(steps: Steps, uris: Sequence[str]) -> None:
    """Subscribe to each resource, let the server tell of a change, and wait for the notification."""

    async def subscribe(over: Over) -> None:
        async with steps.connect() as client:
            for uri in uris[:MOST]:
                problem = await _problem(steps, client, uri)
                if problem is not None:
                    steps.found("resource", uri, "subscription", problem)
            over()

    if uris:
        steps.run("list", "of subscriptions", "subscription", subscribe)


async def _problem(steps: Steps, client: Client, uri: str) -> str | None:
    with log.captured() as lines, trio.move_on_after(steps.timeout):
        try:
            async with client.listen(uris=[uri]) as notices:
                steps.server.notify_resource_updated(uri)
                async for notice in notices:
                    if isinstance(notice, ResourceUpdated):
                        return None
                return "the subscription was ended by the server"
        except TrimcpError as exc:
            return f"a subscription is refused: {told(exc, lines)}"
    return f"no notification of a change came in {steps.timeout:g} seconds"
