"""`NotificationHandlers`, the actor that calls the functions which programs have for a server's notifications.

It calls them one at a time, in the order in which the notifications were read, and never in the turn of the Reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.observability import events, log

Handler = Callable[[Any, Any], None]
"""Is called with the client, and the params of a notification."""


@attrs.frozen
class _Call:
    """A notification has arrived for which there are functions."""

    method: str
    params: Any
    handlers: Sequence[Handler]


class NotificationHandlers(Actor[_Call]):
    """The actor that calls the functions of one client. Their exceptions go to the log."""

    name = "notification handlers"

    def __init__(self, owner: Owner, client: object, most: int) -> None:
        """Begin with the first call.

        Args:
            owner: the supervisor of the client.
            client: the `Client`, for the functions.
            most: notifications that may wait; beyond, the oldest are dropped, and the log says so.
        """
        super().__init__(owner, Mailbox(most, Overflow.DROP_OLDEST))
        self._client = client

    def call(self, method: str, params: Any, handlers: Sequence[Handler]) -> None:
        """Call the functions soon with the params of a notification. Never waits."""
        dropped = self.mailbox.dropped
        self.tell(_Call(method, params, handlers))
        if self.mailbox.dropped != dropped:
            log.warning(events.MESSAGE_IGNORED, method=method, why="too many wait", count=self.mailbox.dropped)

    def handle(self, message: _Call) -> None:
        """See `Actor`."""
        for handler in message.handlers:
            try:
                handler(self._client, message.params)
            except KeyboardInterrupt:
                raise
            except BaseException as exc:  # noqa: BLE001 - of the program; a handler never waits, so no cancel is ours
                log.error(events.HANDLER_FAILED, exc_info=exc, method=message.method)
